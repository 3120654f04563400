"""Documents from a database: each row of a query is one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from functools import cached_property
from typing import Any, Protocol
from uuid import UUID

import orjson

from adapters.connectors.database_address import POSTGRES, DatabaseAddress, database_address
from adapters.connectors.postgres_rows import PostgresRows
from adapters.connectors.query import NotSelected, Row, SqlConfig, selectable
from adapters.connectors.roots import Roots
from adapters.egress import Egress
from commands.knowledge.connectors import GivenDocument, Listed, NotFetched, Place, SourceUnavailable
from domain.definition import parse


class Rows(Protocol):
    """Runs the query of a source, in one kind of databases."""

    def list(
        self, address: DatabaseAddress, settings: SqlConfig, secrets: Mapping[str, str]
    ) -> AsyncGenerator[tuple[str | None, str | None], None]:
        """Yield id and version of every row."""

    async def of(
        self, address: DatabaseAddress, settings: SqlConfig, secrets: Mapping[str, str], ids: Sequence[str]
    ) -> Sequence[Row]:
        """Return the rows with these ids, or raise NotSelected where the database can't look for them."""


class SqlConnector:
    """Selects from the query: ids and versions to list it, rows by their ids to fetch them, some at once."""

    config = SqlConfig
    secrets: Mapping[str, str] = {"password": "Of the user that the address names."}

    def __init__(self, egress: Egress, roots: Roots) -> None:
        self._roots = roots
        self._postgres: Rows = PostgresRows(egress)
        self._egress = egress
        self._waiting: dict[UUID, dict[str, asyncio.Future[GivenDocument]]] = {}
        self._turns: dict[UUID, asyncio.Lock] = {}

    @cached_property
    def _others(self) -> Rows:
        """What runs queries in all databases but PostgreSQL."""
        from adapters.connectors.sqlalchemy_rows import SqlalchemyRows  # noqa: PLC0415  # half a second for those alone

        return SqlalchemyRows(self._egress)

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where the address or the query is none that may be used."""
        self._settings(config)

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all rows of the query."""
        settings, address = self._settings(place.config)
        seen: set[str] = set()
        async with aclosing(self._rows(address).list(address, settings, place.secrets)) as rows:
            async for id, version in rows:
                if not id:
                    raise SourceUnavailable(f"A row of the query has no `{settings.id}`: each needs one of its own.")
                if id in seen:
                    raise SourceUnavailable(f"Two rows of the query have the same `{settings.id}`: {id[:100]!r}.")
                seen.add(id)
                yield Listed(external_id=id, version=version)

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return a row as a document; what is asked for at once is selected at once."""
        waiting = self._waiting.setdefault(place.visit, {})
        if external_id not in waiting:
            waiting[external_id] = asyncio.get_running_loop().create_future()
        mine = waiting[external_id]
        await asyncio.sleep(0)  # so that the others that begin now are there too
        async with self._turns.setdefault(place.visit, asyncio.Lock()):
            if not mine.done():
                taken = dict(waiting)
                waiting.clear()
                try:
                    await self._settle(place, taken)
                finally:
                    for each in taken.values():
                        each.cancel()  # does nothing to those that are settled
        return await mine

    def end(self, place: Place) -> None:
        """Forget who waited."""
        self._waiting.pop(place.visit, None)
        self._turns.pop(place.visit, None)

    def _settings(self, config: Mapping[str, Any]) -> tuple[SqlConfig, DatabaseAddress]:
        settings = parse(SqlConfig, dict(config), "/config")
        selectable(settings.query)
        address = database_address(settings.url)
        if address.file is not None:
            self._roots.allowed(address.file, "/config/url")
        return settings, address

    def _rows(self, address: DatabaseAddress) -> Rows:
        return self._postgres if address.driver == POSTGRES else self._others

    async def _settle(self, place: Place, waiting: Mapping[str, asyncio.Future[GivenDocument]]) -> None:
        """Fetch rows for those who wait; where that fails for all together, each alone."""
        settings, address = self._settings(place.config)
        rows = self._rows(address)
        try:
            found = await rows.of(address, settings, place.secrets, list(waiting))
        except NotSelected as error:
            if len(waiting) > 1:
                for id, future in waiting.items():
                    await self._settle(place, {id: future})
                return
            found, failure = [], NotFetched(str(error))
        else:
            failure = NotFetched("The query has no such row any more.", code="gone")
        by_id: dict[str, list[Row]] = {}
        for row in found:
            by_id.setdefault(row.id, []).append(row)
        for id, future in waiting.items():
            try:
                future.set_result(document_of(by_id.get(id, []), failure, settings))
            except NotFetched as error:
                future.set_exception(error)
                future.exception()  # one who was cancelled meanwhile does not come for it


def document_of(rows: Sequence[Row], failure: NotFetched, settings: SqlConfig) -> GivenDocument:
    """Return the row of one id as a document, or raise NotFetched."""
    if not rows:
        raise failure
    if len(rows) > 1:
        raise NotFetched(f"Several rows have this `{settings.id}`.", code="ambiguous")
    [row] = rows
    text = row.text
    if text is None:
        raise NotFetched(f"It has no text in `{settings.text}`.", code="no_text")
    title = row.values.get(settings.title) if settings.title else None
    link = row.values.get(settings.link) if settings.link else None
    named = {settings.text, settings.id, settings.title, settings.link, settings.acl, settings.version}
    return GivenDocument(
        external_id=row.id,
        title=str(title or row.id)[:1000],
        url=str(link) if link else None,
        media_type=settings.media_type,
        content=text if isinstance(text, bytes) else text.encode(errors="replace"),
        metadata={name: value for name, value in row.values.items() if name not in named},
        acl=groups_of(row.values.get(settings.acl), settings.acl) if settings.acl else None,
    )


def groups_of(value: Any, column: str) -> list[str] | None:
    """Return the groups that a column names; None: it names nothing, so the source's own apply."""
    if value is None:
        return None
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            raise NotFetched(f"`{column}` is no list of groups.", code="invalid_acl") from None
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise NotFetched(f"`{column}` is no list of groups.", code="invalid_acl")
    return value
