"""Which pages of other sites may call: those that MAGNET_CORS_ORIGINS names, and on few routes those that a route knows."""

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.errors import HttpProblem
from commands.channels.channel_standing import open_channel
from domain.channel import Channel
from domain.conversation import Conversation
from domain.errors import NotFound
from domain.references import UUID_FORM, identify

if TYPE_CHECKING:
    from api.call import Operation
    from api.container import Container

ASKED_WITH = "authorization, content-type, idempotency-key, last-event-id"
TOLD = "ETag, Location, Magnet-Position, Request-Id, Idempotent-Replay, Retry-After"
KEPT = 600
"""Seconds that a browser may remember that it may ask."""


class NamedOrigins(CORSMiddleware):
    """Answers pages of the origins that are named for everything; what others are told, each route decides."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is not None and not self.is_allowed_origin(origin):
            await self.app(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


class Preflight:
    """Tells a browser whether a page may call an operation; it tells nothing else, and needs no credential."""

    def __init__(self, operation: "Operation", container: "Container") -> None:
        assert operation.origins is not None
        self._method = operation.method
        self._origins = operation.origins
        self._container = container

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        response, origin = Response(status_code=204, headers={"Vary": "Origin"}), request.headers.get("origin")
        if origin is not None and origin in await self._known(request):
            share(response, origin)
            response.headers["Access-Control-Allow-Methods"] = self._method
            response.headers["Access-Control-Allow-Headers"] = ASKED_WITH
            response.headers["Access-Control-Max-Age"] = str(KEPT)
        await response(scope, receive, send)

    async def _known(self, request: Request) -> Collection[str]:
        try:
            return await self._origins(self._container, request)
        except NotFound:
            return ()


def share(response: Response, origin: str) -> None:
    """Let pages of an origin, and no others, read a response."""
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = TOLD
    response.headers.add_vary_header("Origin")


async def origins_of_conversation(container: "Container", request: Request) -> Collection[str]:
    """Return the origins that a conversation was opened to, or raise NotFound."""
    id = request.path_params["id"]
    if not UUID_FORM.match(id):
        raise NotFound("There is no such conversation.")
    return (await container.store.newest(Conversation, UUID(id))).origins


async def web_chat_of(container: "Container", request: Request) -> Channel:
    """Return the chat on web pages that is addressed, or raise NotFound."""
    ref = request.path_params["ref"]
    if "\x00" in ref:
        raise NotFound("There is no such channel.")
    return await open_channel(container.store, identify(Channel.TOPIC, ref), "web")


async def origins_of_chat(container: "Container", request: Request) -> Collection[str]:
    """Return the origins whose pages may show a chat, or raise NotFound."""
    return tuple((await web_chat_of(container, request)).config["origins"])


async def page_that_asks(operation: "Operation", container: "Container", request: Request) -> str | None:
    """Return the origin of the page that asks for a public operation; raise a 403 for pages that may not.

    What reads only may also be asked for by no page.
    """
    if operation.origins is None:
        return None
    origin, known = request.headers.get("origin"), await operation.origins(container, request)
    if origin not in known and not (origin is None and operation.method == "GET"):
        raise HttpProblem(403, "origin_not_allowed", "Pages of this origin may not ask for this.")
    return origin


def is_own(request: Request, origin: str) -> bool:
    """Return whether an origin is where this very request went to."""
    return origin.partition("://")[2].lower() == request.headers.get("host", "").lower()
