"""Reading the log: in sections for projections, with every filter for people."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import orjson
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.choosing import COUNTED, LogFilter, counting, rarest, statement
from adapters.event_store.mapper import EventMapper
from adapters.postgres import sql
from adapters.postgres.arrays import texts
from adapters.postgres.reading import rows_of
from projections.events import event_id
from projections.recorded import LogEntry, Recorded

SQL = sql.load("adapters.event_store", "log.sql")
END = 2**62
IDENTITIES = 10_000
"""Events that are looked through at once for an id."""

SPAN = 500_000
"""Positions that one statement looks through for events that are wanted."""

BREATH = 100
"""Events after which whatever else this process does gets its turn; some milliseconds."""


@dataclass(frozen=True, slots=True)
class Undecodable:
    """An event whose bytes or topic this Magnet can't read, in place of the event."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the log: the events wanted of it, up to which position it goes, and how many bytes were read.

    `full`: there is more after it, as far as is known.
    """

    after: int
    events: Sequence[Recorded]
    upto: int
    full: bool
    weight: int


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of the log as they were read, which topics they have, and how many bytes."""

    rows: Sequence[Any]
    topics: Set[str]
    weight: int


def weight_of(rows: Sequence[Any]) -> int:
    """Return the bytes of the events in rows of the log."""
    return sum(len(row[4]) for row in rows)


class EventLog:
    """The log as one sequence."""

    def __init__(self, pool: AsyncConnectionPool, mapper: EventMapper) -> None:
        self._pool = pool
        self._mapper = mapper
        self._names: dict[UUID, str | None] = {}
        self._reading: dict[tuple[int, int, int], asyncio.Future[Found]] = {}

    async def section(self, after: int, limit: int, upto: int = END) -> Sequence[Recorded]:
        """Return the events after a position, at most `limit`; what can't be read is Undecodable."""
        return (await self.follow(after, limit, upto=upto)).events

    async def follow(self, after: int, limit: int, passed: frozenset[str] = frozenset(), *, upto: int = END) -> Section:
        """Return what the next `limit` events after a position are, without those of the topics that are passed over.

        Whoever asks for the same section at the same time shares the reading, whatever they pass over.
        """
        found = await self._shared(after, limit, upto)
        # Most sections are of no concern to most read models.
        events = [] if found.topics <= passed else await self._recorded(found.rows, passed)
        reached = found.rows[-1][0] if found.rows else after
        return Section(after=after, events=events, upto=reached, full=len(found.rows) == limit, weight=found.weight)

    async def sift(self, after: int, limit: int, passed: frozenset[str]) -> Section:
        """Return the next `limit` events after a position that are of no passed topic: the others are not even read."""
        values = {"after": after, "limit": limit, "passed": texts(sorted(passed)), "span": SPAN}
        rows = await self._rows("sifted", values)
        bound, head = rows[0][:2]
        found = [row[2:] for row in rows if row[2] is not None]
        events = await self._recorded(found, frozenset())
        reached = found[-1][0] if len(found) == limit else max(after, bound)
        return Section(after=after, events=events, upto=reached, full=reached < head, weight=weight_of(found))

    def topics_besides(self, classes: tuple[type[Any], ...]) -> frozenset[str]:
        """Return the topics of all events that are known and of none of these classes."""
        return self._mapper.topics_besides(classes)

    async def _recorded(self, rows: Sequence[Any], passed: frozenset[str]) -> list[Recorded]:
        decode = self._decode
        events: list[Recorded] = []
        for number, (position, stream, version, topic, state, recorded_at) in enumerate(rows, 1):
            if topic not in passed:
                events.append(Recorded(position, stream, version, recorded_at, decode(stream, version, topic, state)))
            if not number % BREATH:
                await asyncio.sleep(0)
        return events

    async def read(self, after: int, limit: int, asked: LogFilter, heaviest: int = END) -> list[LogEntry]:
        """Return the entries after a position that fit the filter, at most `limit`.

        Fewer are returned where those have `heaviest` bytes or more: the one that makes them so is the last.
        """
        values = {"after": after, "limit": limit, "heaviest": heaviest, **asked.parameters}
        leading = None
        if (query := counting(asked)) is not None:
            [counts] = await rows_of(self._pool, query, values | {"limit": COUNTED}, binary=True)
            leading = rarest(asked, counts)
        return self._entries(await rows_of(self._pool, statement(asked, leading), values, binary=True))

    async def stream(
        self, stream: UUID, *, after: int = 0, before: int = END, limit: int = 500, oldest_first: bool = False
    ) -> list[LogEntry]:
        """Return the entries of a stream between two versions (both exclusive), the newest or the oldest first."""
        values = {"stream": stream, "after": after, "before": before, "limit": limit}
        return self._entries(await self._rows("stream_oldest_first" if oldest_first else "stream", values))

    async def newest(self, streams: Sequence[UUID], topic: str) -> list[LogEntry]:
        """Return the newest entry of a topic of each stream that has one."""
        return self._entries(await self._rows("newest", {"streams": list(streams), "topic": topic})) if streams else []

    async def at(self, position: int) -> LogEntry | None:
        """Return the entry at a position."""
        found = await self.read(position - 1, 1, LogFilter())
        return found[0] if found and found[0].position == position else None

    async def hashes(self, positions: Sequence[int]) -> Mapping[int, str]:
        """Return the hashes of the events at these positions, in hex, where there are any."""
        return dict(await self._rows("hashes", {"positions": list(positions)}))

    async def find(self, id: UUID) -> LogEntry | None:
        """Return the event of an id; looked for from the newest on, since an id is worked out and not stored."""
        before, wanted = END, str(id)
        while rows := await self._rows("identities", {"before": before, "limit": IDENTITIES}):
            for number, (position, stream, version) in enumerate(rows, 1):
                if event_id(stream, version) == wanted:
                    return await self.at(position)
                if not number % BREATH:
                    await asyncio.sleep(0)
            before = rows[-1][0]
        return None

    async def head(self) -> int:
        """Return the position of the last event; 0 where there is none."""
        return cast(int, (await self._rows("head", {}))[0][0])

    async def names(self, streams: Iterable[UUID]) -> Mapping[UUID, str | None]:
        """Return the name each stream began with; a name never changes."""
        wanted = set(streams)
        missing = [stream for stream in wanted if stream not in self._names]
        if missing:
            for stream, _, state in await self._rows("beginnings", {"streams": missing}):
                self._names[stream] = orjson.loads(bytes(state)).get("name")
            if len(self._names) > 100_000:
                self._names = {stream: self._names[stream] for stream in wanted if stream in self._names}
        return {stream: self._names.get(stream) for stream in wanted}

    def _entries(self, rows: Sequence[Any]) -> list[LogEntry]:
        decode = self._decode
        return [
            LogEntry(
                position, stream, version, recorded_at, decode(stream, version, topic, state), topic,
                actor_type, actor_id, actor_name, correlation, causation, reason, hash, len(state),
            )
            for position, stream, version, recorded_at, topic, state,
                actor_type, actor_id, actor_name, correlation, causation, reason, hash in rows
        ]  # fmt: skip

    def _decode(self, stream: UUID, version: int, topic: str, state: Any) -> Any:
        try:
            return self._mapper.decoded(stream, version, topic, bytes(state))
        except Exception as error:  # told by whoever meets it, where the stream can be set aside
            return Undecodable(error)

    async def _shared(self, after: int, limit: int, upto: int) -> Found:
        """Read a section, and which topics it has, once for all who ask for it at the same time, as read models do when they are woken."""
        asked = (after, limit, upto)
        reading = self._reading.get(asked)
        if reading is None:
            reading = self._reading[asked] = asyncio.ensure_future(self._gathered(asked))
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())  # told to those who wait
        return await asyncio.shield(reading)

    async def _gathered(self, asked: tuple[int, int, int]) -> Found:
        """Read a section for who has asked until now: who comes later may know of an event that this does not see."""
        await asyncio.sleep(0)
        del self._reading[asked]
        rows = await self._rows("section", dict(zip(("after", "limit", "upto"), asked, strict=True)))
        return Found(rows=rows, topics={row[3] for row in rows}, weight=weight_of(rows))

    async def _rows(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        return await rows_of(self._pool, SQL[query], values, binary=True)
