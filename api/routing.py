"""Routing: many routes are found by their first segments, not tried one after the other."""

from collections import defaultdict
from collections.abc import Sequence

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

Key = tuple[int, str]


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
        for route in self._index.get(_key(scope["path"].removeprefix(scope.get("root_path", ""))), ()):
            match, child = route.matches(scope)
            if match is Match.FULL:
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


def _key(path: str) -> Key:
    segments = path.split("/")
    return len(segments), segments[2] if len(segments) > 2 else segments[-1]
