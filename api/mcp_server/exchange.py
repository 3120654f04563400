"""One request to /mcp: read strictly, answered by the official server, given up when the client has gone."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, TypeVar

import orjson
from starlette.responses import Response
from starlette.types import Message

from api.body import read_object
from api.call import Call, Operation
from api.errors import HttpProblem, problem_document
from api.streaming import HEARTBEAT, EventStream, gone

T = TypeVar("T")
INTERNAL_ERROR = -32603
NO_MESSAGE = (
    "This is no message of JSON-RPC 2.0: 'jsonrpc' is the text 2.0, 'method' a text, 'params' an object, and 'id' a text "
    "or an integer."
)
JSON_TYPES = frozenset({"application/json", "application/*", "*/*"})
EVENTS = frozenset({"text/event-stream", "text/*", "*/*"})


class Exchange:
    """What is answered to one request, and the work that goes on for it."""

    def __init__(self, call: Call, message: Mapping[str, Any], raw: bytes) -> None:
        self.call = call
        self._message = message
        self._raw = raw
        self._given = False
        self._works: set[asyncio.Task[Any]] = set()
        self._left = False
        self._head: Message = {}
        self._body = bytearray()

    async def receive(self) -> Message:
        """Give the body that was read; after that nothing comes."""
        if self._given:
            await asyncio.get_running_loop().create_future()
        self._given = True
        return {"type": "http.request", "body": self._raw, "more_body": False}

    async def send(self, message: Message) -> None:
        """Take what is answered."""
        if message["type"] == "http.response.start":
            self._head = message
        else:
            self._body += message.get("body", b"")

    async def worked(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what comes of a work; None where the client has gone, with whom it is given up."""
        task = asyncio.ensure_future(work)
        self._works.add(task)
        if self._left:
            task.cancel()
        await asyncio.wait([task])
        return None if task.cancelled() else task.result()

    def leave(self) -> None:
        """Give up what goes on: the client has gone."""
        self._left = True
        for work in self._works:
            work.cancel()

    async def answered(self) -> Response:
        """Return the answer of the official server; its refusals are problem documents too."""
        protocol = await asyncio.to_thread(import_module, "api.mcp_server.protocol")  # a second that no start pays
        await protocol.serve(self)
        status, body = self._head["status"], bytes(self._body)
        if status >= 400:
            return self._refused(status, body)
        return Response(body, status, media_type="application/json" if body else None)

    def _refused(self, status: int, body: bytes) -> Response:
        """Return a refusal of the protocol: JSON-RPC's error, which clients read, within a problem document."""
        refusal = orjson.loads(body) if body.startswith(b"{") else {}  # it may be a plain text, which clients ignore
        error = refusal.get("error", {"message": "The request does not follow the protocol."})
        if "validation error" in error["message"].lower():  # the library's own words repeat what was sent
            error["message"] = NO_MESSAGE
        problem = HttpProblem(status, "mcp_refused", error["message"])
        return Response(orjson.dumps({**self._problem(problem), **refusal}), status, media_type="application/json")

    def failed(self, error: Exception) -> bytes:
        """Return the JSON-RPC error for a defect."""
        problem = self._problem(error)
        told = {"code": INTERNAL_ERROR, "message": problem["detail"], "data": problem}
        return orjson.dumps({"jsonrpc": "2.0", "id": self._message.get("id"), "error": told})

    def _problem(self, error: Exception) -> dict[str, Any]:
        return problem_document(error, request_id=self.call.request_id, instance=self.call.request.url.path)


async def exchange(call: Call) -> Response:
    """Answer a message of an MCP client: at once if that is possible, else as a stream that shows signs of life."""
    message, raw = await read_object(call.request)
    takes = {part.partition(";")[0].strip().lower() for part in call.request.headers.get("accept", "*/*").split(",")}
    if not takes & JSON_TYPES:
        raise HttpProblem(406, "not_acceptable", "Send Accept: application/json, text/event-stream.")
    held = Exchange(call, message, raw)
    answering = asyncio.ensure_future(held.answered())
    leaving = asyncio.ensure_future(gone(call.request.receive))
    try:
        patience = HEARTBEAT if takes & EVENTS else None
        await asyncio.wait({answering, leaving}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        if not leaving.done():
            return EventStream(late(held, answering))
        held.leave()
        await asyncio.wait([answering])
        raise HttpProblem(400, "client_gone", "The connection ended before there was an answer.")
    finally:
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving


async def late(held: Exchange, answering: "asyncio.Task[Response]") -> AsyncGenerator[bytes, None]:
    """Yield an answer as the one event of a stream."""
    try:
        try:
            body = bytes((await asyncio.shield(answering)).body)
        except Exception as error:
            body = held.failed(error)
        yield b"event: message\ndata: %b\n\n" % body
    finally:
        if not answering.done():
            held.leave()
            await asyncio.wait([answering])


OPERATIONS = (
    Operation(
        method="POST",
        path="/mcp",
        side="both",
        tag="mcp",
        name="mcp",
        summary="Talk MCP (streamable HTTP, stateless): what is configured here, as tools and prompts",
        permission="mcp:use",
        handler=exchange,
        body={
            "type": "object",
            "required": ["jsonrpc", "method"],
            "properties": {
                "jsonrpc": {"const": "2.0"},
                "id": {"type": ["string", "integer"], "description": "Of a request; a notification has none."},
                "method": {"type": "string", "description": "`initialize`, `tools/list`, `tools/call`, ..."},
                "params": {"type": "object"},
            },
        },
        answer={"type": "object", "description": "The JSON-RPC response."},
    ),
)
