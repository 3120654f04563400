"""The event store: aggregates out of the log and back into it, with a cache in front."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar, cast
from uuid import UUID

import structlog
from eventsourcing.domain import Aggregate, CanMutateProtocol
from eventsourcing.persistence import StoredEvent
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.appender import Appender
from adapters.event_store.data_keys import DataKeys
from adapters.event_store.heads import Heads
from adapters.event_store.mapper import EventMapper
from adapters.event_store.requests import Metadata, Request
from adapters.event_store.snapshots import Snapshots
from adapters.postgres import sql
from adapters.postgres.arrays import uuids
from adapters.postgres.reading import rows_of
from commands.bus import Appended
from commands.ports import Context
from domain.configuration import Configuration
from domain.errors import NameTaken, NotFound

A = TypeVar("A", bound=Aggregate)

SQL = sql.load("adapters.event_store", "store.sql")
SNAPSHOT_EVERY = 50
"""Events of a stream between two snapshots."""

NEWEST = 2**62
CACHED, BREATH = 20_000, 20
"""Aggregates kept in memory, some KB each; those made at a stretch of many, before whatever else is due has its turn."""

log = structlog.get_logger(__name__)


class EventStore:
    """Loads aggregates, keeps the newest state of many, and records what commands leave behind."""

    def __init__(
        self, pool: AsyncConnectionPool, appender: Appender, mapper: EventMapper, keys: DataKeys | None = None
    ) -> None:
        self._pool = pool
        self._keys = keys
        self._appender = appender
        self.mapper = mapper
        self._baselines: OrderedDict[UUID, tuple[Aggregate, int]] = OrderedDict()
        self._past: OrderedDict[tuple[UUID, int], Aggregate] = OrderedDict()
        self._snapshots = Snapshots(pool, mapper)
        self.heads = Heads(pool)
        self.erasures = 0

    def unit(self, *, fresh: bool) -> "StoreUnit":
        """Begin a unit of work; a fresh one reads every aggregate from the log."""
        return StoreUnit(self, fresh=fresh)

    # Reading -----------------------------------------------------------------

    async def load(self, id: UUID, upto: int = NEWEST) -> tuple[Aggregate, int] | None:
        """Return the aggregate and the position of its last event, or None where it has none."""
        return await self._replayed(id, await self._rows("load", {"id": id, "upto": upto}))

    async def load_many(self, ids: Collection[UUID]) -> dict[UUID, tuple[Aggregate, int]]:
        """Return the newest state of many streams, as `load` does; those that have none are left out."""
        rows = await self._rows("load_many", {"ids": uuids(list(ids))}) if ids else []
        found = {}
        for number, (id, some) in enumerate(groupby(rows, key=itemgetter(0)), 1):
            if not number % BREATH:
                await asyncio.sleep(0)
            loaded = await self._replayed(id, [row[1:] for row in some])
            if loaded is not None:
                found[id] = loaded
        return found

    async def newest_of(self, kind: type[A], ids: Collection[UUID]) -> dict[UUID, A]:
        """Return many aggregates of a kind as they are now, for reading only, without those that there are not."""
        found = await self.load_many(ids)
        return {id: aggregate for id, (aggregate, _) in found.items() if isinstance(aggregate, kind)}

    async def _replayed(self, id: UUID, rows: Sequence[Any]) -> tuple[Aggregate, int] | None:
        """Return the aggregate that rows of a snapshot and events make, and the position of the last."""
        aggregate: Aggregate | None = None
        position = 0
        events: list[CanMutateProtocol[Any]] = []
        last = 0
        for topic, state, version, place in rows:
            if place is not None:
                position = place
                if last == version:
                    continue  # the snapshot's own event: read for its position only
            last = version
            stored = StoredEvent(originator_id=id, originator_version=version, topic=topic, state=bytes(state))
            events.append(cast(CanMutateProtocol[Any], self.mapper.to_domain_event(stored)))
        await self.reveal(events)
        for event in events:
            aggregate = event.mutate(aggregate)
        return None if aggregate is None else (aggregate, position)

    async def reveal(self, events: Sequence[Any]) -> None:
        """Put what persons said in plain into events that were read, in place."""
        keys = self.mapper.keys_needed(events)
        if keys and self._keys is not None:
            await self._keys.fetch(keys)
            for event in events:
                self.mapper.revealed(event)

    async def at_version(self, kind: type[A], id: UUID, version: int) -> A:
        """Return the aggregate as it was at a version, for reading only; or raise NotFound."""
        aggregate = self._past.get((id, version))
        if aggregate is None:
            loaded = await self.load(id, max(version, 1))
            if loaded is None:
                raise NotFound(f"There is no such {_word(kind)}.")
            if loaded[0].version != version:
                raise NotFound(f"There is no such version of this {_word(kind)}.", code="unknown_version")
            aggregate = loaded[0]
            if keeps(kind):
                self._past[id, version] = aggregate
            while len(self._past) > CACHED // 10:
                self._past.popitem(last=False)
        if not isinstance(aggregate, kind):
            raise NotFound(f"There is no such {_word(kind)}.")
        return aggregate

    async def newest(self, kind: type[A], id: UUID) -> A:
        """Return the aggregate as it is now, to be read at once; or raise NotFound."""
        configured = issubclass(kind, Configuration)
        head = (await self.heads.of([id]))[id] if configured else await self.heads.now(id)
        if head is None or head.began != began(kind):
            raise NotFound(f"There is no such {_word(kind)}.")
        version = head.version
        if keeps(kind):
            return await self.at_version(kind, id, version)
        known = self._baselines.get(id)
        if known is None or known[0].version != version:
            known = await self.load(id)
        if known is None or not isinstance(known[0], kind):
            raise NotFound(f"There is no such {_word(kind)}.")
        return known[0]

    async def since(self, kind: type[A], id: UUID, version: int) -> A:
        """Return the aggregate as it is now, or was when this process recorded this version of it or a later one."""
        known = self._baselines.get(id)
        if known is not None and known[0].version >= version and isinstance(known[0], kind):
            return known[0]
        return await self.newest(kind, id)

    async def version_at(self, id: UUID, time: datetime) -> int | None:
        """Return the version that a stream had at a time, or None where it had not begun."""
        return cast(int | None, (await self._rows("version_at", {"id": id, "time": time}))[0][0])

    async def version_of(self, kind: type[Aggregate], id: UUID) -> int | None:
        """Return the newest version of a thing, or None where there is none of this kind."""
        head = await self.heads.now(id)
        return None if head is None or head.began != began(kind) else head.version

    async def position_of(self, id: UUID, version: int) -> int:
        """Return the position of one event of a stream, or raise NotFound."""
        rows = await self._rows("position_of", {"id": id, "version": version})
        if not rows:
            raise NotFound("There is no such version.", code="unknown_version")
        return cast(int, rows[0][0])

    async def users_of(self, target: UUID) -> list[tuple[str, UUID]]:
        """Return (kind, id) of the things that refer to the target."""
        return [(kind, id) for kind, id in await self._rows("users_of", {"id": target})]

    async def stored_answer(self, scope: bytes) -> tuple[bytes, bytes, int] | None:
        """Return (body hash, sealed answer, position) of the first answer to a key."""
        rows = await self._rows("answer", {"scope": scope})
        return (bytes(rows[0][0]), bytes(rows[0][1]), rows[0][2]) if rows else None

    async def last_change(self, id: UUID) -> Mapping[str, Any]:
        """Return who last changed a stream, and when."""
        rows = await self._rows("last_change", {"id": id})
        if not rows:
            return {}
        version, name, time = rows[0]
        return {"current_version": version, "changed_by": name, "changed_at": time}

    async def secret(self, owner: UUID, field: str) -> bytes | None:
        """Return a sealed secret."""
        rows = await self._rows("secret", {"id": owner, "field": field})
        return bytes(rows[0][0]) if rows else None

    async def _rows(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        return await rows_of(self._pool, SQL[query], values)

    # Writing -----------------------------------------------------------------

    async def append(
        self,
        aggregates: Sequence[Aggregate],
        effects: Sequence[Mapping[str, Any]],
        context: Context,
        answer: Callable[[], bytes],
        known_position: int,
        erasures: int,
    ) -> Appended:
        """Record the pending events of the aggregates, with effects and answer, in one transaction."""
        events = [event for aggregate in aggregates for event in aggregate.collect_events()]
        key = context.idempotency
        subjects = self.mapper.subjects(events)
        if subjects and self._keys is not None:
            await self._keys.ensure(subjects)
        request = Request(
            events=[self.mapper.to_stored_event(event) for event in events],
            metadata=metadata(context),
            effects=effects,
            scope=key.scope if key else None,
            body_hash=key.body if key else None,
            answer=answer() if key else None,
            known_position=known_position,
        )
        outcome = await self._appender.append(request)
        position = outcome.first_position
        if position is not None:
            position += len(events) - 1
        if outcome.outcome in ("recorded", "repeated"):
            self.heads.recorded({event.originator_id for event in events})
            self._keep(aggregates, events, outcome.first_position, erasures)
        return Appended(outcome=outcome.outcome, position=position, detail=outcome.detail)

    def _keep(self, aggregates: Sequence[Aggregate], events: Sequence[Any], first: int | None, erasures: int) -> None:
        if first is None:
            return
        places = {event.originator_id: first + offset for offset, event in enumerate(events)}
        counts: dict[UUID, int] = {}
        for event in events:
            counts[event.originator_id] = counts.get(event.originator_id, 0) + 1
        for aggregate in aggregates:
            if aggregate.id in places:
                self.put(aggregate, places[aggregate.id], erasures)
                if not keeps(type(aggregate)):
                    continue
                if aggregate.version // SNAPSHOT_EVERY != (aggregate.version - counts[aggregate.id]) // SNAPSHOT_EVERY:
                    self._snapshots.take(aggregate)

    async def close(self) -> None:
        """Wait for what is still being written."""
        await self._appender.close()
        await self._snapshots.close()

    # The cache ---------------------------------------------------------------

    def take(self, id: UUID) -> tuple[Aggregate, int] | None:
        """Take the newest known state out of the cache: one unit has it at a time."""
        return self._baselines.pop(id, None)

    def put(self, aggregate: Aggregate, position: int, erasures: int) -> None:
        """Put a state back, unless a newer one is there, its kind is loaded anew each time, or it is over.

        Nor where it holds what persons said, and something was erased since `erasures` was counted.
        """
        if not getattr(aggregate, "CACHED", True) or getattr(aggregate, "is_over", False):
            return
        if erasures != self.erasures and not keeps(type(aggregate)):
            return
        present = self._baselines.get(aggregate.id)
        if present is None or present[0].version <= aggregate.version:
            self._baselines[aggregate.id] = (aggregate, position)
            self._baselines.move_to_end(aggregate.id)
            if len(self._baselines) > CACHED:
                self._baselines.popitem(last=False)

    def forget_said(self, key: str | None = None) -> None:
        """Drop what persons said from memory, and a data key, or all: some of it may be erased now."""
        if self._keys is not None:
            self._keys.hear(key)
        self.erasures += 1
        for id in [id for id, (aggregate, _) in self._baselines.items() if not keeps(type(aggregate))]:
            del self._baselines[id]


class StoreUnit:
    """One command's unit of work."""

    def __init__(self, store: EventStore, *, fresh: bool) -> None:
        self._store = store
        self._fresh = fresh
        self._erasures = store.erasures
        self._held: dict[UUID, tuple[Aggregate, int]] = {}
        self._saved: list[Aggregate] = []
        self._effects: list[Mapping[str, Any]] = []
        self._appended = False
        self.decided_on_cache = False

    async def load(self, kind: type[A], id: UUID) -> A:
        """Return the aggregate for changing, or raise NotFound."""
        found = await self.find(kind, id)
        if found is None:
            raise NotFound(f"There is no such {_word(kind)}.")
        return found

    async def find(self, kind: type[A], id: UUID) -> A | None:
        """Return the aggregate for changing, or None."""
        held = self._held.get(id)
        if held is None:
            held = self._store.take(id)
            if held is not None and not self._fresh:
                self.decided_on_cache = True
            else:
                held = await self._store.load(id)
            if held is None:
                return None
            self._held[id] = held
        return held[0] if isinstance(held[0], kind) else None

    async def find_many(self, kind: type[A], ids: Collection[UUID]) -> dict[UUID, A]:
        """Return those aggregates that there are, for changing, as the log has them now."""
        for id, held in (await self._store.load_many(ids)).items():
            self._store.take(id)
            self._held[id] = held
        held_now = {id: self._held[id][0] for id in ids if id in self._held}
        return {id: aggregate for id, aggregate in held_now.items() if isinstance(aggregate, kind)}

    async def must_be_absent(self, kind: type[A], id: UUID) -> None:
        """Raise NameTaken where there is such a thing; a race is settled by the append."""
        if not self._fresh:
            self.decided_on_cache = True
        elif await self.find(kind, id) is not None:
            raise NameTaken

    async def at_version(self, kind: type[A], id: UUID, version: int) -> A:
        """Return the aggregate as it was at a version, for reading only; or raise NotFound."""
        return await self._store.at_version(kind, id, version)

    async def users_of(self, target: UUID) -> list[tuple[str, UUID]]:
        """Return (kind, id) of the things that refer to the target."""
        return await self._store.users_of(target)

    def save(self, *aggregates: Aggregate) -> None:
        """Record the aggregates' new events when the command ends."""
        self._saved.extend(aggregates)

    def effect(self, op: str, **values: Any) -> None:
        """Check or write this in the transaction of the events."""
        self._effects.append({"op": op, **values})

    @property
    def has_news(self) -> bool:
        """Whether there is something to record."""
        return any(aggregate.pending_events for aggregate in self._saved)

    def position_of(self, aggregate: Aggregate) -> int:
        """Return the position of the last recorded event of an aggregate that was loaded."""
        return self._held[aggregate.id][1] if aggregate.id in self._held else 0

    def give_back(self) -> None:
        """Return what was only read to the cache; what was changed and not recorded is dropped."""
        handed_over = {aggregate.id for aggregate in self._saved} if self._appended else set[UUID]()
        for id, (aggregate, position) in self._held.items():
            if id not in handed_over and not aggregate.pending_events:
                self._store.put(aggregate, position, self._erasures)

    async def append(self, context: Context, answer: Callable[[], bytes], known_position: int) -> Appended:
        """Record everything, or nothing."""
        self._appended = True
        effects = self._effects if self.has_news else []
        return await self._store.append(self._saved, effects, context, answer, known_position, self._erasures)


def metadata(context: Context) -> Metadata:
    """Return what is recorded of a command's context."""
    return Metadata(
        actor_type=context.actor.type,
        actor_id=context.actor.id,
        actor_name=context.actor.name,
        credential=context.actor.credential,
        correlation_id=context.correlation_id,
        causation_id=context.causation_id,
        idempotency_key=context.idempotency.key if context.idempotency else None,
        trace_id=context.trace_id,
        reason=context.reason,
    )


def keeps(kind: type[Aggregate]) -> bool:
    """Return whether past states may be kept; not where they hold what persons said, which only events keep."""
    return bool(getattr(kind, "SNAPSHOTS", True))


def began(kind: type[Aggregate]) -> str:
    """Return the topic of a kind's first event."""
    return f"{getattr(kind, 'TOPIC', '')}.created"


def _word(kind: type[Aggregate]) -> str:
    return str(getattr(kind, "TOPIC", "") or kind.__name__).replace("_", " ")
