"""`magnet events`: the log."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, labelled, line, show_json

if TYPE_CHECKING:
    from api.cli.connection import Connection

events = typer.Typer(help="The event log.", invoke_without_command=True)
PAGE = 500


@events.callback()
def read(
    context: typer.Context,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")] = False,
    after: Annotated[int, typer.Option("--after", min=0, help="Begin after this position.")] = 0,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Such as prompt.published.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Such as prompt.")] = None,
    aggregate: Annotated[str | None, typer.Option("--aggregate", help="The id of a thing.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Who caused it.")] = None,
    correlation: Annotated[str | None, typer.Option("--correlation", help="Of this request.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Whose message holds this.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="A time, RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="A time, RFC 3339.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Print events in their order, one a line."""
    if context.invoked_subcommand is not None:
        return
    from api.cli.connection import run

    filters = {
        "type": type_,
        "kind": kind,
        "aggregate": aggregate,
        "actor": actor,
        "correlation": correlation,
        "reason": reason,
        "since": since,
        "until": until,
    }
    asked = {name: value for name, value in filters.items() if value is not None}

    async def work(connection: "Connection") -> None:
        left = limit
        if follow:
            async for event in connection.follow("/v1/events/stream", asked, after):
                _print(event, as_json)
                left = None if left is None else left - 1
                if left == 0:
                    return
        async for event in connection.pages("/v1/events", {"after": after, "limit": min(left or PAGE, PAGE), **asked}):
            _print(event, as_json)
            left = None if left is None else left - 1
            if left == 0:
                return

    try:
        run(work)
    except KeyboardInterrupt:
        if not follow:
            raise


@events.command()
def show(position: Annotated[int, typer.Argument(min=1, help="Its position.")], *, as_json: AsJSON = False) -> None:
    """Print one event with all it holds."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        page = await connection.get("/v1/events", {"after": position - 1, "limit": 1})
        found = [event for event in page["items"] if event["position"] == position]
        if not found:
            raise CommandFailed(f"There is no event at position {position}.")
        if as_json:
            show_json(found[0])
            return
        labelled({name: value for name, value in found[0].items() if name != "data" and value is not None})
        line()
        show_json(found[0]["data"])

    run(work)


def _print(event: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        show_json(event, compact=True)
        return
    told = event.get("summary") or ""
    reason = f'  "{event["reason"]}"' if event.get("reason") else ""
    who = event["actor"]["name"]
    line(
        f"{event['position']:>8}  {event['recorded_at']}  {event['type']:<28}  {event['name'] or ''}  {told}  by {who}{reason}"
    )
