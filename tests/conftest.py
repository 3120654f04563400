"""Fixtures that every test may use: the session's PostgreSQL, and a fresh database."""

from collections.abc import Iterator

import pytest

from adapters import failpoints
from adapters.postgres.embedded import EmbeddedPostgres
from tests.support.postgres import Database, fresh_database, server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The session's server, shared by all workers of the session."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    home = shared / "home"
    home.mkdir(exist_ok=True)
    with server(home) as running:
        yield running


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """A migrated, empty database of the test's own."""
    with fresh_database(postgres) as made:
        yield made


@pytest.fixture(autouse=True)
def _failpoints_are_disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


__all__ = ["Database"]
