"""The newest versions of streams, asked of the log; what a request looked at the last time is asked together."""

import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.arrays import uuids
from adapters.postgres.gathering import Gathered
from adapters.postgres.reading import rows_of

SQL = sql.load("adapters.event_store", "heads.sql")
BELIEVED = 1.0
"""Seconds that a request believes what it has seen: it sees things as they were when it first looked, and no later
request sees less than was recorded before it came."""

ROOTS, LEADS = 2000, 5_000
"""Streams of which it is remembered what was looked at with them; and those of which it is, which of these came next."""

TOGETHER = 50
"""Streams that are asked for with one, at most."""


@dataclass(frozen=True, slots=True)
class Head:
    """How a stream stands: its newest version, and the topic that it began with."""

    version: int
    began: str


@dataclass(slots=True)
class Look:
    """What one request has seen: stream -> its head (None: there is no such stream), and when it was asked for."""

    before: UUID | None = None
    """The stream, no configuration, that was looked at before any."""
    root: UUID | None = None
    changes: int = 0
    """How often it has recorded something: what was asked for before may be older than that."""
    seen: dict[UUID, tuple[Head | None, float]] = field(default_factory=dict)


LOOK: ContextVar[Look | None] = ContextVar("LOOK", default=None)


def look_anew() -> None:
    """Begin a request: its task, and those that it begins, look at each thing once in `BELIEVED` seconds.

    Without, as in jobs and read models, each question is one to the log.
    """
    LOOK.set(Look())


class Heads:
    """Answers how streams stand.

    A turn looks at its conversation, and then at its agent, tools, prompts, models and providers one after the other, the
    same ones each time: with the first of them all are asked for.
    """

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._gathered = Gathered(self._read)
        self._together: OrderedDict[UUID, dict[UUID, None]] = OrderedDict()
        self._leads: OrderedDict[UUID, UUID] = OrderedDict()

    async def now(self, id: UUID) -> Head | None:
        """Return how a stream stands in this moment; None where there is none."""
        look = LOOK.get()
        if look is None or look.root is not None:
            return (await self._ask([id]))[id]
        look.before = look.before or id
        root = self._leads.get(id)
        beside = [] if root is None else [root, *self._together.get(root, ())]
        return (await self._seen(look, list(dict.fromkeys([id, *beside]))))[id]

    async def of(self, ids: Sequence[UUID]) -> dict[UUID, Head | None]:
        """Return how streams stood when this request first looked at them."""
        look = LOOK.get()
        if look is None:
            return await self._ask(ids)
        since = time.monotonic() - BELIEVED
        together = self._remember(look, ids)
        believed = {id: look.seen[id][0] for id in ids if known(look, id, since)}
        if len(believed) == len(set(ids)):
            return believed
        asked = [id for id in dict.fromkeys([*ids, *together]) if not known(look, id, since)]
        answered = await self._seen(look, asked)
        return {id: answered.get(id, believed.get(id)) for id in ids}

    def recorded(self, ids: Iterable[UUID]) -> None:
        """These were changed by this request: they are not any more what it has seen."""
        look = LOOK.get()
        if look is not None:
            look.changes += 1
            for id in ids:
                look.seen.pop(id, None)
                if look.root is not None and id != look.root:
                    self._lead(id, look.root)

    def _lead(self, id: UUID, root: UUID) -> None:
        """Note what is looked at after a stream."""
        self._leads[id] = root
        self._leads.move_to_end(id)
        if len(self._leads) > LEADS:
            self._leads.popitem(last=False)

    def _remember(self, look: Look, ids: Sequence[UUID]) -> Collection[UUID]:
        """Note what is looked at together, and return all that has been."""
        if look.root is None:
            look.root = ids[0]
            if look.before is not None:
                self._lead(look.before, look.root)
        together = self._together.setdefault(look.root, {})
        self._together.move_to_end(look.root)
        if len(self._together) > ROOTS:
            self._together.popitem(last=False)
        for id in ids:
            together[id] = None
        while len(together) > TOGETHER:
            del together[next(iter(together))]
        return tuple(together)

    async def _seen(self, look: Look, ids: Sequence[UUID]) -> dict[UUID, Head | None]:
        """Ask, and have the request see it, unless it has changed something meanwhile."""
        began, changes = time.monotonic(), look.changes
        answered = await self._ask(ids)
        if look.changes == changes:
            look.seen |= {id: (head, began) for id, head in answered.items()}
        return answered

    async def _ask(self, ids: Sequence[UUID]) -> dict[UUID, Head | None]:
        found = await self._gathered.of(ids)
        return {id: found[id] for id in ids}

    async def _read(self, ids: Sequence[UUID]) -> dict[UUID, Head | None]:
        rows = await rows_of(self._pool, SQL["heads"], {"ids": uuids(list(ids))})
        return {id: None if version is None else Head(version, began) for id, version, began in rows}


def known(look: Look, id: UUID, since: float) -> bool:
    """Return whether a request has seen a stream since then."""
    seen = look.seen.get(id)
    return seen is not None and seen[1] >= since
