"""The command bus: load, decide, record; again where someone else was faster.

Decisions are made on cached aggregates, so most commands read nothing. That is safe because an
append is refused when the stream has moved on, and every outcome that no append confirms (a
refusal, or nothing to do) counts only if it was decided on freshly loaded aggregates.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from eventsourcing.domain import Aggregate

from commands.ports import Context, Receipt, Unit
from domain.errors import Archived, Busy, DomainError, InUse, Invalid, StaleVersion, Unavailable

PATIENCE = 5.0
"""Seconds that a command may queue and retry before it answers `busy`."""


class Command(Protocol):
    """A frozen message; `stream` is the id of the stream it mainly changes."""

    @property
    def stream(self) -> UUID: ...


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a handler returns: the thing to give a receipt for, and what it made to be shown.

    `also` are other aggregates that it was decided on: the receipt's position is not before theirs.
    `queued`: it asked for work that is done afterwards.
    """

    aggregate: Aggregate
    also: Sequence[Aggregate] = ()
    shown: Mapping[str, Any] = field(default_factory=dict)
    once: frozenset[str] = frozenset()
    queued: bool = False


@dataclass(frozen=True, kw_only=True)
class Appended:
    """The answer to an append: an outcome of the SQL function `magnet.append`."""

    outcome: str
    position: int | None = None
    detail: Any = None


class WorkUnit(Unit, Protocol):
    """A unit as the bus drives it."""

    decided_on_cache: bool

    @property
    def has_news(self) -> bool: ...

    def position_of(self, aggregate: Aggregate) -> int: ...

    def give_back(self) -> None: ...

    async def append(self, context: Context, answer: Callable[[], bytes], known_position: int) -> Appended: ...


class Store(Protocol):
    """The event store as the bus sees it."""

    def unit(self, *, fresh: bool) -> WorkUnit: ...

    async def stored_answer(self, scope: bytes) -> tuple[bytes, bytes, int] | None: ...

    async def last_change(self, id: UUID) -> Mapping[str, Any]: ...


class Answers(Protocol):
    """Keeps answers sealed beside the log, for repeated requests."""

    def seal(self, done: Done) -> bytes: ...

    def open(self, sealed: bytes, position: int) -> Receipt: ...


Handler = Callable[[Any, Unit], Awaitable[Done]]
Handlers = Mapping[type, Handler]


class Bus:
    """Dispatches commands to their handlers."""

    def __init__(self, store: Store, handlers: Handlers, answers: Answers) -> None:
        self._store = store
        self._handlers = handlers
        self._answers = answers
        self._queues: dict[UUID, Queue] = {}

    async def dispatch(self, command: Command, context: Context) -> Receipt:
        """Carry out the command and return its receipt, or raise a DomainError."""
        handler = self._handlers[type(command)]
        clock = asyncio.get_running_loop().time
        deadline = clock() + PATIENCE
        async with self._turn(command.stream):
            fresh = False
            # An append is never interrupted: what may have been recorded is not called busy.
            while clock() < deadline:
                unit = self._store.unit(fresh=fresh)
                receipt = await self._attempt(handler, command, unit, context)
                if receipt is not None:
                    return receipt
                fresh = True
        raise Busy

    async def _attempt(self, handler: Handler, command: Command, unit: WorkUnit, context: Context) -> Receipt | None:
        """Return the receipt, or None when it must be decided again on fresh aggregates."""
        try:
            done = await handler(command, unit)
            if not unit.has_news and unit.decided_on_cache:
                return None
            known = max(map(unit.position_of, (done.aggregate, *done.also)))
            if not unit.has_news and context.idempotency is None:
                return self._receipt(done, known)
            appended = await unit.append(context, lambda: self._answers.seal(done), known)
        except Unavailable:
            raise  # nobody refused: the database could not be asked
        except DomainError as refusal:
            if unit.decided_on_cache:
                return None
            if (receipt := await self.earlier(context)) is not None:
                return receipt
            if isinstance(refusal, StaleVersion):
                raise StaleVersion(
                    details={**refusal.details, **await self._store.last_change(command.stream)}
                ) from None
            raise
        finally:
            unit.give_back()
        match appended.outcome:
            case "recorded" | "repeated":
                return self._receipt(done, appended.position if appended.position is not None else known)
            case "version_conflict" | "users_changed":
                return None
            case "key_used":
                return await self.earlier(context)
            case outcome:
                if (receipt := await self.earlier(context)) is not None:
                    return receipt
                raise refused_by_append(outcome, appended.detail)

    async def earlier(self, context: Context) -> Receipt | None:
        """Return the first answer to this idempotency key, if there was one."""
        if context.idempotency is None:
            return None
        stored = await self._store.stored_answer(context.idempotency.scope)
        if stored is None:
            return None
        body, answer, position = stored
        if body != context.idempotency.body:
            raise key_reused()
        return self._answers.open(answer, position)

    @staticmethod
    def _receipt(done: Done, position: int) -> Receipt:
        return Receipt(
            id=done.aggregate.id,
            version=done.aggregate.version,
            position=position,
            shown=done.shown,
            once=done.once,
            queued=done.queued,
        )

    @asynccontextmanager
    async def _turn(self, stream: UUID) -> AsyncIterator[None]:
        """Queue up with the commands of this process on the same stream, or raise Busy."""
        queue = self._queues.setdefault(stream, Queue())
        queue.users += 1
        try:
            try:
                async with asyncio.timeout(PATIENCE if queue.users > 1 else None):
                    await queue.lock.acquire()
            except TimeoutError:
                raise Busy from None
            try:
                yield
            finally:
                queue.lock.release()
        finally:
            queue.users -= 1
            if not queue.users:
                del self._queues[stream]


@dataclass
class Queue:
    """The commands of this process on one stream, one at a time."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


def key_reused() -> Invalid:
    """Return the refusal of a key that came with another body before."""
    return Invalid("This Idempotency-Key was used with another body: use a new key.", code="idempotency_key_reused")


def refused_by_append(outcome: str, detail: Any) -> DomainError:
    """Return the error for what the append's own checks refused."""
    match outcome:
        case "in_use":
            return InUse(details={"users": detail})
        case "unknown_reference":
            return Invalid(
                f"There is no {detail['kind']} of this name or id.",
                code="unknown_reference",
                pointer=detail["pointer"],
            )
        case "archived_reference":
            return Archived(f"The {detail['kind']} referred to at {detail['pointer']} is archived: restore it first.")
        case _:
            raise AssertionError(f"unknown outcome {outcome}")
