"""The append in one blocking call to libpq, for threads.

A psycopg cursor takes the interpreter's lock several times for each statement, and where many threads
want it each time is a wait of its own.
"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import orjson
from psycopg import Connection
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

from adapters.event_store.requests import SQL, Outcome, Request, outcomes, parameters
from adapters.postgres.arrays import binary

STATEMENT = b"magnet_append"


class PreparedAppend:
    """Calls the SQL function; each connection learns the statement at its first use."""

    def __init__(self) -> None:
        self._prepared: WeakSet[Connection[Any]] = WeakSet()

    def __call__(self, connection: Connection[Any], group: Sequence[Request]) -> list[Outcome]:
        """Write the group in a transaction of its own, or raise psycopg's error."""
        if connection not in self._prepared:
            checked(connection.pgconn.prepare(STATEMENT, SQL["prepared"].encode()))
            self._prepared.add(connection)
        # The order of the parameters is that of the function's.
        values: list[Any] = [binary(value) for value in parameters(group).values()]
        result = checked(connection.pgconn.exec_prepared(STATEMENT, values, [Format.BINARY] * len(values)))
        head, answers = result.get_value(0, 0), result.get_value(0, 1)
        assert head is not None
        return outcomes(group, int(head), orjson.loads(answers) if answers else None)


def checked(result: PGresult) -> PGresult:
    """Return the result, or raise the error that it is."""
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise error_from_result(result)
    return result
