"""The documentation pages, served from the installation itself: they work without a network."""

import asyncio
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

ASSETS: Mapping[str, str] = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "redoc.standalone.js": "text/javascript",
}
Document = Callable[[], Mapping[str, Any]]
KEPT = "public, max-age=86400"
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
SWAGGER = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Magnet: API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="{root}/docs/static/swagger-ui.css">
</head><body><div id="ui"></div>
<script src="{root}/docs/static/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({{url: "{root}/openapi.json", dom_id: "#ui", deepLinking: true, docExpansion: "none",
  validatorUrl: null, tryItOutEnabled: true, persistAuthorization: false, showExtensions: true}});
</script></body></html>"""
REDOC = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Magnet: API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>body {{ margin: 0 }}</style>
</head><body><div id="ui"></div>
<script src="{root}/docs/static/redoc.standalone.js"></script>
<script>
Redoc.init("{root}/openapi.json", {{disableGoogleFont: true, hideLoading: true, disableSearch: false,
  theme: {{typography: {{fontFamily: "sans-serif", headings: {{fontFamily: "sans-serif"}}}}}}}},
  document.getElementById("ui"));
</script></body></html>"""


def add_routes(app: FastAPI, document: Document, events: Document, root: str) -> None:
    """Add /openapi.json, /asyncapi.json, /docs (where / leads) and /redoc; they are public, as the routes they describe are not.

    `root` is the path under which a proxy serves. Documents are made when they are first asked for, in a thread:
    no start waits for them.
    """
    body, messages = (cache(lambda made=made: orjson.dumps(made())) for made in (document, events))

    async def openapi(_: Request) -> Response:
        return Response(await asyncio.to_thread(body), media_type="application/json")

    async def asyncapi(_: Request) -> Response:
        return Response(await asyncio.to_thread(messages), media_type="application/json")

    async def first(_: Request) -> Response:
        return RedirectResponse(f"{root}/docs")

    async def docs(_: Request) -> Response:
        return HTMLResponse(SWAGGER.format(root=root), headers={"Content-Security-Policy": POLICY})

    async def redoc(_: Request) -> Response:
        return HTMLResponse(REDOC.format(root=root), headers={"Content-Security-Policy": POLICY})

    directory = assets()

    async def asset(request: Request) -> Response:
        media_type = ASSETS.get(request.path_params["name"])
        if media_type is None:
            raise HTTPException(404)
        content = await asyncio.to_thread((directory / request.path_params["name"]).read_bytes)
        return Response(content, media_type=media_type, headers={"Cache-Control": KEPT})

    routes = {
        "/": first,
        "/openapi.json": openapi,
        "/asyncapi.json": asyncapi,
        "/docs": docs,
        "/redoc": redoc,
        "/docs/static/{name}": asset,
    }
    app.router.routes += [Route(path, endpoint, methods=["GET"]) for path, endpoint in routes.items()]


def assets() -> Path:
    """Return the directory of Swagger UI's and ReDoc's files, which fastapi-offline brings along."""
    spec = find_spec("fastapi_offline")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "static"
