"""Sync: a source is asked what it has; what is new is fetched, what is gone is taken away."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain.configuration import Snapshot
from domain.errors import Conflict, StaleVersion
from domain.references import identify

Outcome = Literal["completed", "failed", "cancelled"]
TOTALS = ("added", "changed", "unchanged", "failed", "removed")
"""What may become of a document that a source lists, or no longer lists."""

FEW = 20
A_TENTH = 10


class SyncInProgress(Conflict):
    """This source is being synced already: wait for its end, or cancel it."""

    code = "sync_in_progress"


class SyncEnded(Conflict):
    """This sync has ended already."""

    code = "sync_ended"


class Syncing(Aggregate):
    """Whether a source is being synced: one sync at a time."""

    TOPIC = "syncing"
    CACHED = False
    Snapshot = Snapshot

    class Created(Aggregate.Created):
        """A source is synced for the first time."""

        TOPIC = "syncing.created"
        source: str

    class Began(Aggregate.Event):
        """A sync began."""

        TOPIC = "syncing.began"
        sync: str

        def apply(self, aggregate: "Syncing") -> None:
            aggregate.sync = self.sync

    class Ended(Aggregate.Event):
        """It has ended, whatever came of it: another may begin."""

        TOPIC = "syncing.ended"
        sync: str

        def apply(self, aggregate: "Syncing") -> None:
            aggregate.sync = None

    def __init__(self, source: str) -> None:
        self.source = source
        self.sync: str | None = None

    @classmethod
    def create_id(cls, source: str) -> UUID:
        """Return the id of what is known of a source's syncs."""
        return identify(cls.TOPIC, f"of {source}")  # an id alone would stand for itself

    @classmethod
    def create(cls, *, source: UUID) -> Self:
        """Make it for a source that was never synced."""
        return cls(source=str(source))

    def begin(self, sync: UUID) -> None:
        """Note that a sync begins, or raise SyncInProgress."""
        if self.sync is not None:
            raise SyncInProgress(details={"sync": self.sync})
        self.trigger_event(self.Began, sync=str(sync))

    def end(self, sync: UUID) -> None:
        """Note that a sync has ended; nothing happens where it is another one's turn."""
        if self.sync == str(sync):
            self.trigger_event(self.Ended, sync=str(sync))


class Sync(Aggregate):
    """One sync of a source. `totals` count the documents by what became of them so far."""

    TOPIC = "sync"
    CACHED = False
    Snapshot = Snapshot

    class Created(Aggregate.Created):
        """Somebody, or its schedule, asked for a source to be synced."""

        TOPIC = "sync.created"
        source: str
        allow_mass_removal: bool

    class Listed(Aggregate.Event):
        """The source said what it has: so many documents, so many of them to be fetched; some it left out."""

        TOPIC = "sync.listed"
        documents: int
        to_fetch: int
        left_out: int

        def apply(self, aggregate: "Sync") -> None:
            aggregate.listed = self.documents

    class Progressed(Aggregate.Event):
        """More of them are done: how many by now, and which failed since the last time."""

        TOPIC = "sync.progressed"
        totals: dict[str, int]
        errors: list[dict[str, str]]

        def apply(self, aggregate: "Sync") -> None:
            aggregate.totals = self.totals

    class CancelRequested(Aggregate.Event):
        """It is to stop after what is under way."""

        TOPIC = "sync.cancel_requested"

        def apply(self, aggregate: "Sync") -> None:
            aggregate.state = "cancelling"

    class Completed(Aggregate.Event):
        """Everything that the source has is taken, and what is gone is gone here as well."""

        TOPIC = "sync.completed"

        def apply(self, aggregate: "Sync") -> None:
            aggregate.state = "completed"

    class Failed(Aggregate.Event):
        """The source was not there, or not believable; what was taken until then stays."""

        TOPIC = "sync.failed"
        code: str
        reason: str

        def apply(self, aggregate: "Sync") -> None:
            aggregate.state = "failed"

    class Cancelled(Aggregate.Event):
        """It stopped because somebody asked for it; what was taken until then stays."""

        TOPIC = "sync.cancelled"

        def apply(self, aggregate: "Sync") -> None:
            aggregate.state = "cancelled"

    def __init__(self, source: str, allow_mass_removal: bool) -> None:
        self.source = source
        self.allow_mass_removal = allow_mass_removal
        self.state = "running"
        self.listed: int | None = None
        self.totals: dict[str, int] = dict.fromkeys(TOTALS, 0)

    @classmethod
    def create(cls, *, source: UUID, allow_mass_removal: bool) -> Self:
        """Begin a sync."""
        return cls(source=str(source), allow_mass_removal=allow_mass_removal)

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state not in ("running", "cancelling")

    def must_be_at(self, version: int | None) -> None:
        """Raise StaleVersion unless no version is asked for or it is the present one."""
        if version not in (None, self.version):
            raise StaleVersion(details={"current_version": self.version})

    def believes(self, *, listed: int, known: int) -> bool:
        """Return whether a source that had `known` documents may have `listed` ones now.

        One that lists nothing, or less than a tenth of many, is rather away in part; unless that is expected.
        """
        emptied = known > 0 and listed == 0
        shrunk = known >= FEW and listed * A_TENTH < known
        return self.allow_mass_removal or not (emptied or shrunk)

    def note_listing(self, *, documents: int, to_fetch: int, left_out: int) -> None:
        """Note what the source has."""
        if not self.ended and self.listed is None:
            self.trigger_event(self.Listed, documents=documents, to_fetch=to_fetch, left_out=left_out)

    def progress(self, *, totals: Mapping[str, int], errors: Sequence[Mapping[str, str]]) -> None:
        """Note what became of documents: all totals by now, and the errors that are new."""
        if not self.ended and (dict(totals) != self.totals or errors):
            self.trigger_event(self.Progressed, totals=dict(totals), errors=[dict(each) for each in errors])

    def cancel(self) -> None:
        """Ask it to stop; nothing happens where that is asked already."""
        if self.ended:
            raise SyncEnded
        if self.state == "running":
            self.trigger_event(self.CancelRequested)

    def end(self, outcome: Outcome, error: Mapping[str, Any] | None = None) -> None:
        """Note how it ended; nothing happens where it has."""
        if self.ended:
            return
        match outcome:
            case "completed":
                self.trigger_event(self.Completed)
            case "cancelled":
                self.trigger_event(self.Cancelled)
            case "failed":
                said = error or {}
                self.trigger_event(self.Failed, code=said.get("code", "failed"), reason=said.get("reason", ""))
