"""The PostgreSQL server that everything is measured on, and fresh databases in it."""

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.migrations import migrate
from adapters.postgres.sql import load

QUERIES = load("benchmarks", "database.sql")
APP = "magnet_app"


class Databases:
    """Makes databases; they go with the server."""

    def __init__(self, server: EmbeddedPostgres, home: Path) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self.home = home

    def empty(self, *, memory: bool = False) -> str:
        """Return the connection string of a new, empty database; with `memory`, indexes are built in much of it."""
        name = f"bench_{next(self._numbers)}"
        with psycopg.connect(self._server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(SQL(QUERIES["create"]).format(name=Identifier(name)))
            if memory:
                connection.execute(SQL(QUERIES["give_memory"]).format(name=Identifier(name)))
        return self._server.dsn(name)

    def magnet(self) -> str:
        """Return the connection string, as the application's role, of a new database with Magnet's schema."""
        owner = self.empty()
        migrate(owner, APP, create_role=True)
        return self._server.dsn(str(conninfo_to_dict(owner)["dbname"]), APP)

    def owner_of(self, dsn: str) -> str:
        """Return the connection string of the same database for its owner."""
        return self._server.dsn(str(conninfo_to_dict(dsn)["dbname"]))

    def version(self) -> str:
        """Return the server's version."""
        with psycopg.connect(self._server.dsn("postgres"), autocommit=True) as connection:
            return str(connection.info.parameter_status("server_version"))


@contextmanager
def databases() -> Iterator[Databases]:
    """Run a server with Magnet's own settings, fsync on, in a directory that goes away."""
    with tempfile.TemporaryDirectory(prefix="magnet-bench-") as place:
        home = Path(place)
        with EmbeddedPostgres(home) as server:
            yield Databases(server, home)
