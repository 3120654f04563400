"""`magnet events`: the log."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, labelled, line, on_one_line, short, show_json, table

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
                print_event(event, as_json)
                left = None if left is None else left - 1
                if left == 0:
                    return
        async for event in connection.pages("/v1/events", {"after": after, "limit": min(left or PAGE, PAGE), **asked}):
            print_event(event, as_json)
            left = None if left is None else left - 1
            if left == 0:
                return

    try:
        run(work)
    except KeyboardInterrupt:
        if not follow:
            raise


@events.command()
def show(
    ref: Annotated[str, typer.Argument(metavar="POSITION|ID", help="Its position or its id.")],
    *,
    as_json: AsJSON = False,
) -> None:
    """Print one event with all it holds, and what it changed."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        event = await _event(connection, ref)
        if as_json:
            show_json(event)
            return
        who, apart = event["actor"], ("data", "changes")
        shown = event | {
            "actor": who["name"] if who["name"] == who["id"] else f"{who['name']} ({who['type']} {who['id']})"
        }
        labelled({name: value for name, value in shown.items() if name not in apart and value is not None})
        line()
        show_json(event["data"])
        if event["changes"]:
            line()
            _print_changes(event["changes"])

    run(work)


@events.command()
def diff(
    first: Annotated[
        str, typer.Argument(metavar="A", help="An event by position or id; with --of, a version, label or time.")
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="Another event of the same thing; with --of as A.")],
    *,
    of: Annotated[str | None, typer.Option("--of", metavar="KIND/REF", help="A thing, such as prompt/support.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Print what differs in a thing after one event and after another, or between two versions, labels or times."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        if of is None:
            one, other = await _event(connection, first), await _event(connection, second)
            if one["aggregate_id"] != other["aggregate_id"]:
                raise CommandFailed(
                    f"They are of different things: {one['kind']} {one['name'] or one['aggregate_id']} and "
                    f"{other['kind']} {other['name'] or other['aggregate_id']}."
                )
            kind, ref, points = one["kind"], one["aggregate_id"], (str(one["version"]), str(other["version"]))
        else:
            kind, _, ref = of.partition("/")
            if not ref:
                raise CommandFailed("--of is KIND/REF: magnet events diff 1 live --of prompt/support.")
            points = (first, second)
        found = await connection.get(_thing(kind, ref) + "/diff", {"from": points[0], "to": points[1]})
        if as_json:
            show_json(found)
        else:
            _print_changes(found["changes"])

    run(work)


async def _event(connection: "Connection", ref: str) -> Any:
    return await connection.get(f"/v1/events/{ref}")


def _thing(kind: str, ref: str) -> str:
    """Return where a configuration thing is read."""
    from domain import CONFIGURATIONS

    kinds = [each.TOPIC for each in CONFIGURATIONS]
    if kind.replace("-", "_") not in kinds:
        raise CommandFailed(f"Only things with versions of their settings are compared: {', '.join(kinds)}.")
    return f"/v1/{kind.replace('_', '-')}s/{ref}"


def _print_changes(changes: Sequence[Mapping[str, Any]]) -> None:
    if not changes:
        line("They are the same.")
        return
    table(
        ("field", "before", "after"), [(each["path"], short(each["before"]), short(each["after"])) for each in changes]
    )


def print_event(event: Mapping[str, Any], as_json: bool) -> None:
    """Print an event on one line."""
    if as_json:
        show_json(event, compact=True)
        return
    told = event.get("summary") or ""
    reason = f'  "{event["reason"]}"' if event.get("reason") else ""
    who = event["actor"]["name"]
    begin = f"{event['position']:>8}  {event['recorded_at']}  {event['type']:<28}  {event['name'] or ''}"
    line(on_one_line(f"{begin}  {told}  by {who}{reason}"))
