"""MCP servers: visited by the official client, asked what they offer, and their tools called."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import mcp_types as types
import orjson
from mcp.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter, ValidationError

from adapters.connectors.oauth import Tokens
from adapters.connectors.web import place
from adapters.knowledge.source_secrets import SealedSourceSecrets
from adapters.tool_servers.answers import not_shown, told
from adapters.tool_servers.credentials import Credentials, credentials_of, hidden
from adapters.tool_servers.guarded_http import Door, GuardedTransport
from adapters.tool_servers.mcp_offer import offer_of, paged
from adapters.tool_servers.withholding import without
from commands.agents.tools import Offer, ToolAnswer, ToolServerUnavailable
from commands.knowledge.connectors import SourceUnavailable
from domain.provider import web_origin
from domain.tool_server import ToolServer
from domain.turn_effects import UNKNOWN

OURS = types.Implementation(name="magnet", version="1")
LONGEST_ERROR = 600
"""Characters that are told of what went wrong."""

CALLED: TypeAdapter[Any] = TypeAdapter(types.CallToolResult)
BROKEN = frozenset({types.CONNECTION_CLOSED, types.REQUEST_TIMEOUT})
"""Codes of errors that no server has said."""


@dataclass
class Visit:
    """One visit to a server: by which door, and whether it came inside, from where on something may have been done."""

    credentials: Credentials
    door: Door | None = None
    inside: bool = False

    def doubt(self, changes: bool) -> str:
        """Return what is said besides of a call that changes something and was not answered."""
        return f" {UNKNOWN}" if changes and self.inside else ""


@dataclass(frozen=True, kw_only=True)
class McpServers:
    """Calls MCP servers; each call is a visit of its own, with a session that ends with it."""

    transport: GuardedTransport
    tokens: Tokens
    secrets: SealedSourceSecrets

    async def offer(self, server: ToolServer) -> Offer:
        """Return what a server offers."""
        async with self._visit(server, server.definition["timeout"]) as client:
            offer = await offer_of(client)
        return without(offer, await self._unsaid(server))

    async def call(
        self, server: ToolServer, tool: Mapping[str, Any], arguments: Mapping[str, Any], *, seconds: float
    ) -> ToolAnswer:
        """Call a tool, or read a prompt or a resource, once."""
        request = tool["request"]
        kind = request["kind"]
        line = f"{METHODS[kind]} {request.get('name') or arguments.get('name') or arguments.get('uri')}"
        async with self._visit(server, seconds, changes=server.has_effects(tool)) as client:
            try:
                text, failed = await ANSWERS[kind](client, tool, arguments)
            except MCPError as error:
                if error.code in BROKEN:
                    raise
                text, failed = f"The server refused: {error}", True
        unsaid = await self._unsaid(server)
        return ToolAnswer(text=told(text, unsaid), failed=failed, request=told(line, unsaid))

    async def _unsaid(self, server: ToolServer) -> list[str]:
        """Return what must not be told of what a server says."""
        secrets = await self.secrets.of(server)
        return hidden(secrets, credentials_of(server, secrets, server.definition["url"]), self.tokens)

    @asynccontextmanager
    async def _visit(self, server: ToolServer, seconds: float, *, changes: bool = False) -> AsyncIterator[Client]:
        """Yield a client that is connected; what goes wrong is raised as ToolServerUnavailable, in words."""
        url = server.definition["url"]
        secrets = await self.secrets.of(server)
        visit = Visit(credentials_of(server, secrets, url))
        try:
            async with asyncio.timeout(seconds), AsyncExitStack() as stack:
                yield await self._connected(stack, server, visit, seconds)
        except ToolServerUnavailable:
            raise
        except SourceUnavailable as error:
            raise ToolServerUnavailable(str(error), code=error.error_code) from None
        except TimeoutError:
            raise ToolServerUnavailable(
                f"{place(url)} has not answered within {seconds:g} s.{visit.doubt(changes)}", code="tool_timed_out"
            ) from None
        except Exception as error:
            if not explains(error, visit.door):
                raise
            said = told(words(url, error, visit.door), hidden(secrets, visit.credentials, self.tokens))
            code = None if visit.door is None else visit.door.code
            raise ToolServerUnavailable(f"{said[:LONGEST_ERROR]}{visit.doubt(changes)}", code=code) from None

    async def _connected(self, stack: AsyncExitStack, server: ToolServer, visit: "Visit", seconds: float) -> Client:
        """Return a client that is connected until the stack ends; a token that is refused is had anew, once."""
        grant = visit.credentials.grant
        for last in (False, True):
            headers = dict(visit.credentials.headers)
            token = None if grant is None else await self.tokens.token(grant)
            if token is not None:
                headers["Authorization"] = f"Bearer {token}"
            home = web_origin(as_asked(server.definition["url"]))
            visit.door = Door(self.transport, home, headers, visit.credentials.query)
            try:
                client = await stack.enter_async_context(self._client(server, visit.door, seconds))
            except Exception:  # the door tells a 401, whatever the client makes of it; all else is raised
                if last or grant is None or token is None or visit.door.status != 401:
                    raise
                self.tokens.forget(grant, token)
            else:
                visit.inside = True
                return client
        raise AssertionError("the last try returns or raises")

    def _client(self, server: ToolServer, door: Door, seconds: float) -> AbstractAsyncContextManager[Client]:
        url = server.definition["url"]

        def http(
            headers: dict[str, str] | None = None,
            timeout: httpx2.Timeout | None = None,
            auth: httpx2.Auth | None = None,
        ) -> httpx2.AsyncClient:
            return httpx2.AsyncClient(
                headers=headers, timeout=timeout or seconds, auth=auth, transport=door, trust_env=False
            )

        @asynccontextmanager
        async def connected() -> AsyncIterator[Client]:
            if server.definition["transport"] == "sse":
                made = Client(sse_client(url, httpx_client_factory=http), mode="legacy", client_info=OURS)
                async with made as client:
                    yield client
            else:
                async with (
                    http() as opened,
                    Client(streamable_http_client(url, http_client=opened), client_info=OURS) as client,
                ):
                    yield client

        return connected()


def as_asked(url: str) -> str:
    """Return a URL as requests have it, its host in ASCII, or raise ToolServerUnavailable where that is no name."""
    try:
        return str(httpx2.URL(url))
    except httpx2.InvalidURL:
        raise ToolServerUnavailable(
            f"{place(url)} is no address: look at the name of its host.", code="address_refused"
        ) from None


async def called(client: Client, tool: Mapping[str, Any], arguments: Mapping[str, Any]) -> tuple[str, bool]:
    """Call a tool; return what it answered, and whether that is an error.

    The answer is not held against the schema that the server itself gives for it.
    """
    if b"x-mcp-header" in orjson.dumps(tool["input_schema"]):
        await paged(client.list_tools, "tools")  # tells the client which arguments go into headers
    params = types.CallToolRequestParams(name=tool["request"]["name"], arguments=dict(arguments))
    result = await client.session.send_request(types.CallToolRequest(params=params), CALLED)
    text = "\n".join(map(block_text, result.content))
    if not text and result.structured_content is not None:
        text = orjson.dumps(result.structured_content).decode()
    return text or "(The answer is empty.)", result.is_error


async def prompted(client: Client, _: Mapping[str, Any], arguments: Mapping[str, Any]) -> tuple[str, bool]:
    """Read a prompt."""
    result = await client.get_prompt(arguments["name"], arguments.get("arguments") or None)
    return "\n\n".join(f"{each.role}: {block_text(each.content)}" for each in result.messages), False


async def read(client: Client, _: Mapping[str, Any], arguments: Mapping[str, Any]) -> tuple[str, bool]:
    """Read a resource."""
    result = await client.read_resource(arguments["uri"])
    return "\n\n".join(map(resource_text, result.contents)), False


METHODS = {"tool": "tools/call", "prompt": "prompts/get", "resource": "resources/read"}
ANSWERS = {"tool": called, "prompt": prompted, "resource": read}


def block_text(block: Any) -> str:
    """Return what is told of a part of an answer."""
    match block:
        case types.TextContent():
            return block.text
        case types.ImageContent() | types.AudioContent():
            return not_shown(block.mime_type, len(block.data) * 3 // 4)
        case types.EmbeddedResource():
            return resource_text(block.resource)
        case types.ResourceLink():
            return f"{block.title or block.name}: {block.uri}"
    return not_shown("data", 0)


def resource_text(resource: Any) -> str:
    """Return what is told of a resource."""
    if isinstance(resource, types.TextResourceContents):
        return resource.text
    return not_shown(resource.mime_type or "data", len(resource.blob) * 3 // 4)


def explains(error: BaseException, door: Door | None) -> bool:
    """Return whether an error is the server's, or the way's there, and none of ours."""
    if door is not None and door.failure is not None:
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(explains(each, door) for each in error.exceptions)
    return isinstance(error, MCPError | ValidationError | httpx2.HTTPError | ValueError | RuntimeError)


def words(url: str, error: BaseException, door: Door | None) -> str:
    """Return in words what went wrong."""
    if door is not None and door.failure is not None:
        return f"{door.failure.rstrip('.')}."
    if door is not None and door.status in (401, 403):
        return f"{place(url)} does not let this installation in ({door.status}): look at 'auth' and its secret."
    if door is not None and door.status is not None:
        return f"{place(url)} answered {door.status}: is this the endpoint of an MCP server?"
    if isinstance(error, MCPError):
        return f"{place(url)} answered with an error: {error}."
    return f"{place(url)} answered what is not MCP."
