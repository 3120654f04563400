"""A running server for tests of the HTTP side."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.postgres.embedded import EmbeddedPostgres
from tests.support.handbook import database_with_handbook, port_of_models
from tests.support.model_server import ModelServer
from tests.support.postgres import Database, fresh_database
from tests.support.server import Running, serving
from tests.support.talks import Talks, talks


@pytest.fixture(scope="session")
def models_port() -> Iterator[int]:
    """Where the `server` of each test is: the database with the handbook knows it by this port."""
    with port_of_models() as port:
        yield port


@pytest.fixture(scope="session")
def database_with_the_handbook(postgres: EmbeddedPostgres, models_port: int) -> Iterator[Database]:
    with database_with_handbook(postgres, models_port) as made:
        yield made


@pytest.fixture
def handbook() -> None:
    """Say that the test begins with the handbook: models, two documents, and the tools over them."""


@pytest.fixture
def database(request: pytest.FixtureRequest, postgres: EmbeddedPostgres) -> Iterator[Database]:
    """A database of the test's own: migrated and empty, or with the `handbook` where that is asked for."""
    like = request.getfixturevalue("database_with_the_handbook") if "handbook" in request.fixturenames else None
    with fresh_database(postgres, like) as made:
        yield made


@pytest.fixture
async def magnet(database: Database, tmp_path: Path, models_port: int) -> AsyncIterator[Running]:
    """Magnet on a database of its own, over a real socket, without any key yet; with one, `server` is still reached."""
    async with serving(database, tmp_path, MAGNET_EGRESS_ALLOW=f"127.0.0.1:{models_port}") as running:
        yield running


@pytest.fixture
def server(models_port: int) -> Iterator[ModelServer]:
    """A model server for which texts that share words are near."""
    with ModelServer(vectors="words", port=models_port) as running:
        yield running


@pytest.fixture
async def talk(handbook: None, magnet: Running, server: ModelServer) -> AsyncIterator[Talks]:
    """An agent `helper` over the handbook, and its models."""
    async with talks(magnet, server) as made:
        yield made
