"""Chats on web pages over HTTP: what a page shows before anything is said."""

import orjson
from starlette.responses import Response

from api.call import Call, Operation, json_response
from api.cross_origin import origins_of_chat, web_chat_of
from api.permissions import PUBLIC


async def chat(call: Call) -> Response:
    """Return how a chat looks and greets."""
    channel = await web_chat_of(call.container, call.request)
    return json_response(orjson.dumps(await call.container.web_chats.described(channel)))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/channels/{ref}/chat",
        side="queries",
        tag="channels",
        name="get_web_chat",
        summary="Of a channel of the type web: how it looks and greets; for pages of its origins",
        permission=PUBLIC,
        handler=chat,
        answer={"type": "object"},
        origins=origins_of_chat,
    ),
)
