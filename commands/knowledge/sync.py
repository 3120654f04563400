"""Syncs: begun, cancelled and ended by commands; carried out by a durable job."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from commands.bus import Done
from commands.knowledge.connectors import Connectors, connector_of, must_fit
from commands.knowledge.sync_runs import begun, end_of, run_of
from commands.ports import SYSTEM, Things, Unit
from domain.errors import Archived, NotFound
from domain.knowledge_source import KnowledgeSource
from domain.run import Run
from domain.sync import Outcome, Sync, Syncing

SYNC = "sync"
"""The kind of job that carries out a sync; its key is the sync's id."""


@dataclass(frozen=True, kw_only=True)
class BeginSync:
    """Sync a source; `allow_mass_removal`: also where it lists next to nothing now.

    `principal`, `channel` and `attributes` are what its run tells of whoever asked.
    """

    source: UUID
    allow_mass_removal: bool = False
    if_match: int | None = None
    principal: Mapping[str, str] = field(
        default_factory=lambda: {"type": SYSTEM.type, "id": SYSTEM.id, "name": SYSTEM.name}
    )
    channel: str = "worker"
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def stream(self) -> UUID:
        """The source's."""
        return self.source


@dataclass(frozen=True, kw_only=True)
class OnSync:
    """Base of the commands on a sync."""

    id: UUID

    @property
    def stream(self) -> UUID:
        """The sync's."""
        return self.id


@dataclass(frozen=True, kw_only=True)
class CancelSync(OnSync):
    """Have a sync of a source stop."""

    source: UUID
    if_match: int | None = None


@dataclass(frozen=True, kw_only=True)
class NoteListing(OnSync):
    """Note what the source has."""

    documents: int
    to_fetch: int
    left_out: int


@dataclass(frozen=True, kw_only=True)
class NoteProgress(OnSync):
    """Note what became of documents: all totals by now, and the errors that are new."""

    totals: Mapping[str, int]
    errors: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class EndSync(OnSync):
    """Note how a sync ended, and let another begin; `error` is {code, reason}, `used` its source: {id, name, version}."""

    outcome: Outcome
    error: Mapping[str, Any] | None = None
    used: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class SyncHandlers:
    """Carries out the commands on syncs."""

    things: Things
    connectors: Connectors
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def begin(self, command: BeginSync, unit: Unit) -> Done:
        """Begin a sync, or raise SyncInProgress, NotSyncable, Archived or Invalid."""
        source = await self.things.newest(KnowledgeSource, command.source)
        source.must_be_at(command.if_match)
        if source.archived:
            raise Archived("This knowledge source is archived: restore it first.")
        connector = connector_of(self.connectors, source.definition["type"])
        must_fit(connector, source.definition["config"])
        syncing = await unit.find(Syncing, Syncing.create_id(str(source.id))) or Syncing.create(source=source.id)
        sync = Sync.create(source=source.id, allow_mass_removal=command.allow_mass_removal)
        syncing.begin(sync.id)
        unit.effect("job", kind=SYNC, key=str(sync.id))
        unit.effect("needs", kind=KnowledgeSource.TOPIC, id=str(source.id), pointer="/source")
        run = begun(sync.id, source, command.principal, command.channel, command.attributes)
        unit.save(sync, syncing, run)
        return Done(aggregate=sync, also=[syncing, run], shown={"sync": {"id": str(sync.id), "state": sync.state}})

    async def cancel(self, command: CancelSync, unit: Unit) -> Done:
        """Have a sync stop."""
        sync = await unit.find(Sync, command.id)
        if sync is None or sync.source != str(command.source):
            raise NotFound("There is no such sync.")
        sync.must_be_at(command.if_match)
        sync.cancel()
        unit.save(sync)
        return Done(aggregate=sync, shown={"sync": {"id": str(sync.id), "state": sync.state}})

    async def note_listing(self, command: NoteListing, unit: Unit) -> Done:
        """Note what the source has."""
        sync = await unit.load(Sync, command.id)
        sync.note_listing(documents=command.documents, to_fetch=command.to_fetch, left_out=command.left_out)
        unit.save(sync)
        return Done(aggregate=sync)

    async def note_progress(self, command: NoteProgress, unit: Unit) -> Done:
        """Note what became of documents."""
        sync = await unit.load(Sync, command.id)
        sync.progress(totals=command.totals, errors=command.errors)
        unit.save(sync)
        return Done(aggregate=sync)

    async def end(self, command: EndSync, unit: Unit) -> Done:
        """Note how a sync ended, with its run; one that began before syncs were runs has none."""
        sync = await unit.load(Sync, command.id)
        syncing = await unit.load(Syncing, Syncing.create_id(sync.source))
        sync.end(command.outcome, command.error)
        syncing.end(sync.id)
        ended: list[Syncing | Run] = [syncing]
        run = await unit.find(Run, run_of(sync.id))
        if run is not None and not run.is_over:
            run.finish(end_of(sync, command.outcome, command.error, command.used, self.now()))
            ended.append(run)
        unit.save(sync, *ended)
        return Done(aggregate=sync, also=ended)
