"""What most tests of answers and conversations begin with: made once in each process, and copied with its database."""

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from adapters.keyring import FILE as KEY
from adapters.postgres.embedded import EmbeddedPostgres
from api.read_models import READ_MODELS
from tests.support.library import Library, library
from tests.support.model_server import ModelServer
from tests.support.patience import PATIENCE
from tests.support.postgres import Database, fresh_database
from tests.support.server import serving

HOLIDAYS, LUNCH = "Holidays are thirty days a year.", "Lunch is at noon, on thirty tables."


async def write_handbook(books: Library, server: ModelServer | None) -> None:
    """Make two documents, the tools over them, a prompt `shout`, and models where a server has them."""
    if server is not None:
        await books.models(server)
    await books.tools()
    await books.add("a", HOLIDAYS, title="Leave")
    await books.add("b", LUNCH, title="Canteen")
    shout = {"name": "shout", "text": "Shout: {{ words }}", "variables": {"words": {}}}
    await books.magnet.do("POST", "/v1/prompts", shout)


@contextmanager
def database_with_handbook(postgres: EmbeddedPostgres, port: int) -> Iterator[Database]:
    """Make the database that others are made like; its models are at a model server on this port of loopback."""
    with fresh_database(postgres) as made:
        with TemporaryDirectory() as home, ThreadPoolExecutor() as threads:  # a thread of its own: a loop may run here
            threads.submit(asyncio.run, _write(made, Path(home), port)).result()
            key = (Path(home) / KEY).read_bytes()
        psycopg.connect(made.app_dsn).close()  # as for the template
        yield replace(made, key=key)


async def _write(database: Database, home: Path, port: int) -> None:
    async with serving(database, home) as magnet, library(magnet) as books:
        await write_handbook(books, ModelServer(port=port))
        head = await magnet.container.log.head()
        for model in READ_MODELS:
            assert await magnet.container.positions.wait(model.name, head, PATIENCE), model.name


@contextmanager
def port_of_models() -> Iterator[int]:
    """Hold a port of loopback on which nobody listens but who is told of it, one after the other."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
