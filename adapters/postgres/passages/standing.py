"""How far the vectors in another store are, and having it filled anew: by the database alone, which knows of all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql as statements

from adapters.postgres import sql
from adapters.postgres.passages.spaces import tables

SQL = sql.load("adapters.postgres.passages", "standing.sql")
LIVE = "passages_v1"


@dataclass(frozen=True, kw_only=True)
class StoredSpace:
    """A space: who is asked what is near there (None: PostgreSQL itself), and numbers.

    `stored` vectors are in the store, `waiting` ones are not yet, `to_remove` are versions of documents that are gone
    and not yet removed from the store.
    """

    store: str
    space: str
    asked: str | None
    stored: int
    waiting: int
    to_remove: int


class StoresStanding:
    """Looks at what is noted of stores, through one connection in autocommit."""

    def __init__(self, connection: psycopg.Connection[Any], kind: str) -> None:
        self._connection = connection
        self._kind = kind

    def spaces(self) -> Sequence[StoredSpace]:
        """Return how each space is, by the stores of a type that were ever filled."""
        found: list[StoredSpace] = []
        if self._rows("is_there", {}) == [(False,)]:
            return found
        for store in self._stores():
            for space, asked in self._rows("spaces", {}):
                [(waiting,)] = self._rows("waiting", {}, **tables(space, LIVE))
                [(stored, gone)] = self._rows("stored", {"store": store, "space": space})
                found.append(
                    StoredSpace(store=store, space=space, asked=asked, stored=stored, waiting=waiting, to_remove=gone)
                )
        return found

    def others(self) -> Mapping[str, int]:
        """Return how many versions of documents are noted of other stores, by their names."""
        return dict(self._rows("others", {"stores": self._stores()}))

    def fill_anew(self) -> int:
        """Have the stores of a type filled anew by whichever process keeps them; return how many there are."""
        return self._connection.execute(SQL["fill_anew"], {"kind": self._kind}).rowcount

    def _stores(self) -> list[str]:
        return [store for (store,) in self._rows("stores", {"kind": self._kind})]

    def _rows(self, name: str, values: Mapping[str, Any], **names: statements.Identifier) -> list[Any]:
        return self._connection.execute(statements.SQL(SQL[name]).format(**names), values or None).fetchall()
