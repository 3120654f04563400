"""`magnet ask`: a question to an agent or a RAG tool; the answer as it comes, with its citations."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, line, note, show_json, shown

if TYPE_CHECKING:
    from api.cli.connection import Connection

ENDED = frozenset({"turn.completed", "turn.awaiting_confirmation", "answer.completed"})
FAILED = frozenset({"turn.failed", "turn.cancelled", "answer.failed"})


def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    *,
    agent: Annotated[str | None, typer.Option("--agent", help="Its name or id.")] = None,
    rag_tool: Annotated[str | None, typer.Option("--rag-tool", help="Its name or id, instead of an agent.")] = None,
    conversation: Annotated[str | None, typer.Option("--conversation", help="Go on with this one.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Ask the only agent, or the newest one; without any, the newest RAG tool."""
    from api.cli.connection import run

    if sum(given is not None for given in (agent, rag_tool, conversation)) > 1:
        raise CommandFailed("Give one of --agent, --rag-tool and --conversation.")

    async def work(connection: "Connection") -> None:
        path, body = await _address(connection, question, agent, rag_tool, conversation)
        said = await answered(connection, path, body, quiet=as_json)
        while said.get("confirmations") and not as_json and sys.stdin.isatty():
            said = await decided(connection, path.removesuffix("/messages"), said["confirmations"])
        if as_json:
            show_json(said)
            return
        line()
        citations = said.get("message", said)["citations"]
        print_citations(citations)
        for each in said.get("confirmations", ()):
            note(f"It waits until you agree to {wish(each)}: POST {path.removesuffix('/messages')}/confirmations")
        note(f"\nrun {said['run_id']}" + (f", {path.removesuffix('/messages')}" if "turn" in said else ""))

    run(work)


async def _address(
    connection: "Connection", question: str, agent: str | None, rag_tool: str | None, conversation: str | None
) -> tuple[str, Mapping[str, Any]]:
    """Return where the question is sent, and as what."""
    message = {"content": question, "stream": True}
    if conversation is not None:
        return f"/v1/conversations/{conversation}/messages", message
    if rag_tool is None:
        agent = agent or await _newest(connection, "agents")
    if agent is not None:
        begun = await connection.command("POST", "/v1/conversations", {"agent": agent})
        return f"/v1/conversations/{begun['id']}/messages", message
    rag_tool = rag_tool or await _newest(connection, "rag-tools")
    if rag_tool is None:
        raise CommandFailed(
            "There is no agent and no RAG tool yet: 'magnet ingest PATH...' makes a RAG tool over your files, "
            "'magnet demo' an agent that knows Python's standard library."
        )
    return f"/v1/rag-tools/{rag_tool}/answer", {"question": question, "stream": True}


async def _newest(connection: "Connection", collection: str) -> str | None:
    """Return the name of the newest thing that is not archived."""
    items = (await connection.get(f"/v1/{collection}", {"limit": 1}))["items"]
    return items[0]["name"] if items else None


async def answered(connection: "Connection", path: str, body: Mapping[str, Any], *, quiet: bool = False) -> Any:
    """Print the text as it comes, and return what the stream ended with; raise CommandFailed where it failed."""
    async for event in connection.stream("POST", path, body):
        if event.type == "message.delta" and not quiet:
            typer.echo(shown(event.data["text"]), nl=False)
        elif event.type in ("research.planned", "research.reflected") and not quiet:
            for question in event.data["questions"]:
                note(f"Looking into: {question}")
        elif event.type in ENDED:
            if not quiet:
                line()
            return event.data
        elif event.type in FAILED:
            if not quiet:
                line()
            error = event.data.get("error") or {}
            said = error.get("detail") or error.get("message") or "it was cancelled"
            raise CommandFailed(f"There is no answer: {said}")
    raise CommandFailed("The stream ended without an answer: ask again.")


async def decided(connection: "Connection", conversation: str, asked: list[Mapping[str, Any]]) -> Any:
    """Have the person decide on what the agent wants to do, and return what the turn then ended with."""
    path = f"{conversation}/confirmations"
    for number, each in enumerate(asked, 1):
        body = {"id": each["id"], "approved": typer.confirm(f"Do you agree to {wish(each)}?")}
        if number < len(asked):
            await connection.command("POST", path, body)
    return await answered(connection, path, {**body, "stream": True})


def wish(confirmation: Mapping[str, Any]) -> str:
    """Return what an agent wants to do, on one line."""
    return f"{confirmation['function']} {confirmation['arguments']}"


def print_citations(citations: list[Mapping[str, Any]]) -> None:
    """Print which passage each marker of an answer points at."""
    for citation in citations:
        line(f"  {told(citation)}")


def told(citation: Mapping[str, Any]) -> str:
    """Return a citation on one line: marker, document, version and place in it."""
    name = citation.get("title") or citation.get("external_id") or citation["document_id"]
    page = f", page {citation['page']}" if citation.get("page") else ""
    place = f"characters {citation['start']}-{citation['end']}"
    return f"{citation['marker']} {name} (version {citation['document_version']}{page}, {place})"
