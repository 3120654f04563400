"""`magnet demo`: real documents in, cited answers out, and a prompt's life; told as it happens, over the real HTTP API."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.output import AsJSON, show_json

if TYPE_CHECKING:
    from api.cli.connection import Connection


class Part(StrEnum):
    """A part of the demo."""

    ANSWERS = "answers"
    PROMPTS = "prompts"


def demo(
    *,
    only: Annotated[Part | None, typer.Option("--only", help="One part of it.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Show the main job on real documents: ingest, ask, cite, trace, and a prompt's life. Data stay."""
    from api.cli.connection import run
    from api.cli.demo_answers import tell_answers
    from api.cli.demo_farewell import farewell
    from api.cli.demo_story import tell
    from api.cli.telling import Teller

    async def work(connection: "Connection") -> None:
        teller, made = Teller(connection, quiet=as_json), list[str]()
        if only in (None, Part.ANSWERS):
            made += await tell_answers(teller)
        if only in (None, Part.PROMPTS):
            made += await tell(teller)
        await farewell(teller, made)
        if as_json:
            show_json({"steps": teller.steps})

    run(work)
