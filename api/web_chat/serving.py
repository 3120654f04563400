"""The chat's script, as pages ask for it: its parts in one function, with the style sheet as a text in it."""

import asyncio
from functools import cache
from hashlib import sha256
from pathlib import Path

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATIC = Path(__file__).parent / "static"
PARTS = ("markdown.js", "client.js", "views.js", "picker.js", "chat.js")
PATH = "/chat.js"
KEPT = "public, max-age=300"


@cache
def script() -> bytes:
    """Return the script; it leaves no name behind in the page."""
    style = orjson.dumps((STATIC / "chat.css").read_text("utf-8")).decode()
    parts = "\n".join((STATIC / part).read_text("utf-8") for part in PARTS)
    return f'(() => {{\n"use strict";\nconst STYLE = {style};\n{parts}}})();\n'.encode()


def add_routes(app: FastAPI) -> None:
    """Add /chat.js; it is public, and any page may read it: what it may ask for, its channel says."""

    async def chat(request: Request) -> Response:
        body = await asyncio.to_thread(script)
        tag = f'"{sha256(body).hexdigest()[:32]}"'
        headers = {"Cache-Control": KEPT, "ETag": tag, "Cross-Origin-Resource-Policy": "cross-origin"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="text/javascript", headers=headers)

    app.router.routes.append(Route(PATH, chat, methods=["GET"]))
