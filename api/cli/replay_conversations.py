"""`magnet replay-conversations`: what persons said to an agent, answered again by another version of it, side by side."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, line, note, show_json, table
from api.cli.progress import Progress

if TYPE_CHECKING:
    from api.cli.connection import Connection

Report = Mapping[str, Any]
NOTHING = "nothing_to_replay"


def replay_conversations(
    *,
    agent: Annotated[str, typer.Option("--agent", help="Whose conversations are replayed: its name or id.")],
    candidate: Annotated[
        str | None,
        typer.Option("--candidate", help="The version or label that answers again (default: the newest version)."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="An RFC 3339 time: those in which something happened since then.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Conversations at most, the newest first.")] = 100,
    mode: Annotated[
        Literal["recorded", "live"],
        typer.Option("--mode", help="Whether tools that change nothing are really called (live)."),
    ] = "recorded",
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=10, help="Conversations at once.")] = 2,
    as_json: AsJSON = False,
) -> None:
    """Have recorded messages answered by a candidate version; nothing happens in the conversations, or outside."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        found = await _found(connection, agent, since, limit)
        by = {} if candidate is None else {"version": int(candidate)} if candidate.isdigit() else {"label": candidate}
        body = {"mode": mode, **by, "stream": True}
        reports, refused = await _replayed(connection, found, body, concurrency)
        turns = [turn for report in reports for turn in report["turns"]]
        if as_json:
            from domain.replay import summary_of

            show_json({"conversations": reports, "refused": refused, "summary": summary_of(turns)})
        else:
            show(reports, turns)
            for each in refused:
                note(f"{each['conversation']}: {each['reason']}")
        wrong = [each for each in refused if each["code"] != NOTHING]
        if wrong:
            raise CommandFailed(f"{len(wrong)} of {len(found)} conversations could not be replayed.")

    run(work)


async def _found(connection: "Connection", agent: str, since: str | None, limit: int) -> list[str]:
    """Return the ids of the conversations that are asked for."""
    await connection.get(f"/v1/agents/{agent}")
    asked: dict[str, str | int] = {"agent": agent, "limit": min(limit, 500)}
    if since is not None:
        asked["since"] = since
    found: list[str] = []
    async for each in connection.pages("/v1/conversations", asked):
        found.append(each["id"])
        if len(found) == limit:
            note(f"Only the newest {limit} are replayed: --limit takes more.")
            break
    return found


async def _replayed(
    connection: "Connection", ids: Sequence[str], body: Mapping[str, Any], concurrency: int
) -> tuple[list[Report], list[dict[str, str]]]:
    """Return the reports of conversations, some at once, and {conversation, code, reason} of those without one."""
    from api.cli.connection import Refused

    gate, progress = asyncio.Semaphore(concurrency), Progress()
    done = 0
    reports: dict[str, Report] = {}
    refused: list[dict[str, str]] = []

    async def replay(id: str) -> None:
        nonlocal done
        async with gate:
            try:
                reports[id] = await _report(connection, id, body)
            except Refused as refusal:
                refused.append({"conversation": id, "code": refusal.code, "reason": str(refusal)})
        done += 1
        progress("conversations", done, len(ids))

    async with asyncio.TaskGroup() as group:
        for id in ids:
            group.create_task(replay(id))
    return [reports[id] for id in ids if id in reports], refused


async def _report(connection: "Connection", id: str, body: Mapping[str, Any]) -> Report:
    async for event in connection.stream("POST", f"/v1/conversations/{id}/replay", body):
        if event.type == "replay.completed":
            report: Report = event.data
            return report
        if event.type == "replay.failed":
            from api.cli.connection import Refused

            raise Refused(event.data["error"]["status"], event.data["error"])
    raise CommandFailed("The stream ended without a report: try again.")


def show(reports: Sequence[Report], turns: Sequence[Report]) -> None:
    """Print a line for each conversation, and one for all."""
    from domain.replay import summary_of

    rows = [(report["conversation"]["id"], report["summary"]) for report in reports]
    columns = (
        "conversation",
        "turns",
        "failed",
        "similarity",
        "same calls",
        "unmatched",
        "cost then",
        "now",
        "ms then",
        "now",
    )
    table(columns, [row(name, summary) for name, summary in [*rows, ("all", summary_of(turns))]])
    methods = sorted({method for report in reports for method in report["summary"]["methods"]})
    if methods:
        line(f"similarity by {' and '.join(methods)}")


def row(name: str, summary: Report) -> tuple[Any, ...]:
    """Return a summary as a row."""
    then, now = summary["recorded"], summary["candidate"]
    return (
        name,
        summary["turns"],
        summary["failed"],
        summary["similarity"],
        summary["same_calls"],
        summary["calls"]["unmatched"],
        cost(then),
        cost(now),
        then["duration_ms"],
        now["duration_ms"],
    )


def cost(side: Report) -> str:
    """Return a cost in few characters; one that is not known in full has a '?'."""
    paid = side["cost"]
    return f"{paid['amount']} {paid['currency'] or ''}".strip() + ("?" if paid["unknown"] else "")
