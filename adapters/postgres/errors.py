"""What PostgreSQL's errors mean to the rest of the system, by SQLSTATE class."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolTimeout

from domain.errors import Busy, Conflict, DiskFull, Invalid, Unavailable

UNAVAILABLE_CLASSES = ("08", "53", "57", "58")


def translated(error: Exception) -> Exception:
    """Return the domain's error for one of psycopg's, or the error itself where it is a defect."""
    if isinstance(error, PoolTimeout):
        return Unavailable()
    if not isinstance(error, psycopg.Error):
        return error
    state = error.sqlstate or ""
    if state == "53100":
        return DiskFull()
    if state in ("55P03", "40001", "40P01"):
        return Busy("The database is too busy with this: try again.")
    if state == "23505":
        return Conflict("Something of this name exists already.")
    if state.startswith("22"):
        return Invalid("A value can't be stored as it is: see the field's documentation.", code="invalid_value")
    if state.startswith(UNAVAILABLE_CLASSES) or (
        not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    ):
        return Unavailable()
    return error


@contextmanager
def translating() -> Iterator[None]:
    """Raise the domain's errors in the place of psycopg's in the block."""
    try:
        yield
    except (psycopg.Error, PoolTimeout) as error:
        raise translated(error) from error
