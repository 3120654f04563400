"""`magnet demo`: a prompt's life, told as it happens, over the real HTTP API."""

from typing import TYPE_CHECKING

from api.cli.output import AsJSON, show_json

if TYPE_CHECKING:
    from api.cli.connection import Connection


def demo(*, as_json: AsJSON = False) -> None:
    """Show the main job on a real prompt: change, publish, compare, roll back, read the past. Data stay."""
    from api.cli.connection import run
    from api.cli.demo_story import tell
    from api.cli.telling import Teller

    async def work(connection: "Connection") -> None:
        teller = Teller(connection, quiet=as_json)
        await tell(teller)
        if as_json:
            show_json({"steps": teller.steps})

    run(work)
