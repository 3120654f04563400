"""`magnet audit`: is the log what was sealed? Checkpoints, and proofs to hand on."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, line, note, show_json, table

if TYPE_CHECKING:
    from api.cli.connection import Connection

audit = typer.Typer(help="Evidence that the log is what was recorded.", no_args_is_help=True)


@audit.command()
def verify(
    *,
    against: Annotated[
        Path | None, typer.Option("--against", help="A file of checkpoints that was kept elsewhere.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Read every event again and compare; exit status 1 where something is not as it was sealed."""
    import orjson

    from adapters.evidence.notes import notes_in
    from api.cli.connection import AS_LONG_AS_IT_TAKES, run

    notes = None
    if against is not None:
        try:
            notes = notes_in(against.read_text("utf-8"))
        except OSError as error:
            raise CommandFailed(f"{against} can't be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise CommandFailed(f"{against} is no text: it holds no checkpoint.") from None
        if not notes:
            raise CommandFailed(f"{against} holds no checkpoint: 'magnet audit checkpoints --notes' prints them.")

    async def work(connection: "Connection") -> None:
        if notes is None:
            answer = await connection.raw("GET", "/v1/audit/verify", within=AS_LONG_AS_IT_TAKES)
        else:
            asked = {"checkpoints": notes}
            answer = await connection.raw("POST", "/v1/audit/verify", asked, within=AS_LONG_AS_IT_TAKES)
        verdict = orjson.loads(answer.content)
        if as_json:
            show_json(verdict)
        if not verdict["ok"]:
            place = "" if verdict["first_bad"] is None else f" at position {verdict['first_bad']}"
            raise CommandFailed(f"The log is not what was recorded{place}: {verdict['reason']}.")
        if not as_json:
            line(f"{verdict['checked_to']} events are what was recorded; {verdict['checkpoints']} checkpoints fit.")

    run(work)


@audit.command()
def accesses(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="At most so many.")] = 50,
    actor: Annotated[str | None, typer.Option("--actor", help="Who asked.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="allowed, refused or failed.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="A time, RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="A time, RFC 3339.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Print who read the log or was refused something, the newest first."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        asked = {"actor": actor, "outcome": outcome, "since": since, "until": until}
        given = {name: value for name, value in asked.items() if value is not None}
        found = await connection.get("/v1/audit/accesses", {"limit": limit, **given})
        if as_json:
            show_json(found)
            return
        rows = [
            (each["at"], each["actor"]["name"], each["outcome"], each["status"], each["method"], _asked(each))
            for each in found["items"]
        ]
        table(("time", "who", "outcome", "status", "", "what"), rows)

    run(work)


def _asked(access: Mapping[str, Any]) -> str:
    return f"{access['path']}?{access['query']}".rstrip("?")


@audit.command()
def checkpoints(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="At most so many.")] = 20,
    notes: Annotated[bool, typer.Option("--notes", help="Print the signed notes, to keep them elsewhere.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Print the newest checkpoints."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        found = await connection.get("/v1/audit/checkpoints", {"limit": limit})
        if as_json:
            show_json(found)
        elif notes:
            for each in reversed(found["items"]):
                line(each["note"])
        else:
            table(("events", "time", "root"), [(each["size"], each["time"], each["root"]) for each in found["items"]])
            note(f"Signed with the key {found['key']['public_key']}: docs/verify_proof.py wants it.")

    run(work)


@audit.command()
def prove(
    position: Annotated[int, typer.Argument(min=1, help="Of the event.")],
) -> None:
    """Print the proof that an event is in the log, as JSON; docs/verify_proof.py checks it."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        show_json(await connection.get("/v1/audit/proofs/inclusion", {"position": position}))

    run(work)


@audit.command()
def consistent(
    first: Annotated[int, typer.Argument(min=1, help="Events of the earlier checkpoint.")],
    second: Annotated[int, typer.Argument(min=1, help="Events of the later one.")],
) -> None:
    """Print the proof that the log only grew between two checkpoints, as JSON; docs/verify_proof.py checks it."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        show_json(await connection.get("/v1/audit/proofs/consistency", {"first": first, "second": second}))

    run(work)
