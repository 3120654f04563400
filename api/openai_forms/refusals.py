"""Errors as OpenAI's clients read them: `error` beside the members of the problem document."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

TYPES: Mapping[int, str] = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
INDEX = re.compile(r"/(\d+)(?=/|\Z)")
HOPELESS = frozenset({502, 504})
"""What was tried again here already, as often as the model's settings allow: the client is told not to."""

NAMED: Mapping[str, str] = {
    "model_not_found": "model",
    "previous_response_not_found": "previous_response_id",
    "conversation_not_found": "conversation",
}
"""The parameter that a code means."""

MOST_TOLD = 10
"""Errors that a message names."""


def refused(response: Response) -> Response:
    """Return a problem document's response with `error` in it."""
    document = orjson.loads(response.body)
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    headers["x-request-id"] = document["request_id"]
    if response.status_code in HOPELESS:
        headers["x-should-retry"] = "false"
    return Response(orjson.dumps(with_error(document)), response.status_code, headers, media_type=response.media_type)


def with_error(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a problem document with `error`: {message, type, code, param}."""
    status, wrong = document["status"], document.get("errors") or []
    message = document["detail"]
    if wrong and [each["message"] for each in wrong] != [message]:
        places = (f"{place_of(each['pointer']) or 'body'}: {each['message']}" for each in wrong[:MOST_TOLD])
        message = f"{message} {'; '.join(places)}"
    param = next((place_of(each["pointer"]) for each in wrong if each["pointer"]), None)
    if status == 404:
        param = NAMED.get(document["code"], param)
    error = {
        "message": message,
        "type": TYPES.get(status, "invalid_request_error" if status < 500 else "server_error"),
        "code": document["code"],
        "param": param,
    }
    return {**document, "error": error}


def place_of(pointer: str) -> str:
    """Return a JSON pointer as OpenAI names places: messages[0].content."""
    return INDEX.sub(r"[\1]", pointer).removeprefix("/").replace("/", ".").replace("~1", "/").replace("~0", "~")
