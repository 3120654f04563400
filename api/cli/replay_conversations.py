"""`magnet replay-conversations`: what persons said to an agent, answered again by another version of it, side by side."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
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
    scorer: Annotated[
        list[str] | None,
        typer.Option(
            "--scorer", help='Score answers by this type, or by JSON such as {"type": "judge"}; may be repeated.'
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", help="Reports are kept in this file, one a line; what is there is not replayed again."),
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=10, help="Conversations at once.")] = 2,
    as_json: AsJSON = False,
) -> None:
    """Have recorded messages answered by a candidate version; nothing happens in the conversations, or outside."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        version = await _version(connection, agent, candidate)
        found = await _found(connection, agent, since, limit)
        scorers = scorers_of(scorer or ())
        kept = Kept(keep, found, {"version": version, "mode": mode, "scorers": scorers})
        body = {"mode": mode, "version": version, "scorers": scorers, "stream": True}
        reports, refused = await _replayed(connection, list(found), body, kept, concurrency)
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


async def _version(connection: "Connection", agent: str, candidate: str | None) -> int:
    """Return the version that answers again: the same for all conversations, whatever is changed meanwhile."""
    if candidate is not None and candidate.isdigit():
        return int(candidate)
    label = {} if candidate is None else {"label": candidate}
    version: int = (await connection.get(f"/v1/agents/{agent}", label))["version"]
    return version


async def _found(connection: "Connection", agent: str, since: str | None, limit: int) -> dict[str, int]:
    """Return id -> version of the conversations that are asked for."""
    asked: dict[str, str | int] = {"agent": agent, "limit": min(limit, 500)}
    if since is not None:
        asked["since"] = since
    found: dict[str, int] = {}
    async for each in connection.pages("/v1/conversations", asked):
        if len(found) == limit:
            note(f"Only the newest {limit} are replayed: --limit takes more.")
            break
        found[each["id"]] = each["version"]
    return found


def scorers_of(given: Sequence[str]) -> list[dict[str, Any]]:
    """Return scorers as they are asked for: each a type, or an object of JSON."""
    import orjson

    scorers: list[dict[str, Any]] = []
    for text in given:
        if not text.lstrip().startswith("{"):
            scorers.append({"type": text})
            continue
        try:
            scorers.append(orjson.loads(text))
        except orjson.JSONDecodeError as error:
            raise typer.BadParameter(f"{text!r} is no JSON: {error}.", param_hint="--scorer") from None
    return scorers


class Kept:
    """Reports that are kept in a file: those in it that were made of the same, and asked for alike, are good still."""

    def __init__(self, path: Path | None, found: Mapping[str, int], asked: Mapping[str, Any]) -> None:
        self._path = path
        self._asked = dict(asked)
        self.reports: dict[str, Report] = {}
        there = path.read_text("utf-8") if path is not None and path.exists() else ""
        self._between = b"" if not there or there.endswith("\n") else b"\n"
        for text in there.splitlines():
            report = _parsed(text)
            if report is not None:
                made_of = report["conversation"]
                if report.get("asked") == self._asked and found.get(made_of["id"]) == made_of["version"]:
                    self.reports[made_of["id"]] = report

    def add(self, report: Report) -> None:
        """Keep a report."""
        import orjson

        report = {**report, "asked": self._asked}
        self.reports[report["conversation"]["id"]] = report
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(self._between + orjson.dumps(report) + b"\n")
            self._between = b""


def _parsed(text: str) -> Report | None:
    """Return the report of a line; None of one that was cut off when its writer was killed."""
    import orjson

    try:
        report: Report = orjson.loads(text)
    except orjson.JSONDecodeError:
        note("A line of the file is no report: it is left out.")
        return None
    return report


async def _replayed(
    connection: "Connection", ids: Sequence[str], body: Mapping[str, Any], kept: Kept, concurrency: int
) -> tuple[list[Report], list[dict[str, str]]]:
    """Return the reports of conversations, some at once, and {conversation, code, reason} of those without one."""
    from api.cli.connection import Refused
    from commands.at_once import at_once

    gate, progress = asyncio.Semaphore(concurrency), Progress()
    done = 0
    refused: list[dict[str, str]] = []

    async def replay(id: str) -> None:
        nonlocal done
        async with gate:
            try:
                if id not in kept.reports:
                    kept.add(await _report(connection, id, body))
            except Refused as refusal:
                refused.append({"conversation": id, "code": refusal.code, "reason": str(refusal)})
        done += 1
        progress("conversations", done, len(ids))

    await at_once(replay(id) for id in ids)
    return [kept.reports[id] for id in ids if id in kept.reports], refused


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
    whole = summary_of(turns)
    scorers = list(whole["scores"])
    columns = (
        "conversation",
        "turns",
        "failed",
        "similarity",
        *scorers,
        "same calls",
        "unmatched",
        "cost then",
        "now",
        "ms then",
        "now",
    )
    table(columns, [row(name, summary, scorers) for name, summary in [*rows, ("all", whole)]])
    methods = sorted({method for report in reports for method in report["summary"]["methods"]})
    if methods:
        line(f"similarity by {' and '.join(methods)}")


def row(name: str, summary: Report, scorers: Sequence[str]) -> tuple[Any, ...]:
    """Return a summary as a row; of each scorer the mean."""
    then, now = summary["recorded"], summary["candidate"]
    return (
        name,
        summary["turns"],
        summary["failed"],
        summary["similarity"],
        *(summary["scores"].get(each, {}).get("mean") for each in scorers),
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
