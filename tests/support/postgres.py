"""One PostgreSQL server for a test session, and a fresh database from a template for each test."""

import asyncio
import fcntl
import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

from adapters.postgres.embedded import OWNER, EmbeddedPostgres
from adapters.postgres.migrations import migrate
from adapters.postgres.pools import pool_of
from adapters.projection_runner.batch import Batches
from api.read_models import READ_MODELS

APP = "magnet_app"
TEMPLATE = "magnet_template"

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Database:
    """A migrated, empty database: the connection strings of its owner and of the application.

    It has the read models' tables, empty: making them anew costs each start more than all else that it does.
    `key`: of the installation whose state a database holds that is no longer empty; what is served from it needs that.
    """

    name: str
    owner_dsn: str
    app_dsn: str
    key: bytes | None = None


@contextmanager
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    """Share the session's server; the last process out stops it."""
    # As little memory for pages as there may be: whatever is dropped, all of it is looked through.
    with EmbeddedPostgres(home, settings={"shared_buffers": "128MB"}) as postgres:
        with (home / "template.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone()
                if known is None:
                    connection.execute(SQL("CREATE DATABASE {}").format(Identifier(TEMPLATE)))
            if known is None:
                migrate(postgres.dsn(TEMPLATE), APP, create_role=True)
                _may_create(postgres, TEMPLATE)
                # A thread of its own: a loop may be running here.
                with ThreadPoolExecutor() as threads:
                    threads.submit(asyncio.run, _make_read_models(postgres.dsn(TEMPLATE, APP))).result()
        yield postgres


def _may_create(postgres: EmbeddedPostgres, name: str) -> None:
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(SQL("GRANT CREATE ON DATABASE {} TO {}").format(Identifier(name), Identifier(APP)))


async def _make_read_models(dsn: str) -> None:
    async with pool_of(dsn, 1, 1) as pool:
        for model in READ_MODELS:
            await Batches(pool, model, schema=model.name, fence=0).make_schema()
    psycopg.connect(dsn).close()  # writes what every session would gather for itself, and copies take it along


@contextmanager
def fresh_database(postgres: EmbeddedPostgres, like: Database | None = None) -> Iterator[Database]:
    """Make a database from the template, or like one that nobody is connected to, and drop it in the end."""
    name, template = f"test_{os.getpid()}_{next(_numbers)}", TEMPLATE if like is None else like.name
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(
            SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(Identifier(name), Identifier(template))
        )
        connection.execute(SQL("GRANT CREATE ON DATABASE {} TO {}").format(Identifier(name), Identifier(APP)))
        try:
            yield Database(
                name=name,
                owner_dsn=postgres.dsn(name, OWNER),
                app_dsn=postgres.dsn(name, APP),
                key=None if like is None else like.key,
            )
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
