"""Another machine's HTTP API on loopback: answers by a function, fails when told to, and keeps what it was asked."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
import uvicorn


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request; `query` has the last value of each name, `target` is path and query as they were sent."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    target: str = ""

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is answered; anything that is no bytes goes out as JSON."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """A server: `answers` says what, `next` goes before it, one answer a request; None there cuts the connection."""

    answers: Callable[[Asked], Answer] = lambda _: Answer(status=404)
    next: list[Answer | None] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        asked = Asked(
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
            headers={name.decode().lower(): value.decode() for name, value in scope["headers"]},
            body=body,
            target=(scope["raw_path"] + b"?" * bool(scope["query_string"]) + scope["query_string"]).decode(),
        )
        self.asked.append(asked)
        answer = self.next.pop(0) if self.next else self.answers(asked)
        if answer is None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": False})
            return
        content = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
        kind = {} if isinstance(answer.body, bytes) else {"content-type": "application/json"}
        headers = [(k.lower().encode(), v.encode("latin-1")) for k, v in {**kind, **answer.headers}.items()]
        headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


class QuietServer(uvicorn.Server):
    """A server that leaves signals to the test run."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


@contextlib.asynccontextmanager
async def site(answers: Callable[[Asked], Answer] | None = None) -> AsyncIterator[Site]:
    """Serve on a loopback port while the block lasts."""
    made = Site() if answers is None else Site(answers=answers)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made.port = listening.getsockname()[1]
        server = QuietServer(uvicorn.Config(made, log_level="critical", lifespan="off"))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield made
        finally:
            server.should_exit = True
            await task
