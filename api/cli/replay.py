"""`magnet replay`: a second system from the log, as it stands or as it stood."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, line, show_json, table
from api.cli.progress import Progress

if TYPE_CHECKING:
    from datetime import datetime


def replay(
    *,
    to: Annotated[str, typer.Option("--to", help="Connection string of an empty database that its user owns.")],
    app: Annotated[
        str | None,
        typer.Option("--app", help="Connection string of the application's role there, if that is another."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", help="A position, or an RFC 3339 time: the second system knows nothing later."),
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Build a second system from the log: its events, checked, and every read model made anew from them."""
    from adapters.postgres.migrations import role_of
    from adapters.replay.copying import ReplayRefused, copy_log
    from api.cli.backups import local_settings
    from api.cli.reading_noted import note_reading
    from api.database import database
    from api.read_models import READ_MODELS

    settings = local_settings("The log is replayed where the database is")
    progress = Progress()
    limit = _limit(until)
    must_be_an_address("--to", to)
    if app is not None:
        must_be_an_address("--app", app)
    with database(settings) as dsns:
        note_reading(dsns.app, "replay", {"until": until})
        try:
            replayed = copy_log(
                dsns.app, to, role_of(app) if app else None, limit, lambda done, whole: progress("events", done, whole)
            )
        except ReplayRefused as refusal:
            raise CommandFailed(str(refusal)) from None
        theirs, ours = asyncio.run(_built(dsns.app, to, app or to, replayed.head, progress))
    names = [model.name for model in READ_MODELS]
    same = {name: theirs.get(name) == ours.get(name) for name in names} if replayed.is_whole else {}
    if as_json:
        show_json({"head": replayed.head, "copied": replayed.copied, "checksums": ours, "same": same or None})
    else:
        told = {True: "as here", False: "ANOTHER THAN HERE"}
        table(
            ("read model", "checksum", ""),
            [(name, ours.get(name), told[same[name]] if name in same else "") for name in names],
        )
        line(f"{replayed.head:,} events, each with its hash, are in the second system.")
        line("Serve it with DATABASE_URL set to it, and the same SECRET_ENCRYPTION_KEY. It sends nothing to webhooks.")
    if not all(same.values()):
        raise CommandFailed("A read model is not what it is here: rebuild it here, and compare again.")


async def _built(
    source: str, owner: str, app: str, head: int, progress: Progress
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """Build the read models; return the checksums of the source's and of the new ones."""
    from adapters.replay.rebuilding import build, place, write_effects
    from api.read_models import READ_MODELS

    async with place(owner) as owned:
        await write_effects(owned)
    async with place(source) as there, place(app) as here:
        await build(here, READ_MODELS, head, progress)
        return dict(await there.checksums(READ_MODELS)), dict(await here.checksums(READ_MODELS))


def must_be_an_address(option: str, dsn: str) -> None:
    """Refuse what is no connection string; never says what was given, which may hold a password."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    from api.settings import DATABASE

    try:
        if conninfo_to_dict(dsn).get("dbname"):
            return
    except ProgrammingError:
        pass
    raise CommandFailed(f"{option} is {DATABASE}.")


def _limit(until: str | None) -> "int | datetime | None":
    from domain.values import moment

    if until is None or until.isdigit():
        return None if until is None else int(until)
    try:
        return moment(until)
    except ValueError as error:
        raise CommandFailed(f"--until is a position or an RFC 3339 time: {error}.") from None
