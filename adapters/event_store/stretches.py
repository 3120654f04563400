"""Many streams as they were, read at once: what a page of the log is compared with."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from eventsourcing.domain import Aggregate
from eventsourcing.persistence import StoredEvent
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.mapper import EventMapper
from adapters.postgres import sql
from adapters.postgres.arrays import bigints, uuids
from adapters.postgres.reading import rows_of
from projections.event_changes import Stretch

SQL = sql.load("adapters.event_store", "stretches.sql")
Found = tuple[Aggregate | None, Sequence[Any]]


class StretchReader:
    """Reads stretches of streams, through snapshots."""

    def __init__(self, pool: AsyncConnectionPool, mapper: EventMapper) -> None:
        self._pool = pool
        self._mapper = mapper

    async def states_before(self, stretches: Sequence[Stretch]) -> Sequence[Found | None]:
        """Return for each stretch the state before it and its events up to the first that can't be read; else None."""
        if not stretches:
            return []
        values = {
            "ids": uuids([each.stream for each in stretches]),
            "firsts": bigints([each.first for each in stretches]),
            "lasts": bigints([each.last for each in stretches]),
        }
        found: list[Found | None] = [None] * len(stretches)
        for place, rows in groupby(await rows_of(self._pool, SQL["stretches"], values), key=itemgetter(0)):
            found[place - 1] = self._replayed(stretches[place - 1], list(rows))
        return found

    def _replayed(self, stretch: Stretch, rows: Sequence[Any]) -> Found | None:
        before: Aggregate | None = None
        own: list[Any] = []
        for _, id, topic, state, version in rows:
            try:
                event: Any = self._mapper.to_domain_event(
                    StoredEvent(originator_id=id, originator_version=version, topic=topic, state=bytes(state))
                )
            except Exception:  # told by the entry itself, which has no data then
                return (before, own) if version >= stretch.first else None
            if version < stretch.first:
                before = event.mutate(before)
            else:
                own.append(event)
        return before, own
