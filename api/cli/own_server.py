"""A server inside this process, for one command: on a loopback port of its own, with a key of its own."""

import asyncio
import contextlib
import getpass
import hmac
import secrets
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.requests import Request

from api.app import create_app
from api.auth import Authenticates, token_in
from api.bootstrap import open_container
from api.database import database
from api.default_provider import ensure_default_provider
from api.process import look_less_often
from api.serve import Server
from api.settings import Settings
from commands.ports import Actor


class PassingKey:
    """Lets in who holds a key that lives as long as this process, as the person at the command line."""

    def __init__(self, key: str, others: Authenticates) -> None:
        self._key = key.encode()
        self._others = others
        self._actor = Actor(type="command_line", id=user(), name=user(), roles=frozenset({"admin"}))

    async def __call__(self, request: Request) -> Actor:
        """Return who calls; anybody else is treated as everywhere."""
        given = token_in(b"authorization", request.headers.get("authorization", "").encode("latin-1"))
        if hmac.compare_digest(given.encode("utf-8", "replace"), self._key):
            return self._actor
        return await self._others(request)

    async def still(self, actor: Actor) -> Actor | None:
        """Return who called as it is now."""
        return actor if actor is self._actor else await self._others.still(actor)


class OwnServer(Server):
    """A server that leaves signals to the command."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


@contextlib.asynccontextmanager
async def own_server(settings: Settings) -> AsyncIterator[tuple[str, str]]:
    """Serve the installation while the block lasts; give the URL and the key."""
    key = secrets.token_urlsafe(32)
    look_less_often()
    with database(settings) as dsns:
        container = await open_container(settings, dsn=dsns.app, worker=True)
        try:
            container.authenticator = PassingKey(key, container.authenticator)
            await ensure_default_provider(container, settings)
            with loopback() as listening:
                port = listening.getsockname()[1]
                config = uvicorn.Config(create_app(container), log_config=None, access_log=False, lifespan="off")
                server = OwnServer(config, container)
                serving = asyncio.create_task(server.serve(sockets=[listening]))
                try:
                    yield f"http://127.0.0.1:{port}", key
                finally:
                    server.should_exit = True
                    await serving
        finally:
            await container.close()


def user() -> str:
    """Return the name of the person at the command line, as far as the system knows it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "command line"


def loopback() -> socket.socket:
    """Return a socket that listens on a free loopback port."""
    # Told that it is TCP, asyncio sends small answers at once; else each waits 40 ms for the client's word.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening
