"""The access log: who read the event log or was refused something, noted before an answer leaves."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import psycopg
import structlog
from psycopg import sql as statements
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.errors import translating
from adapters.postgres.reading import rows_of
from domain.errors import DomainError
from projections.accesses import ALLOWED, Access
from projections.documents import rfc3339

SQL = sql.load("adapters.postgres", "access_log.sql")
OLDEST_FIRST = {name: re.sub(r"(a\.(?:id|outcome|actor_\w+)) DESC", r"\1", query) for name, query in SQL.items()}
SINGLY = 20
"""Attempts of nobody known that are noted one by one in a span, for each address."""

SPAN = 60.0
"""Seconds after which what came beyond those is noted in one row: a flood does not fill the disk."""

ADDRESSES = 10_000
"""Addresses that are told apart in a span; beyond them all others count as one."""

log = structlog.get_logger(__name__)


@dataclass
class Flood:
    """What came from one address in the present span: how many were noted, and the last that was only counted."""

    noted: int = 0
    counted: Access | None = None


class AccessLog:
    """Notes accesses, and shows them."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._floods: dict[str | None, Flood] = {}
        self._span: asyncio.Task[None] | None = None

    async def note(self, access: Access) -> None:
        """Write an access down, or raise Unavailable; of many by nobody known, some only at the end of a span."""
        if access.actor_type == "anonymous" and self._is_flood(access):
            return
        await self._write(access)

    async def page(
        self, *, after: int | None = None, newest_first: bool = True, limit: int, filters: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Return accesses that come after an id in either order, by the filters actor, outcome, since and until."""
        given = after is not None
        values = {
            "above": after if given and not newest_first else 0,
            "before": after if given and newest_first else 2**62,
            "limit": limit,
            **filters,
        }
        rows = await rows_of(self._pool, statement(filters, newest_first=newest_first), values)
        return [shown(row) for row in rows]

    async def close(self) -> None:
        """Write down what has only been counted."""
        if self._span is not None:
            self._span.cancel()
            await asyncio.gather(self._span, return_exceptions=True)
            await self._end_span()

    def _is_flood(self, access: Access) -> bool:
        address = access.address if access.address in self._floods or len(self._floods) < ADDRESSES else None
        flood = self._floods.setdefault(address, Flood())
        if self._span is None:
            self._span = asyncio.create_task(self._wait_for_end())
        if flood.noted < SINGLY:
            flood.noted += 1
            return False
        before = flood.counted.attempts if flood.counted else 0
        flood.counted = replace(access, attempts=before + 1)
        return True

    async def _wait_for_end(self) -> None:
        await asyncio.sleep(SPAN)
        self._span = None
        await self._end_span()

    async def _end_span(self) -> None:
        floods, self._floods = self._floods, {}
        for flood in floods.values():
            if flood.counted is not None:
                try:
                    await self._write(flood.counted)
                except DomainError as error:
                    log.error("accesses_not_noted", attempts=flood.counted.attempts, error=error.error_code)

    async def _write(self, access: Access) -> None:
        with translating():
            async with self._pool.connection() as connection:
                await connection.execute(SQL["note"], vars(access))


def statement(filters: Mapping[str, Any], *, newest_first: bool = True) -> statements.Composed:
    """Return the query for these filters: whoever asked leads to few rows, else what was not allowed does."""
    rare = filters["outcome"] not in (None, ALLOWED)
    queries = SQL if newest_first else OLDEST_FIRST
    chosen = queries["by_actor" if filters["actor"] is not None else "by_outcome" if rare else "by_id"]
    fits = statements.SQL(queries["fits"])
    return statements.SQL(queries["page"]).format(chosen=statements.SQL(chosen).format(fits=fits))


def note_command(dsn: str, *, name: str, command: str, asked: str) -> None:
    """Write down that the log leaves by a command, before it does: `name` is whose command it is."""
    access = Access(
        actor_type="command_line", actor_id=name, actor_name=name, credential=None, address=None, method="CLI",
        path=command, query=asked, outcome=ALLOWED, status=200, code=None, request_id=uuid4().hex,
    )  # fmt: skip
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SQL["note"], vars(access))


def shown(row: Any) -> dict[str, Any]:
    """Return a row as it is read."""
    id, at, type_, actor_id, name, address, method, path, query, outcome, status, code, attempts, request_id = row
    return {
        "id": id,
        "at": rfc3339(at),
        "actor": {"type": type_, "id": actor_id, "name": name},
        "address": address,
        "method": method,
        "path": path,
        "query": query,
        "outcome": outcome,
        "status": status,
        "code": code,
        "attempts": attempts,
        "request_id": request_id,
    }
