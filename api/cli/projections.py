"""`magnet projections`: where the read models stand, and building them anew."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, line, show_json, table

if TYPE_CHECKING:
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
    as_json: AsJSON = False,
) -> None:
    """Build a projection anew beside the live one, then switch; readers see the old one until then."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        before = {p["name"]: p for p in await _status(connection)}.get(name)
        queued = await connection.command("POST", f"/v1/projections/{name}/rebuild")
        now = queued
        while wait:
            now = {p["name"]: p for p in await _status(connection)}[name]
            if now["state"] not in ("rebuilding", "stopped", "catching_up"):
                break
            await asyncio.sleep(LOOK_EVERY)
        if as_json:
            show_json(now)
        elif not wait:
            line(f"{name} will be rebuilt.")
        else:
            same = before is not None and before.get("checksum") == now.get("checksum")
            line(f"{name} is rebuilt up to {now['position']}; its checksum is {'the same' if same else 'another'}.")

    run(work)


async def _status(connection: "Connection") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await connection.get("/v1/projections"))["items"]
    return found
