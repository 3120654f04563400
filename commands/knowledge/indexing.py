"""Indexing documents: read, cut, embedded, and then noted as found; whatever is made is kept for the next time."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from commands.bus import Bus, Done
from commands.jobs import Failed, Finished, Job, Outcome
from commands.knowledge.document import INDEX_DOCUMENT
from commands.knowledge.embedding_texts import Embedder, the_texts_fault
from commands.knowledge.index_entries import Contents, Cut, Entry, Part, Texts
from commands.knowledge.reading import Text, Unreadable
from commands.knowledge.revising import revise
from commands.knowledge.tokenizing import Cutter
from commands.knowledge.transforming import Transformer
from commands.models.model_calls import ModelCallFailed
from commands.ports import SYSTEM, Context, Things, Unit
from commands.retrieval.recent_searches import RecentSearches
from domain.document import Blame, Document
from domain.errors import DomainError, Unavailable
from domain.knowledge_source import KnowledgeSource

MOST_BYTES = 8_000_000
"""Bytes of contents that are worked on together; a larger document goes alone."""

MOST, GROUPS = 256, 3
"""Documents that are worked on together, and how many times as many at once."""

FEW, FEW_GROUPS = 32, 1
"""The same while people search: a search waits for each piece of work that this process has begun before."""

INDEXER = Context(actor=SYSTEM, channel="worker")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a document's version in an index: `chunks` of it there, or the failure."""

    document: UUID
    number: int
    index: int
    edition: int = 0
    chunking: str = ""
    chunks: int = 0
    space: str | None = None
    dimensions: int | None = None
    failure: tuple[str, str, Blame] | None = None


@dataclass(frozen=True, kw_only=True)
class NoteResults:
    """Note which documents are indexed, and which can't be."""

    results: Sequence[Result]

    @property
    def stream(self) -> UUID:
        """The first document's."""
        return self.results[0].document


async def note_results(command: NoteResults, unit: Unit) -> Done:
    """Note results; those of documents that are gone or have moved on change nothing."""
    known = await unit.find_many(Document, [each.document for each in command.results])
    for each in command.results:
        document = known[each.document]
        if each.failure is not None:
            code, reason, blame = each.failure
            document.fail(
                number=each.number, index=each.index, edition=each.edition, code=code, reason=reason, blame=blame
            )
        else:
            document.finish_indexing(
                number=each.number,
                index=each.index,
                edition=each.edition,
                chunking=each.chunking,
                chunks=each.chunks,
                space=each.space,
                dimensions=each.dimensions,
            )
    unit.save(*known.values())
    first, *others = known.values()
    return Done(aggregate=first, also=others)


@dataclass(frozen=True, kw_only=True)
class IndexDocuments:
    """Carries out the jobs that put documents into the indexes that lack them."""

    bus: Bus
    things: Things
    contents: Contents
    texts: Texts
    cutter: Cutter
    transformer: Transformer
    embedder: Embedder
    recent: RecentSearches = field(default_factory=RecentSearches)
    kind: str = INDEX_DOCUMENT

    @property
    def most(self) -> int:
        """How many documents are worked on together."""
        return FEW if self.recent else MOST

    @property
    def groups(self) -> int:
        """How many times as many are worked on at once."""
        return FEW_GROUPS if self.recent else GROUPS

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Index documents, some at a time; what is done is noted before the next are begun."""
        documents = await self.things.newest_of(Document, [UUID(job.key) for job in jobs])
        sources = await self.things.newest_of(KnowledgeSource, {UUID(each.source) for each in documents.values()})
        refusals: dict[UUID, str] = {}
        for part in self._parts(documents.values(), sources):
            await self._index(part)
            refusals |= {document: error for (document, _), error in part.refusals.items()}
        return {
            job.id: Failed(error=refusals[UUID(job.key)]) if UUID(job.key) in refusals else Finished() for job in jobs
        }

    async def give_up(self, job: Job, error: str) -> None:
        """Note that a document could not be indexed although nothing is wrong with it."""
        documents = await self.things.newest_of(Document, [UUID(job.key)])
        sources = await self.things.newest_of(KnowledgeSource, {UUID(each.source) for each in documents.values()})
        failure: tuple[str, str, Blame] = ("indexing_failed", error, "service")
        results = [
            Result(document=document.id, number=document.number, edition=document.edition, index=index, failure=failure)
            for document in documents.values()
            for index in wanting(document, sources[UUID(document.source)])
        ]
        if results:
            await self.bus.dispatch(NoteResults(results=results), INDEXER)

    def _parts(self, documents: Collection[Document], sources: Mapping[UUID, KnowledgeSource]) -> list[Part]:
        """Return what is to be done, in parts of not too many bytes."""
        parts: list[Part] = []
        size = 0
        for document in documents:
            source = sources[UUID(document.source)]
            if not (indexes := wanting(document, source)):
                continue
            if not parts or size + document.content["size"] > MOST_BYTES:
                parts.append(Part(entries=[]))
                size = 0
            size += document.content["size"]
            for index in indexes:
                entry = Entry(document=document, source=source, index=index)
                try:
                    entry = replace(entry, parser=self.cutter.reader.parser(*entry.read_as))
                except Unreadable as error:
                    parts[-1].failures[entry.key] = error
                parts[-1].entries.append(entry)
        return parts

    async def _index(self, part: Part) -> None:
        await self._prepare(part)
        await revise(part, self.contents, self.texts, self.cutter)
        await self.transformer.transform(part)
        dimensions = await self._embed(part)
        chunks = await self.texts.cuts({part.final(each) for each in part.going})
        results = [
            Result(
                document=each.document.id,
                number=each.document.number,
                edition=each.document.edition,
                index=each.index,
                chunking=part.final(each).hex(),
                chunks=chunks[part.final(each)],
                space=each.space,
                dimensions=None if each.space is None else dimensions.get(each.space),
            )
            for each in part.going
        ]
        results += [
            Result(
                document=each.document.id,
                number=each.document.number,
                edition=each.document.edition,
                index=each.index,
                failure=(error.error_code, str(error), "document"),
            )
            for each in part.entries
            if (error := part.failures.get(each.key)) is not None
        ]
        if results:
            await self.bus.dispatch(NoteResults(results=results), INDEXER)

    # Texts and chunks -------------------------------------------------------

    async def _prepare(self, part: Part) -> None:
        """Make the chunks of all documents, where they are not kept already."""
        there = await self.texts.cuts({each.chunking for each in part.going})
        lacking = {each.chunking: each for each in part.going if each.chunking not in there}
        if not lacking:
            return
        texts = await self._texts(part, list(lacking.values()))
        cuts = await asyncio.gather(
            *(
                self._cut(part, entry, texts[entry.content, entry.parser])
                for entry in lacking.values()
                if (entry.content, entry.parser) in texts
            )
        )
        await self.texts.keep_cuts([cut for cut in cuts if cut is not None])

    async def _texts(self, part: Part, entries: Sequence[Entry]) -> Mapping[tuple[str, str], Text]:
        """Return what contents say; those that can't be read are noted."""
        wanted = {(each.content, each.parser): each for each in entries}
        kept = await self.texts.texts(list(wanted))
        lacking = {name: entry for name, entry in wanted.items() if name not in kept}
        contents = await self.contents.read({content for content, _ in lacking}) if lacking else {}
        read = await asyncio.gather(
            *(self._read(part, entry, contents.get(content)) for (content, _), entry in lacking.items())
        )
        made = {name: text for name, text in zip(lacking, read, strict=True) if text is not None}
        if made:
            await self.texts.keep_texts(made)
        return {**kept, **made}

    async def _read(self, part: Part, entry: Entry, content: bytes | None) -> Text | None:
        if content is None:
            self._fail(part, entry, Unreadable("Its content is not stored any more: give it again."), is_read_alike)
            return None
        try:
            text = await self.cutter.reader.read(content, *entry.read_as)
        except DomainError as error:
            self._fail(part, entry, error, is_read_alike)
            return None
        if text.scanned is not None:  # OCR takes long: should this process be ended, it is not done again
            await self.texts.keep_texts({(entry.content, entry.parser): text})
        return text

    async def _cut(self, part: Part, entry: Entry, text: Text) -> Cut | None:
        try:
            chunks = await self.cutter.cut(text, entry.settings, entry.model)
        except DomainError as error:
            self._fail(part, entry, error, is_cut_alike)
            return None
        return Cut(
            id=entry.chunking,
            content=entry.content,
            parser=entry.parser,
            settings=entry.settings,
            chunks=chunks,
            language=text.language,
        )

    @staticmethod
    def _fail(part: Part, entry: Entry, error: DomainError, alike: Callable[[Entry, Entry], bool]) -> None:
        """Note an error for every document that fares alike: it is theirs, or a service's to be tried again."""
        for each in part.entries:
            if alike(each, entry):
                part.note(each, error, its_own=isinstance(error, Unreadable))

    # Vectors ----------------------------------------------------------------

    async def _embed(self, part: Part) -> Mapping[str, int]:
        """Make the vectors of all chunks, where they are not kept already; return their lengths by space."""
        dimensions: dict[str, int] = {}
        spaces: defaultdict[tuple[UUID, str], list[Entry]] = defaultdict(list)
        for each in part.going:
            if each.space is not None:
                spaces[each.source.id, each.space].append(each)
        for (_, space), entries in spaces.items():
            owners: defaultdict[bytes, list[Entry]] = defaultdict(list)
            for each in entries:
                owners[part.final(each)].append(each)
            first = entries[0]
            model = UUID(first.source.indexes[str(first.index)]["embedding_model"])
            try:
                length, refused = await self.embedder.embed(first.source, model, space, list(owners))
            except DomainError as error:
                # An index that is being replaced is left as it is: they are found once the next one answers.
                left = [each for each in entries if is_left(each, error)]
                part.entries = [each for each in part.entries if each not in left]
                part.refusals |= {each.key: str(error) for each in entries if each not in left}
                continue
            if length is not None:
                dimensions[space] = length
            for chunking, refusal in refused.items():
                for each in owners[chunking]:
                    part.note(each, refusal, its_own=the_texts_fault(refusal))
        return dimensions


def is_read_alike(one: Entry, other: Entry) -> bool:
    """Return whether both are the same content, read by the same parser."""
    return (one.content, one.parser) == (other.content, other.parser)


def is_cut_alike(one: Entry, other: Entry) -> bool:
    """Return whether both are the same text, cut in the same way."""
    return one.chunking == other.chunking


def wanting(document: Document, source: KnowledgeSource) -> list[int]:
    """Return the indexes of its source that lack the newest version of a document."""
    return [index for index in sorted(source.filled) if document.needs(index)]


def is_left(entry: Entry, error: DomainError) -> bool:
    """Return whether an index that is being replaced does without: its model has another name now, or can't be called at all."""
    newest = entry.source.building
    if newest is None or newest["space"] == entry.space:
        return False
    return newest["embedding_model"] == entry.model or not isinstance(error, ModelCallFailed | Unavailable)
