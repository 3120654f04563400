"""Documents of a knowledge source: given, removed, tried again; what they say is indexed by jobs."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID, uuid4

from commands.bus import Bus, Done
from commands.knowledge.connectors import GivenDocument
from commands.knowledge.document_checks import checked, must_be_distinct
from commands.knowledge.knowledge_source import FILL_INDEX, ensure_index
from commands.knowledge.tokenizing import Tokenizers
from commands.ports import SYSTEM, Actor, Context, Receipt, Things, Unit
from commands.retrieval.retrieval import groups_of, may_find
from domain.document import Document
from domain.errors import Archived, Conflict, NotFound
from domain.knowledge_source import KnowledgeSource

INDEX_DOCUMENT = "index_document"
"""The kind of job that puts a document into the indexes that lack it; its key is the document's id."""


class ExternalIdTaken(Conflict):
    """A document that you may not see has this external_id: choose another."""

    code = "external_id_taken"


@dataclass(frozen=True, kw_only=True)
class Added:
    """What came of giving documents: {id, external_id, version, status, sha256} of each, in their order.

    The receipt has the source's id and version, and a position by which all of them are in the log.
    `job_id` is what their progress is asked for by.
    """

    documents: Sequence[Mapping[str, Any]]
    job_id: UUID
    receipt: Receipt


@dataclass(frozen=True, kw_only=True)
class NamedDocument:
    """A given document whose content is stored: it is named by its SHA-256.

    `written`: it is a passage as it is; `known`: a sync took the same before, so where it was removed since, it stays so.
    """

    id: UUID
    external_id: str
    sha256: str
    size: int
    media_type: str
    title: str
    url: str | None
    metadata: Mapping[str, Any]
    acl: Sequence[str] | None
    written: bool = False
    known: bool = False


@dataclass(frozen=True, kw_only=True)
class AddDocuments:
    """Take what a source has now of some documents; `groups` are the caller's, None: may find everything."""

    source: UUID
    job_id: UUID
    documents: Sequence[NamedDocument]
    groups: frozenset[str] | None = None

    @property
    def stream(self) -> UUID:
        """The first document's: equal uploads queue up, others go side by side."""
        return self.documents[0].id


@dataclass(frozen=True, kw_only=True)
class OnDocument:
    """Base of the commands on a document of a source; `groups` are the caller's, None: may find everything."""

    source: UUID
    id: UUID
    groups: frozenset[str] | None = None
    if_match: int | None = None

    @property
    def stream(self) -> UUID:
        """The document's."""
        return self.id


@dataclass(frozen=True, kw_only=True)
class RemoveDocument(OnDocument):
    """Take a document away; `cause` is `request`, or `sync` where the source no longer has it."""

    cause: str


@dataclass(frozen=True, kw_only=True)
class RetryDocument(OnDocument):
    """Have a document that failed tried again."""


@dataclass(frozen=True, kw_only=True)
class DocumentHandlers:
    """Carries out the commands on documents."""

    things: Things
    tokenizers: Tokenizers

    async def add(self, command: AddDocuments, unit: Unit) -> Done:
        """Take documents: a new version, other details, or nothing new, each."""
        source = await self._source(command.source)
        known = await unit.find_many(Document, [each.id for each in command.documents])
        if any(not document.removed and not sees(command.groups, document, source) for document in known.values()):
            raise ExternalIdTaken
        shown, documents, made, waiting = [], [], [], []
        for each in command.documents:
            document = known.get(each.id)
            if document is None:
                document = Document.create(source=source.id, external_id=each.external_id)
                if each.written:
                    document.write()
                made.append(str(document.id))
            if not (each.known and document.removed) and take(document, each):
                waiting.append(str(document.id))
            documents.append(document)
            shown.append(document_receipt(document))
        if made:
            unit.effect("documents", source=str(source.id), ids=made)
        if waiting:
            unit.effect("jobs", kind=INDEX_DOCUMENT, keys=waiting)
            source = await ensure_index(source, self.things, self.tokenizers, unit)
        unit.effect("needs", kind=KnowledgeSource.TOPIC, id=str(source.id), pointer="/source")
        unit.save(*documents)
        told = {"documents": shown, "job_id": str(command.job_id)}
        return Done(aggregate=source, also=documents, shown=told, queued=bool(waiting))

    async def remove(self, command: RemoveDocument, unit: Unit) -> Done:
        """Take a document away."""
        document = await self._document(command, unit)
        document.must_be_there()
        document.remove(cause=command.cause)
        unit.save(document)
        return Done(aggregate=document)

    async def retry(self, command: RetryDocument, unit: Unit) -> Done:
        """Try a document again."""
        document = await self._document(command, unit)
        source = await self._source(command.source)
        if not document.retry(source.filled):
            return Done(aggregate=document)
        unit.effect("job", kind=INDEX_DOCUMENT, key=str(document.id))
        if source.index != source.newest_index:  # this may be what a new index waits for
            unit.effect("job", kind=FILL_INDEX, key=str(source.id))
        unit.save(document)
        return Done(aggregate=document, queued=True)

    async def _source(self, id: UUID) -> KnowledgeSource:
        source = await self.things.newest(KnowledgeSource, id)
        if source.archived:
            raise Archived("This knowledge source is archived: restore it first.")
        return source

    async def _document(self, command: OnDocument, unit: Unit) -> Document:
        return await addressed(command, unit, self.things)


async def addressed(command: OnDocument, unit: Unit, things: Things) -> Document:
    """Return the document that a command is on; absent, and not for its caller, are the same NotFound."""
    document = (await unit.find_many(Document, [command.id])).get(command.id)
    if document is None or document.source != str(command.source):
        raise NotFound("There is no such document.")
    source = await things.newest(KnowledgeSource, command.source)
    if not sees(command.groups, document, source):
        raise NotFound("There is no such document.")
    document.must_be_at(command.if_match)
    return document


def sees(groups: frozenset[str] | None, document: Document, source: KnowledgeSource) -> bool:
    """Return whether a caller of these groups may find a document; None: everything."""
    own = document.details["acl"]
    acl = source.definition["acl"] if own is None else own
    return may_find(groups, acl)


def take(document: Document, given: NamedDocument) -> bool:
    """Have a document take what was given; return whether there is something to be indexed."""
    return document.add(
        sha256=given.sha256,
        size=given.size,
        media_type=given.media_type,
        title=given.title,
        url=given.url,
        metadata=given.metadata,
        acl=given.acl,
    )


def document_receipt(document: Document) -> dict[str, Any]:
    """Return what a receipt says of a document; its version is the number of its content's version."""
    return {
        "id": str(document.id),
        "external_id": document.external_id,
        "version": document.number,
        "status": document.status,
        "sha256": document.content["sha256"],
    }


def name_document(
    source: UUID, given: GivenDocument, sha256: str, *, written: bool = False, known: bool = False
) -> NamedDocument:
    """Return a given document, its content named by its hash."""
    return NamedDocument(
        id=Document.create_id(str(source), given.external_id),
        external_id=given.external_id,
        sha256=sha256,
        size=len(given.content),
        media_type=given.media_type,
        title=given.title,
        url=given.url,
        metadata=given.metadata,
        acl=given.acl,
        written=written,
        known=known,
    )


class Contents(Protocol):
    """The bytes of documents, beside the log."""

    async def keep(self, contents: Mapping[str, bytes]) -> None:
        """Store contents under their SHA-256 (hex); what is there already stays."""


class Uploads(Protocol):
    """What was given together, so that its progress can be told."""

    async def note(self, id: UUID, source: UUID, documents: Collection[UUID], giver: Actor) -> None:
        """Remember the documents of an upload, and who gave them."""


@dataclass(frozen=True, kw_only=True)
class Documents:
    """What is asked of documents. Contents are stored before the events that name them.

    A content whose events are then refused stays stored: it harms nobody, and the same one given again finds it.
    """

    bus: Bus
    contents: Contents
    uploads: Uploads
    things: Things

    async def add(
        self,
        source: UUID,
        documents: Sequence[GivenDocument],
        context: Context,
        *,
        written: bool = False,
        before: Mapping[str, str | None] | None = None,
    ) -> Added:
        """Take documents of a source, all or none; or raise Invalid, NotFound, Archived, TooLarge or ExternalIdTaken.

        The same content again is no new version; they are indexed afterwards, by jobs. What is `written` is never cut.
        `before` is the SHA-256 of what a sync took before, by external id: where that is the same, and somebody removed
        the document since, it stays removed.
        """
        given = [checked(each, f"/documents/{number}") for number, each in enumerate(documents)]
        must_be_distinct(given)
        found = await self.things.newest(KnowledgeSource, source)
        if found.archived:
            raise Archived("This knowledge source is archived: restore it first.")
        hashes = await asyncio.to_thread(lambda: [sha256(each.content).hexdigest() for each in given])
        await self.contents.keep({name: each.content for name, each in zip(hashes, given, strict=True)})
        known = before or {}
        named = [
            name_document(source, each, name, written=written, known=known.get(each.external_id) == name)
            for name, each in zip(hashes, given, strict=True)
        ]
        job_id = uuid4()
        await self.uploads.note(job_id, source, [each.id for each in named], context.actor)
        command = AddDocuments(source=source, job_id=job_id, documents=named, groups=groups_in(context))
        receipt = await self.bus.dispatch(command, context)
        shown = receipt.shown
        return Added(documents=shown["documents"], job_id=UUID(shown["job_id"]), receipt=receipt)

    async def remove(
        self, source: UUID, document: UUID, context: Context, *, cause: str = "request", if_match: int | None = None
    ) -> Receipt:
        """Remove a document; its passages are no longer found. Raises NotFound."""
        command = RemoveDocument(source=source, id=document, groups=groups_in(context), if_match=if_match, cause=cause)
        return await self.bus.dispatch(command, context)

    async def retry(self, source: UUID, document: UUID, context: Context, *, if_match: int | None = None) -> Receipt:
        """Have a document that failed tried again. Raises NotFound."""
        command = RetryDocument(source=source, id=document, groups=groups_in(context), if_match=if_match)
        return await self.bus.dispatch(command, context)


def groups_in(context: Context) -> frozenset[str] | None:
    """Return the groups of who asks; the system itself sees everything."""
    return None if context.actor.type == SYSTEM.type else groups_of(context.actor)
