"""What commands ask of the outside world, and the messages that pass between."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from eventsourcing.domain import Aggregate

A = TypeVar("A", bound=Aggregate)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who asks: an API key, the local user, the command line, or the system itself."""

    type: str
    id: str
    name: str
    credential: str | None = None
    roles: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


SYSTEM = Actor(type="system", id="system", name="system")


@dataclass(frozen=True, kw_only=True)
class IdempotencyKey:
    """A client's key: `scope` stands for principal, route and key; `body` for the request's body."""

    key: str
    scope: bytes
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Context:
    """Who asks for a command, why, and as part of what; it is recorded with each event."""

    actor: Actor
    reason: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    trace_id: str | None = None
    idempotency: IdempotencyKey | None = None
    channel: str = "api"
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a command answers: the thing, its version, and the log position of its last event.

    `shown` is what it made that a caller sees (some of it once: those names are in `once`); `queued`: it asked
    for work that is done afterwards.
    """

    id: UUID
    version: int
    position: int
    shown: Mapping[str, Any] = field(default_factory=dict)
    once: frozenset[str] = frozenset()
    queued: bool = False
    replayed: bool = False


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What an append checks or writes beside its events, in their transaction.

    The operations are those of the SQL function `magnet.apply_effects`.
    """

    op: str
    values: Mapping[str, Any]


class Things(Protocol):
    """Aggregates for reading only."""

    async def newest(self, kind: type[A], id: UUID) -> A:
        """Return the aggregate as it is now, or raise NotFound."""

    async def since(self, kind: type[A], id: UUID, version: int) -> A:
        """Return the aggregate as it is now, or was when this process recorded this version of it or a later one."""

    async def at_version(self, kind: type[A], id: UUID, version: int) -> A:
        """Return the aggregate as it was at a version, or raise NotFound."""

    async def newest_of(self, kind: type[A], ids: Collection[UUID]) -> Mapping[UUID, A]:
        """Return many aggregates as they are now, without those that there are not."""


class Unit(Protocol):
    """The unit of work of one command: what it loads, and what it leaves behind."""

    async def load(self, kind: type[A], id: UUID) -> A:
        """Return the aggregate for changing, or raise NotFound."""

    async def find(self, kind: type[A], id: UUID) -> A | None:
        """Return the aggregate for changing, or None."""

    async def find_many(self, kind: type[A], ids: Collection[UUID]) -> Mapping[UUID, A]:
        """Return those aggregates that there are, for changing, as the log has them now."""

    async def must_be_absent(self, kind: type[A], id: UUID) -> None:
        """Raise NameTaken where there is such a thing; a race is settled by the append."""

    async def at_version(self, kind: type[A], id: UUID, version: int) -> A:
        """Return the aggregate as it was at a version, for reading only; or raise NotFound."""

    async def users_of(self, target: UUID) -> Sequence[tuple[str, UUID]]:
        """Return (kind, id) of the things that refer to the target."""

    def save(self, *aggregates: Aggregate) -> None:
        """Record the aggregates' new events when the command ends."""

    def effect(self, op: str, **values: Any) -> None:
        """Check or write this in the transaction of the events."""


@dataclass(frozen=True, kw_only=True)
class Credential:
    """An API key as authentication needs it; `mac` is the keyed hash of the whole key."""

    id: UUID
    mac: bytes
    name: str
    roles: frozenset[str]
    groups: frozenset[str]
    requests_per_minute: int | None
    expires_at: datetime | None
    revoked: bool


class SecretBox(Protocol):
    """Seals secrets so that they open only for the same owner, field and origin."""

    def seal(self, secret: str, *, owner: UUID, field: str, origin: str) -> bytes:
        """Return the sealed secret."""

    def mac(self, purpose: str, data: bytes) -> bytes:
        """Return a keyed hash (HMAC-SHA256) of the data."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """A template and the name by which its errors are told."""

    name: str
    source: str


class PromptRenderer(Protocol):
    """Renders templates in a limited child process."""

    async def render(
        self,
        templates: Sequence[Template],
        variables: Mapping[str, Any],
        includes: Mapping[str, str],
    ) -> list[str]:
        """Return each template's text, or raise what domain.rendering names."""

    async def check(self, templates: Sequence[Template]) -> list[set[str]]:
        """Return the undeclared variables of each template, or raise what domain.rendering names."""

    async def needs(self, templates: Sequence[Template]) -> list[tuple[set[str], set[str]]]:
        """Return (undeclared variables, included names as written) of each template, or raise likewise."""
