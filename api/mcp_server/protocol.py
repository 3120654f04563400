"""The official MCP server, one for each request: it ends with it, and so does all that it started."""

from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError

from api.call import Call
from api.errors import problem_document
from api.mcp_server import prompts, telling
from api.mcp_server.exchange import Exchange
from api.mcp_server.offers import Offer, find, live, name_of, served
from api.mcp_server.tools import OFFERS
from api.queries.configurations import READ_MODEL

T = TypeVar("T")
INSTRUCTIONS = (
    "search_* find passages of documents, answer_* answer questions from them with citations, ask_* talk with an agent "
    "(give back its conversation to go on), prompt_* run a prompt. Each result has a run_id, under which it is on record."
)
CANCELLED = -32800
ASKED_FOR_MORE = "Everything is in the first page: ask without a cursor."


async def serve(exchange: Exchange) -> None:
    """Answer one request."""
    session = Session(exchange)
    server = Server(
        "magnet",
        title="Magnet",
        version="0.1.0",
        instructions=INSTRUCTIONS,
        get_tool_input_schema=lambda _: None,  # no argument of ours is to stand in a header
        on_list_tools=session.list_tools,
        on_call_tool=session.call_tool,
        on_list_prompts=session.list_prompts,
        on_get_prompt=session.get_prompt,
    )
    # JSON, since the streams of its earlier protocols end when the process is asked to: ours are drained.
    manager = StreamableHTTPSessionManager(server, json_response=True, stateless=True)
    async with manager.run():
        await manager.handle_request(exchange.call.request.scope, exchange.receive, exchange.send)


class Session:
    """What the server is asked, answered for one caller."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._call: Call = exchange.call

    async def list_tools(self, _: Any, asked: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """Return all tools that the caller may use."""
        return await self._told(asked, self._tools())

    async def call_tool(self, _: Any, asked: types.CallToolRequestParams) -> types.CallToolResult:
        """Return what a tool gives; what it refuses is a result as well, for the model to read."""
        result = await self._exchange.worked(self._carried_out(asked.name, asked.arguments or {}))
        if result is None:
            raise MCPError(CANCELLED, "The client has gone.")
        return result

    async def list_prompts(self, _: Any, asked: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        """Return all prompts that the caller may fill in."""
        return await self._told(asked, self._prompts())

    async def get_prompt(self, _: Any, asked: types.GetPromptRequestParams) -> types.GetPromptResult:
        """Return a prompt, filled in."""
        try:
            description, said = await prompts.filled_in(self._call, asked.name, asked.arguments or {})
        except Exception as error:
            raise self._refusal(error) from None
        messages = [types.PromptMessage(role=role, content=types.TextContent(text=text)) for role, text in said]
        return types.GetPromptResult(description=description or None, messages=messages)

    async def _told(self, asked: types.PaginatedRequestParams | None, listing: Coroutine[Any, Any, T]) -> T:
        """Return a list, whole."""
        try:
            if asked is not None and asked.cursor is not None:
                raise MCPError(types.INVALID_PARAMS, ASKED_FOR_MORE)
            await self._call.wait_for_read_model(READ_MODEL)
            return await listing
        except MCPError:
            listing.close()
            raise
        except Exception as error:
            listing.close()
            raise self._refusal(error) from None

    async def _tools(self) -> types.ListToolsResult:
        offers = [offer for offer in OFFERS if served(self._call, offer.operation)]
        return types.ListToolsResult(
            tools=[tool_of(offer, shown) for offer in offers async for shown in live(self._call, offer.kind)]
        )

    async def _prompts(self) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[prompt_of(shown) async for shown in prompts.offered(self._call)])

    async def _carried_out(self, name: str, arguments: dict[str, Any]) -> types.CallToolResult:
        try:
            offer, thing = await find(self._call, name, OFFERS)
            body = await offer.carry_out(self._call, thing, arguments)
        except Exception as error:
            problem = self._problem(error)
            text = types.TextContent(text=telling.refused(problem))
            return types.CallToolResult(content=[text], structured_content=problem, is_error=True)
        return types.CallToolResult(content=[types.TextContent(text=offer.tells(body))], structured_content=body)

    def _problem(self, error: Exception) -> dict[str, Any]:
        return problem_document(error, request_id=self._call.request_id, instance=self._call.request.url.path)

    def _refusal(self, error: Exception) -> MCPError:
        problem = self._problem(error)
        code = types.INTERNAL_ERROR if problem["status"] >= 500 else types.INVALID_PARAMS
        return MCPError(code, telling.refused(problem), problem)


def tool_of(offer: Offer, shown: Mapping[str, Any]) -> types.Tool:
    """Return a thing as a tool."""
    return types.Tool(
        name=name_of(shown["name"], offer.prefix),
        title=shown["title"] or None,
        description=f"{offer.does} {shown['description']}".strip(),
        input_schema=offer.takes(shown),
        output_schema=dict(offer.gives),
        annotations=types.ToolAnnotations(read_only_hint=offer.only_reads, open_world_hint=False),
    )


def prompt_of(shown: Mapping[str, Any]) -> types.Prompt:
    """Return a prompt with its variables as arguments."""
    return types.Prompt(
        name=name_of(shown["name"]),
        title=shown["title"] or None,
        description=shown["description"] or None,
        arguments=[
            types.PromptArgument(name=name, description=description or None, required=required)
            for name, description, required in prompts.arguments_of(shown)
        ],
    )
