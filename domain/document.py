"""Document: one text of a knowledge source, its versions, and whether they can be found."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain.configuration import Snapshot
from domain.definition import same
from domain.errors import NotFound, StaleVersion
from domain.passage_edits import PassageName
from domain.references import identify

Blame = Literal["document", "service"]
"""Why a version could not be indexed: it can't be read or embedded as it is, or what does so was away."""


NOTHING: Mapping[str, Any] = MappingProxyType({})


class Document(Aggregate):
    """One text of a knowledge source. Its bytes lie beside the log, under their SHA-256."""

    TOPIC = "document"
    CACHED = False
    Snapshot = Snapshot

    # What older snapshots do not tell of; appliers replace these, and never change them in place.
    written = False
    edits = NOTHING
    edition = 0
    editions = NOTHING
    failed_editions = NOTHING

    class Created(Aggregate.Created):
        """A source gave a document that it had not given before."""

        TOPIC = "document.created"
        source: str
        external_id: str

    class VersionAdded(Aggregate.Event):
        """It has new content; an earlier version answers until this one is indexed."""

        TOPIC = "document.version_added"
        number: int
        sha256: str
        size: int
        media_type: str
        title: str
        url: str | None
        metadata: dict[str, Any]
        acl: list[str] | None

        def apply(self, aggregate: "Document") -> None:
            aggregate.number = self.number
            aggregate.content = {"sha256": self.sha256, "size": self.size, "media_type": self.media_type}
            aggregate.details = details_of(self)
            aggregate.status, aggregate.failure, aggregate.failures = "pending", None, {}
            aggregate.removed = False

    class DetailsChanged(Aggregate.Event):
        """The same content, but another title, address, metadata or access."""

        TOPIC = "document.details_changed"
        title: str
        url: str | None
        metadata: dict[str, Any]
        acl: list[str] | None

        def apply(self, aggregate: "Document") -> None:
            aggregate.details = details_of(self)

    class Indexed(Aggregate.Event):
        """A version can be found in an index.

        `chunking` names how its text was cut, `chunks` into how many passages; `space` and
        `dimensions` where and how long its vectors are, null for words only.
        """

        TOPIC = "document.indexed"
        number: int
        index: int
        chunking: str
        chunks: int
        space: str | None
        dimensions: int | None

        def apply(self, aggregate: "Document") -> None:
            found(aggregate, self)

    class PassageWritten(Aggregate.Event):
        """It is a passage that somebody wrote: one piece, never cut, and nothing that is fetched takes it away."""

        TOPIC = "document.passage_written"

        def apply(self, aggregate: "Document") -> None:
            aggregate.written = True

    class PassageEdited(Aggregate.Event):
        """A passage says something else; `text_sha256` names it. The passage is named by the text that was cut."""

        TOPIC = "document.passage_edited"
        start: int
        end: int
        sha256: str
        text_sha256: str

        def apply(self, aggregate: "Document") -> None:
            edited(aggregate, self, text=self.text_sha256)
            aggregate.edition += 1

    class PassageRestored(Aggregate.Event):
        """A passage says again what was cut there."""

        TOPIC = "document.passage_restored"
        start: int
        end: int
        sha256: str

        def apply(self, aggregate: "Document") -> None:
            edited(aggregate, self, text=None)
            aggregate.edition += 1

    class PassageDisabled(Aggregate.Event):
        """A passage is not found any more."""

        TOPIC = "document.passage_disabled"
        start: int
        end: int
        sha256: str

        def apply(self, aggregate: "Document") -> None:
            edited(aggregate, self, disabled=True)

    class PassageEnabled(Aggregate.Event):
        """A passage is found again."""

        TOPIC = "document.passage_enabled"
        start: int
        end: int
        sha256: str

        def apply(self, aggregate: "Document") -> None:
            edited(aggregate, self, disabled=False)

    class PassagesIndexed(Aggregate.Event):
        """A version can be found in an index, with what was changed of its passages up to an edition.

        As `document.indexed` otherwise; `edition` counts the changes of what passages say.
        """

        TOPIC = "document.passages_indexed"
        number: int
        index: int
        edition: int
        chunking: str
        chunks: int
        space: str | None
        dimensions: int | None

        def apply(self, aggregate: "Document") -> None:
            found(aggregate, self)
            aggregate.editions = {**aggregate.editions, str(self.index): self.edition}

    class EditsFailed(Aggregate.Event):
        """What was changed of passages could not be put into an index; what was found before stays there."""

        TOPIC = "document.edits_failed"
        number: int
        index: int
        edition: int
        code: str
        reason: str
        blame: str

        def apply(self, aggregate: "Document") -> None:
            aggregate.failed_editions = {**aggregate.failed_editions, str(self.index): self.edition}
            aggregate.failure = {"code": self.code, "reason": self.reason}

    class Failed(Aggregate.Event):
        """A version could not be parsed, cut or embedded; `blame` is `document` or `service`."""

        TOPIC = "document.failed"
        number: int
        index: int
        code: str
        reason: str
        blame: str

        def apply(self, aggregate: "Document") -> None:
            aggregate.failures = aggregate.failures | {str(self.index): {"number": self.number, "blame": self.blame}}
            if self.number == aggregate.number:
                aggregate.status, aggregate.failure = "failed", {"code": self.code, "reason": self.reason}

    class RetryRequested(Aggregate.Event):
        """A version that failed is to be tried again."""

        TOPIC = "document.retry_requested"

        def apply(self, aggregate: "Document") -> None:
            aggregate.status, aggregate.failure, aggregate.failures = "pending", None, {}
            aggregate.failed_editions = {}

    class Removed(Aggregate.Event):
        """It is gone: from the source, or by request."""

        TOPIC = "document.removed"
        cause: str

        def apply(self, aggregate: "Document") -> None:
            aggregate.removed, aggregate.indexed, aggregate.failures = True, {}, {}
            aggregate.editions, aggregate.failed_editions = {}, {}

    def __init__(self, source: str, external_id: str) -> None:
        self.source = source
        self.external_id = external_id
        self.number = 0
        self.content: dict[str, Any] = {}
        self.details: dict[str, Any] = {}
        self.status = "pending"
        self.failure: dict[str, str] | None = None
        self.removed = False
        self.indexed: dict[str, int] = {}
        self.failures: dict[str, dict[str, Any]] = {}
        self.written, self.edition = False, 0
        self.edits, self.editions, self.failed_editions = {}, {}, {}

    @classmethod
    def create_id(cls, source: str, external_id: str) -> UUID:
        """Return the id of a source's document."""
        return identify(cls.TOPIC, f"{source}\0{external_id}")

    @classmethod
    def create(cls, *, source: UUID, external_id: str) -> Self:
        """Make a document that has no version yet."""
        return cls(source=str(source), external_id=external_id)

    def add(
        self,
        *,
        sha256: str,
        size: int,
        media_type: str,
        title: str,
        url: str | None,
        metadata: Mapping[str, Any],
        acl: Sequence[str] | None,
    ) -> bool:
        """Take what the source has now; return whether there is something to be indexed."""
        content = {"sha256": sha256, "size": size, "media_type": media_type}
        details = {
            "title": title,
            "url": url,
            "metadata": dict(metadata),
            "acl": None if acl is None else sorted(set(acl)),
        }
        if content != self.content or self.removed:
            self.trigger_event(self.VersionAdded, number=self.number + 1, **content, **details)
            return True
        if not same(details, self.details):
            self.trigger_event(self.DetailsChanged, **details)
        return False

    def write(self) -> None:
        """Be a passage that somebody wrote; said before it has a version."""
        self.trigger_event(self.PassageWritten)

    def edit(self, name: PassageName, *, text_sha256: str | None) -> None:
        """Have a passage say something else, or again what was cut there (None)."""
        self.must_be_there()
        if self._edit(name)["text"] != text_sha256:
            named = {"start": name.start, "end": name.end, "sha256": name.sha256}
            if text_sha256 is None:
                self.trigger_event(self.PassageRestored, **named)
            else:
                self.trigger_event(self.PassageEdited, **named, text_sha256=text_sha256)

    def disable(self, name: PassageName, *, disabled: bool) -> None:
        """Have a passage not be found, or be found again."""
        self.must_be_there()
        if self._edit(name)["disabled"] != disabled:
            event = self.PassageDisabled if disabled else self.PassageEnabled
            self.trigger_event(event, start=name.start, end=name.end, sha256=name.sha256)

    def _edit(self, name: PassageName) -> Mapping[str, Any]:
        kept: Mapping[str, Any] = self.edits.get(name.key, {"text": None, "disabled": False})
        return kept

    def finish_indexing(
        self,
        *,
        number: int,
        index: int,
        chunking: str,
        chunks: int,
        space: str | None,
        dimensions: int | None,
        edition: int = 0,
    ) -> None:
        """Note that a version can be found; nothing happens where it is noted, gone, or an older one."""
        there = (self.indexed.get(str(index), 0), self.editions.get(str(index), 0))
        if self.removed or (number, edition) <= there or number < there[0]:
            return
        told = {"number": number, "index": index, "chunking": chunking, "chunks": chunks, "space": space}
        if edition:
            self.trigger_event(self.PassagesIndexed, **told, dimensions=dimensions, edition=edition)
        else:
            self.trigger_event(self.Indexed, **told, dimensions=dimensions)

    def fail(self, *, number: int, index: int, code: str, reason: str, blame: Blame, edition: int = 0) -> None:
        """Note that a version could not be indexed; nothing happens where it is noted, or an older one."""
        noted = self.failures.get(str(index), {}).get("number", 0)
        if not self.removed and self._awaits_edits(index) and (number, edition) == (self.number, self.edition):
            failed = {"code": code, "reason": reason, "blame": blame}
            self.trigger_event(self.EditsFailed, number=number, index=index, edition=edition, **failed)
            return
        if not self.removed and number == self.number > max(noted, self.indexed.get(str(index), 0)):
            self.trigger_event(self.Failed, number=number, index=index, code=code, reason=reason, blame=blame)

    def needs(self, index: int) -> bool:
        """Return whether its newest version is still to be put into an index."""
        failed = self.failures.get(str(index), {}).get("number")
        lacking = self.number not in (self.indexed.get(str(index), 0), failed)
        return not self.removed and (lacking or self._awaits_edits(index))

    def _awaits_edits(self, index: int) -> bool:
        """Return whether its newest version is in an index without the newest changes of its passages."""
        done = max(self.editions.get(str(index), 0), self.failed_editions.get(str(index), 0))
        return self.indexed.get(str(index), 0) == self.number and self.edition > done

    def lacks(self, index: int) -> bool:
        """Return whether an index is without its newest version, which is not the document's own fault."""
        failure = self.failures.get(str(index), {})
        own_fault = failure.get("number") == self.number and failure["blame"] == "document"
        return not self.removed and self.indexed.get(str(index), 0) != self.number and not own_fault

    def retry(self, indexes: Collection[int]) -> bool:
        """Have what could not be put into one of these indexes tried again; return whether there is any: else nothing happens."""
        self.must_be_there()
        failed = any(self._failed(index) for index in indexes)
        if failed:
            self.trigger_event(self.RetryRequested)
        return failed

    def _failed(self, index: int) -> bool:
        """Return whether an index is without its newest version, or changes of its passages, because that failed."""
        is_there = self.indexed.get(str(index), 0) == self.number and self.edition <= self.editions.get(str(index), 0)
        return not is_there and not self.needs(index)

    def remove(self, *, cause: str) -> None:
        """Take it out of every index."""
        if not self.removed:
            self.trigger_event(self.Removed, cause=cause)

    def must_be_at(self, version: int | None) -> None:
        """Raise StaleVersion unless no version is asked for or it is the present one."""
        if version not in (None, self.version):
            raise StaleVersion(details={"current_version": self.version})

    def must_be_there(self) -> None:
        """Raise NotFound where it was removed."""
        if self.removed:
            raise NotFound("There is no such document.")


def found(document: Document, event: Any) -> None:
    """Apply that a version can be found in an index."""
    document.indexed = document.indexed | {str(event.index): event.number}
    document.failures = {k: v for k, v in document.failures.items() if k != str(event.index)}
    if event.number == document.number:
        document.status, document.failure = "indexed", None


def edited(document: Document, event: Any, **changed: Any) -> None:
    """Apply what an event says of one passage; an edit that changes nothing any more is none."""
    name = PassageName(start=event.start, end=event.end, sha256=event.sha256)
    kept = {key: edit for key, edit in document.edits.items() if key != name.key}
    fresh = {"start": name.start, "end": name.end, "sha256": name.sha256, "text": None, "disabled": False}
    edit = {**fresh, **document.edits.get(name.key, {}), **changed}
    if edit["text"] is not None or edit["disabled"]:
        kept[name.key] = edit
    document.edits = kept


def details_of(event: Any) -> dict[str, Any]:
    """Return what an event says of a document besides its content."""
    return {"title": event.title, "url": event.url, "metadata": event.metadata, "acl": event.acl}
