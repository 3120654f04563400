"""`magnet vectors`: how far the vector store is that VECTOR_DB_TYPE names, and having it filled anew."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, line, show_json, table

if TYPE_CHECKING:
    from adapters.postgres.passages.standing import StoresStanding

vectors = typer.Typer(help="Vectors in another store than PostgreSQL: status, rebuild.", no_args_is_help=True)
COLUMNS = ("space", "store", "asked", "stored", "waiting", "to_remove")


@vectors.command()
def status(*, as_json: AsJSON = False) -> None:
    """Print what the store has of each space, what waits, and what is yet to be removed from it."""
    from dataclasses import asdict

    with _standing() as standing:
        spaces, others = [asdict(each) for each in standing.spaces()], standing.others()
    if as_json:
        show_json({"spaces": spaces, "others": others})
        return
    table(COLUMNS, [[each[name] for name in COLUMNS] for each in spaces])
    for store, places in others.items():
        line(f"{store}: {places} versions of documents are noted; only who runs with that store removes them there.")


@vectors.command()
def rebuild(*, as_json: AsJSON = False) -> None:
    """Have the store emptied and filled anew by the server or worker; PostgreSQL answers meanwhile, more slowly."""
    with _standing() as standing:
        stores = standing.fill_anew()
    if not stores:
        raise CommandFailed("No store of this type was ever filled: 'magnet serve' or a worker fills it by itself.")
    if as_json:
        show_json({"stores": stores})
    else:
        line("It will be filled anew: see 'magnet vectors status'.")


@contextmanager
def _standing() -> "Iterator[StoresStanding]":
    """Give what looks at the store that the settings name."""
    import psycopg

    from adapters.postgres.passages.standing import StoresStanding
    from api.cli.backups import local_settings
    from api.database import database

    settings = local_settings("This looks into the database itself")
    if settings.vector_db_type == "pgvector":
        raise CommandFailed("VECTOR_DB_TYPE is pgvector: vectors are in PostgreSQL, and nowhere else.")
    with database(settings) as dsns, psycopg.connect(dsns.app, autocommit=True) as connection:
        yield StoresStanding(connection, settings.vector_db_type)
