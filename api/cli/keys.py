"""`magnet keys`: who may call."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.output import AsJSON, line, note, show_json, table

if TYPE_CHECKING:
    from api.cli.connection import Connection

keys = typer.Typer(help="API keys: create, list, revoke.", no_args_is_help=True)
DURATION = re.compile(r"([1-9][0-9]{0,5})([smhdw])\Z")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
PATH = "/v1/api-keys"


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="The key's name, never to be used again.")],
    *,
    role: Annotated[
        list[str] | None, typer.Option("--role", help="admin, editor, operator, user or auditor; repeat it for more.")
    ] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="A group; repeat it for more.")] = None,
    expires_in: Annotated[str | None, typer.Option("--expires-in", help="Such as 12h, 90d, 4w.")] = None,
    rpm: Annotated[int | None, typer.Option("--rpm", help="Requests a minute that it may send.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Make a key and show it, this once."""
    from api.cli.connection import run

    body = {
        "name": name,
        "roles": role or ["user"],
        "groups": group or [],
        "requests_per_minute": rpm,
        "expires_at": None if expires_in is None else _moment(expires_in),
    }

    async def work(connection: "Connection") -> None:
        first = not [key async for key in connection.pages(PATH, {"archived": "true"})] and not [
            key async for key in connection.pages(PATH)
        ]
        receipt = await connection.command("POST", PATH, body)
        if as_json:
            show_json(receipt)
            return
        line(receipt["key"])
        note(f"This is the key '{name}', shown once: keep it now.")
        if first:
            note("From now on every caller of the HTTP API needs a key.")
            if "admin" not in (role or ()):
                note("This one may not make others or change settings: 'magnet keys create NAME --role admin' may.")

    run(work)


@keys.command("list")
def list_keys(
    *,
    revoked: Annotated[bool, typer.Option("--revoked", help="Revoked ones instead.")] = False,
    as_json: AsJSON = False,
) -> None:
    """List the keys."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        parameters = {"limit": 500, "archived": "true" if revoked else "false"}
        found = [key async for key in connection.pages(PATH, parameters) if key["archived"] == revoked]
        if as_json:
            show_json({"items": found})
            return
        table(
            ("name", "roles", "groups", "requests a minute", "expires", "last used", "made"),
            [
                (
                    key["name"],
                    ", ".join(key["roles"]),
                    ", ".join(key["groups"]),
                    key["requests_per_minute"],
                    key["expires_at"],
                    key["last_used_at"],
                    key["created_at"],
                )
                for key in found
            ],
        )

    run(work)


@keys.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name or id.")],
    *,
    as_json: AsJSON = False,
) -> None:
    """Revoke a key, at once and for good."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        receipt = await connection.command("DELETE", f"{PATH}/{name}")
        if as_json:
            show_json(receipt)
        else:
            line(f"'{name}' is revoked.")

    run(work)


def _moment(duration: str) -> str:
    found = DURATION.match(duration)
    try:
        if found is not None:
            ahead = timedelta(seconds=int(found[1]) * SECONDS[found[2]])
            return (datetime.now(UTC) + ahead).isoformat(timespec="seconds")
    except OverflowError:  # beyond the year 9999
        pass
    raise typer.BadParameter("a number and one of s, m, h, d, w: 90d is ninety days.", param_hint="--expires-in")
