"""Routing: many routes are found by their first segments, not tried one after the other."""

import re
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

Key = tuple[int, str]

SLASH = "\udc2f"
"""Stands for an encoded slash while routes are looked for; no address decodes to it."""


class IndexedRoutes(BaseRoute):
    """Routes whose first two segments are fixed, as one route of the application.

    Which may match is looked up by the number of segments and the second of them, so that a hundred
    routes cost no more than a few.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self._index: defaultdict[Key, list[Route]] = defaultdict(list)
        for route in routes:
            self._index[_key(route.path)].append(route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return the first full match, else one for a path that takes other methods."""
        if scope["type"] != "http":
            return Match.NONE, {}
        others: list[Route] = []
        asked = _with_slashes_kept(scope)
        for route in self._index.get(_key(asked["path"].removeprefix(asked.get("root_path", ""))), ()):
            match, child = route.matches(asked)
            if match is Match.FULL:
                if asked is not scope:
                    given = child["path_params"].items()
                    child["path_params"] = {name: value.replace(SLASH, "/") for name, value in given}
                return match, {**child, "route": route}
            if match is Match.PARTIAL:
                others.append(route)
        return (Match.PARTIAL, {"route": others[0], "others": others}) if others else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve by the route that matched; where none takes the method, tell which are taken."""
        if others := scope.get("others"):
            methods = sorted({method for route in others for method in route.methods})
            raise HTTPException(405, headers={"Allow": ", ".join(methods)})
        await scope["route"].handle(scope, receive, send)


class Directly:
    """Serves what the index finds within the given layers alone: the framework's own way there costs as much as a small command.

    What it does not find, or not with this method, goes the framework's way. Endpoints answer every error themselves.
    """

    def __init__(self, app: FastAPI, routes: IndexedRoutes, layers: Sequence[Middleware]) -> None:
        self._app = app
        self._routes = routes
        self._served = within(layers, _endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        match, found = self._routes.matches(scope)
        if match is not Match.FULL:
            await self._app(scope, receive, send)
            return
        scope.update(found, app=self._app)
        await self._served(scope, receive, send)


def within(layers: Sequence[Middleware], app: ASGIApp) -> ASGIApp:
    """Return an application inside of layers, the outermost first."""
    for layer, arguments, more in reversed(layers):
        app = layer(app, *arguments, **more)
    return app


async def _endpoint(scope: Scope, receive: Receive, send: Send) -> None:
    await scope["endpoint"](scope, receive, send)


def _with_slashes_kept(scope: Scope) -> Scope:
    """Return the scope with a path in which an encoded slash divides nothing: tags and subjects may have one."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" not in raw.lower():
        return scope
    parts = re.split("%2f", raw.decode("ascii"), flags=re.IGNORECASE)
    return {**scope, "path": SLASH.join(unquote(part) for part in parts)}


def _key(path: str) -> Key:
    segments = path.split("/")
    return len(segments), segments[2] if len(segments) > 2 else segments[-1]
