"""`magnet projections`: where the read models stand, and building them anew."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, line, show_json, table
from api.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.cli.connection import Connection

projections = typer.Typer(help="Read models: status, rebuild.", no_args_is_help=True)
LOOK_EVERY = 0.2


@projections.command()
def status(*, as_json: AsJSON = False) -> None:
    """Print where each projection stands; exit status 1 where one has set something aside."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        found = await _status(connection)
        if as_json:
            show_json({"items": found})
        else:
            table(
                ("projection", "state", "position", "lag", "set aside", "checksum"),
                [
                    (p["name"], p["state"], p["position"], p["lag"], p.get("quarantined", 0), p.get("checksum"))
                    for p in found
                ],
            )
        if any(p.get("quarantined") for p in found):
            raise CommandFailed("A projection has set streams aside: see GET /v1/dead-letters.")

    run(work)


@projections.command()
def rebuild(
    name: Annotated[str, typer.Argument(help="Its name, such as configurations_v1.")],
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until the new one has taken over.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which rows this code would make otherwise than they are.")
    ] = False,
    examples: Annotated[int, typer.Option("--examples", min=0, max=1000, help="Rows shown by a dry run.")] = 5,
    as_json: AsJSON = False,
) -> None:
    """Build a projection anew beside the live one, then switch; readers see the old one until then."""
    from api.cli.connection import run

    if dry_run:
        asyncio.run(_try_out(name, examples, as_json=as_json))
        return

    async def work(connection: "Connection") -> None:
        before = {p["name"]: p for p in await _status(connection)}.get(name)
        queued = await connection.command("POST", f"/v1/projections/{name}/rebuild")
        now, progress = queued, Progress()
        while wait:
            now = {p["name"]: p for p in await _status(connection)}[name]
            if now["rebuilt"] is not None:
                progress(name, now["rebuilt"], now["position"])
            if now["state"] not in ("rebuilding", "stopped", "catching_up"):
                break
            await asyncio.sleep(LOOK_EVERY)
        if as_json:
            show_json(now)
        elif not wait:
            line(f"{name} will be rebuilt.")
        else:
            sums = {each and each.get("checksum") for each in (before, now)}
            # None is counted while others are rebuilt.
            told = "" if None in sums else f"; its checksum is {'the same' if len(sums) == 1 else 'another'}"
            line(f"{name} is rebuilt up to {now['position']}{told}.")

    run(work)


async def _try_out(name: str, examples: int, *, as_json: bool) -> None:
    """Print what a rebuild would change; exit status 1 where that is anything."""
    from dataclasses import asdict

    from adapters.projection_runner.trial import try_out
    from adapters.replay.rebuilding import place
    from api.cli.backups import local_settings
    from api.database import database
    from api.read_models import READ_MODELS
    from domain.errors import DomainError

    model = next((each for each in READ_MODELS if each.name == name), None)
    if model is None:
        raise CommandFailed("There is no such projection.")
    progress = Progress()
    with database(local_settings("A dry run is made where the database is")) as dsns:
        async with place(dsns.app) as here:
            try:
                trial = await try_out(
                    here.pool, here.log, model, examples=examples, told=lambda done, whole: progress(name, done, whole)
                )
            except DomainError as refusal:
                raise CommandFailed(str(refusal)) from None
    if as_json:
        show_json(asdict(trial))
    elif trial.same_checksum:
        line(f"{name}: no difference up to {trial.position}.")
    else:
        table(
            ("table", "added", "removed", "changed"),
            [(each.table, each.added, each.removed, each.changed) for each in trial.differences],
        )
        for each in trial.differences:
            for before, after in each.examples:
                line(f"{each.table}: {_changed(before, after)}")
    if trial.set_aside:
        raise CommandFailed(f"This code can't take {trial.set_aside} streams: a rebuild would set them aside.")
    if not trial.same_checksum:
        raise CommandFailed("A rebuild would change what is read.")


def _changed(before: "Mapping[str, Any] | None", after: "Mapping[str, Any] | None") -> str:
    """Say in one line what is different between two rows."""
    if before is None or after is None:
        return f"{'added' if before is None else 'removed'}: {before or after}"
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    kept = next((f"{name}={value}" for name, value in before.items() if name not in names), "")
    return f"{kept}: " + "; ".join(f"{name}: {before.get(name)!r} -> {after.get(name)!r}" for name in names)


async def _status(connection: "Connection") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await connection.get("/v1/projections"))["items"]
    return found
