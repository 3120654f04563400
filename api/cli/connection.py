"""How commands reach an installation: over HTTP, to a server or to one inside this very process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx2
import orjson

from api.cli.failure import CommandFailed
from api.cli.server_events import ServerEvent, events_in
from api.logging import configure
from api.settings import load

Parameters = Mapping[str, str | int]
TRIES = 5
UPLOAD_TIMEOUT = httpx2.Timeout(300.0, connect=10.0)
TIMEOUT = httpx2.Timeout(60.0, connect=10.0)
AS_LONG_AS_IT_TAKES = httpx2.Timeout(None, connect=10.0)
"""For what reads the whole log: how long that takes depends on the log."""

AGAIN_AFTER = 0.3
"""Seconds before a stream that ended is asked for again."""


class Refused(CommandFailed):
    """The server answered with a problem document."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        said = str(problem.get("detail") or problem.get("title") or f"The server answered {status}.")
        for error in problem.get("errors", ()):
            if error.get("message") not in (None, said):
                said += f"\n  {error.get('pointer') or '/'}: {error['message']}"
        super().__init__(said)
        self.status = status
        self.code = str(problem.get("code", ""))
        self.problem = problem


class NotThere(Refused):
    """There is no such thing."""


class Unreachable(CommandFailed):
    """The server does not answer."""


class Connection:
    """Speaks with a server; what is read includes what was recorded before it, and what its commands did."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self._position = 0

    async def begin(self) -> None:
        """Have read models waited for: after a restore they hold nothing yet, which is not what there is."""
        try:
            answer = await self._client.get("/health/ready", timeout=TIMEOUT)
        except httpx2.HTTPError as error:
            raise unreachable(self._client.base_url, error) from None
        self._position = int(answer.headers.get("Magnet-Position", 0))

    async def can_be_found(self, source: str) -> None:
        """Wait until searches find everything that is indexed in a knowledge source by now, however long it takes."""
        await self.begin()
        while True:
            try:
                await self.get(f"/v1/knowledge-sources/{source}/passages", {"limit": 1})
            except Refused as error:
                if error.code != "read_model_behind":
                    raise
            else:
                return

    async def get(self, path: str, parameters: Parameters | None = None) -> Any:
        """Return the JSON of a query, or raise Refused."""
        return orjson.loads((await self.raw("GET", path, parameters=parameters)).content)

    async def pages(self, path: str, parameters: Parameters | None = None) -> AsyncIterator[Any]:
        """Yield every item of a list."""
        asked = dict(parameters or {})
        while True:
            page = await self.get(path, asked)
            for item in page["items"]:
                yield item
            if page["next_cursor"] is None:
                return
            asked["cursor"] = page["next_cursor"]

    async def command(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        if_match: int | None = None,
        parameters: Parameters | None = None,
    ) -> Any:
        """Return the receipt of a command, or raise Refused."""
        headers = {} if if_match is None else {"If-Match": f'"{if_match}"'}
        answer = await self.raw(method, path, body, parameters=parameters, headers=headers)
        return orjson.loads(answer.content)

    async def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        parameters: Parameters | None = None,
        headers: Mapping[str, str] | None = None,
        within: httpx2.Timeout = TIMEOUT,
    ) -> httpx2.Response:
        """Return the answer, or raise Refused; a query that the server is not ready for is sent again."""
        sent = dict(headers or {})
        if method == "GET" and self._position:
            sent["Magnet-Min-Position"] = str(self._position)
        content = None if body is None else orjson.dumps(body)
        if content is not None:
            sent["Content-Type"] = "application/json"
        for attempt in range(TRIES):
            try:
                answer = await self._client.request(
                    method, quoted(path), content=content, params=parameters or {}, headers=sent, timeout=within
                )
            except httpx2.HTTPError as error:
                raise unreachable(self._client.base_url, error) from None
            if answer.status_code != 503 or method != "GET" or attempt == TRIES - 1:
                break
            await asyncio.sleep(min(float(answer.headers.get("Retry-After", 1)), 5))
        if answer.status_code >= 400:
            raise refused(answer)
        if method != "GET":
            self._position = max(self._position, int(answer.headers.get("Magnet-Position", 0)))
        return answer

    async def upload(self, path: str, files: Sequence[tuple[str, bytes]]) -> Any:
        """Return the receipt for files, by name and content; what the server is not ready for is sent again."""
        for attempt in range(TRIES):
            try:
                given = [("files", (name, content)) for name, content in files]
                answer = await self._client.post(quoted(path), files=given, timeout=UPLOAD_TIMEOUT)
            except httpx2.HTTPError as error:
                raise unreachable(self._client.base_url, error) from None
            if answer.status_code not in (429, 503) or attempt == TRIES - 1:
                break
            await asyncio.sleep(min(float(answer.headers.get("Retry-After", 1)), 5))
        if answer.status_code >= 400:
            raise refused(answer)
        self._position = max(self._position, int(answer.headers.get("Magnet-Position", 0)))
        return orjson.loads(answer.content)

    async def stream(
        self, method: str, path: str, body: Any = None, *, parameters: Parameters | None = None, last_id: str = ""
    ) -> AsyncIterator[ServerEvent]:
        """Yield the events of a stream, after an id where one is given; raise Refused, or Unreachable when it breaks."""
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
        if body is not None:
            headers["Content-Type"] = "application/json"
        content = None if body is None else orjson.dumps(body)
        try:
            async with self._client.stream(
                method,
                quoted(path),
                content=content,
                params=parameters or {},
                headers=headers,
            ) as answer:
                if answer.status_code >= 400:
                    await answer.aread()
                    raise refused(answer)
                async for event in events_in(answer.aiter_lines()):
                    yield event
        except httpx2.HTTPError as error:
            raise unreachable(self._client.base_url, error) from None

    async def follow(self, path: str, parameters: Parameters, after: int) -> AsyncIterator[Any]:
        """Yield what an endless stream sends after a position, through restarts of the server, without end."""
        await self.get("/health/live")  # a server that was never there is an error; one that goes away is waited for
        last = str(after)
        while True:
            try:
                async for event in self.stream("GET", path, parameters=parameters, last_id=last):
                    last = event.id
                    yield event.data
            except (Unreachable, Refused) as error:
                if not (isinstance(error, Unreachable) or error.status == 503):
                    raise
            await asyncio.sleep(AGAIN_AFTER)


@asynccontextmanager
async def connected() -> AsyncIterator[Connection]:
    """Connect to MAGNET_URL with MAGNET_API_KEY; without, to the database, by a server in this process."""
    settings = load()
    async with AsyncExitStack() as stack:
        if settings.url:
            url, key = settings.url, settings.api_key.get_secret_value() if settings.api_key else None
        else:
            from api.cli.own_server import own_server

            configure("WARNING", settings.log_format)
            url, key = await stack.enter_async_context(own_server(settings))
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # A proxy of the environment is for the world outside, not for a server of this process; nor has that a
        # certificate, and reading which ones are believed takes as long as many a command.
        outside = bool(settings.url)
        client = httpx2.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT, trust_env=outside, verify=outside)
        connection = Connection(await stack.enter_async_context(client))
        await connection.begin()
        yield connection


def run(work: Callable[[Connection], Awaitable[None]]) -> None:
    """Connect, do the work, and disconnect."""

    async def connect_and_work() -> None:
        async with connected() as connection:
            await work(connection)

    asyncio.run(connect_and_work())


def refused(answer: httpx2.Response) -> Refused:
    """Return the error for an answer of status 400 or more."""
    try:
        problem = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    if answer.status_code == 401 and not problem.get("detail"):
        problem["detail"] = "The server wants another API key: set MAGNET_API_KEY."
    return (NotThere if answer.status_code == 404 else Refused)(answer.status_code, problem)


def unreachable(url: object, error: httpx2.HTTPError) -> Unreachable:
    """Return the error for a server that does not answer."""
    return Unreachable(f"The server at {url} does not answer ({type(error).__name__}): is it running?")


def quoted(path: str) -> str:
    """Return a path whose parts came from a user."""
    return quote(path, safe="/:@-._~")
