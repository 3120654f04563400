"""Magnet over real sockets, for a test: the application on a fresh database, and a client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from adapters.keyring import FILE as KEY
from api.app import create_app
from api.bootstrap import open_container
from api.container import Container
from api.serve import Server, listen, server_config
from api.settings import Settings
from commands.knowledge.reading import DocumentReader
from commands.models.model_calls import ChatModels
from tests.support.postgres import Database


class QuietServer(Server):
    """A server that leaves signals to the test run."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


@dataclass
class Running:
    """A server that runs, and a client without a key."""

    url: str
    port: int
    container: Container
    client: httpx.AsyncClient
    database: Database
    position: int = field(default=0)

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a request; header names are written with _ for -. It waits for what the commands before it did."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.position:
            sent.setdefault("Magnet-Min-Position", str(self.position))
        answer = await self.client.request(method, path, json=body, headers=sent)
        if method != "GET" and answer.is_success:
            self.position = max(self.position, int(answer.headers.get("Magnet-Position", 0)))
        return answer

    async def get(self, path: str, **headers: str) -> Any:
        """Return the JSON of a query that must succeed."""
        answer = await self.call("GET", path, **headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def do(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the JSON of a command that must succeed."""
        answer = await self.call(method, path, body, **headers)
        assert answer.is_success, answer.text
        return answer.json()


@contextlib.asynccontextmanager
async def serving(
    database: Database,
    home: Path,
    *,
    side: str = "all",
    worker: bool = True,
    chat_models: ChatModels | None = None,
    reader: DocumentReader | None = None,
    **settings: Any,
) -> AsyncIterator[Running]:
    """Serve on a loopback port while the block lasts."""
    _take_over_key(database, home)
    made = Settings(_env_file=None, MAGNET_HOME=home, **{"MAGNET_PORT": 0, **settings})
    container = await open_container(made, dsn=database.app_dsn, worker=worker, chat_models=chat_models, reader=reader)
    try:
        with listen(made) as listening:
            port = listening.getsockname()[1]
            config = server_config(create_app(container, side=side), made)
            server = QuietServer(config, container)
            task = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                url = f"http://127.0.0.1:{port}"
                async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, verify=False) as client:
                    yield Running(url=url, port=port, container=container, client=client, database=database)
            finally:
                server.should_exit = True
                await task
    finally:
        await container.close()


def _take_over_key(database: Database, home: Path) -> None:
    if database.key is not None:
        home.mkdir(parents=True, exist_ok=True)
        (home / KEY).write_bytes(database.key)
