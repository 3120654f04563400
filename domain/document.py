"""Document: one text of a knowledge source, its versions, and whether they can be found."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain.configuration import Snapshot
from domain.definition import same
from domain.errors import NotFound, StaleVersion
from domain.references import identify

Blame = Literal["document", "service"]
"""Why a version could not be indexed: it can't be read or embedded as it is, or what does so was away."""


class Document(Aggregate):
    """One text of a knowledge source. Its bytes lie beside the log, under their SHA-256."""

    TOPIC = "document"
    CACHED = False
    Snapshot = Snapshot

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
            aggregate.indexed = aggregate.indexed | {str(self.index): self.number}
            aggregate.failures = {k: v for k, v in aggregate.failures.items() if k != str(self.index)}
            if self.number == aggregate.number:
                aggregate.status, aggregate.failure = "indexed", None

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

    class Removed(Aggregate.Event):
        """It is gone: from the source, or by request."""

        TOPIC = "document.removed"
        cause: str

        def apply(self, aggregate: "Document") -> None:
            aggregate.removed, aggregate.indexed, aggregate.failures = True, {}, {}

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

    def finish_indexing(
        self, *, number: int, index: int, chunking: str, chunks: int, space: str | None, dimensions: int | None
    ) -> None:
        """Note that a version can be found; nothing happens where it is noted, gone, or an older one."""
        if not self.removed and number > self.indexed.get(str(index), 0):
            self.trigger_event(
                self.Indexed,
                number=number,
                index=index,
                chunking=chunking,
                chunks=chunks,
                space=space,
                dimensions=dimensions,
            )

    def fail(self, *, number: int, index: int, code: str, reason: str, blame: Blame) -> None:
        """Note that a version could not be indexed; nothing happens where it is noted, or an older one."""
        noted = self.failures.get(str(index), {}).get("number", 0)
        if not self.removed and number == self.number > max(noted, self.indexed.get(str(index), 0)):
            self.trigger_event(self.Failed, number=number, index=index, code=code, reason=reason, blame=blame)

    def needs(self, index: int) -> bool:
        """Return whether its newest version is still to be put into an index."""
        failed = self.failures.get(str(index), {}).get("number")
        return not self.removed and self.number not in (self.indexed.get(str(index), 0), failed)

    def lacks(self, index: int) -> bool:
        """Return whether an index is without its newest version, which is not the document's own fault."""
        failure = self.failures.get(str(index), {})
        own_fault = failure.get("number") == self.number and failure["blame"] == "document"
        return not self.removed and self.indexed.get(str(index), 0) != self.number and not own_fault

    def retry(self) -> None:
        """Have a version that failed tried again; nothing happens where none did."""
        self.must_be_there()
        if self.failures:
            self.trigger_event(self.RetryRequested)

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


def details_of(event: Any) -> dict[str, Any]:
    """Return what an event says of a document besides its content."""
    return {"title": event.title, "url": event.url, "metadata": event.metadata, "acl": event.acl}
