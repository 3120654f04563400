"""Building indexes: a source's documents are put into the index that its settings ask for, which then answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from commands.bus import Bus
from commands.jobs import Failed, Finished, Job, JobQueue, Outcome, Postponed
from commands.knowledge.document import INDEX_DOCUMENT
from commands.knowledge.indexing import INDEXER
from commands.knowledge.knowledge_source import FILL_INDEX, FOLLOW_MODELS, BuildIndex, CompleteIndex
from commands.ports import Things
from domain.document import Document
from domain.errors import Archived, DomainError
from domain.knowledge_source import KnowledgeSource

PAGE = 1000
LOOK_AGAIN = 1.0
"""Seconds between two looks at an index that is being filled."""

MOST_LOOKS = 1800
"""Looks after which a full index answers although searches in it are still slower than they will be."""


class SourceDocuments(Protocol):
    """Which documents sources have ever had."""

    async def after(self, source: UUID, document: UUID, limit: int) -> Sequence[UUID]:
        """Return the next documents of a source after one, in the order of their ids."""

    async def waiting(self, source: UUID, kind: str) -> int:
        """Return for how many of a source's documents there is a job."""

    async def sources(self) -> Sequence[UUID]:
        """Return all knowledge sources."""


class SearchedTables(Protocol):
    """What searches read."""

    async def in_order(self, source: UUID, index: int, position: int) -> bool:
        """Return whether all up to a position is found in an index, no slower than in the one that answers."""


class Log(Protocol):
    """The log, for its length."""

    async def head(self) -> int:
        """Return the position of the newest event."""


@dataclass(frozen=True, kw_only=True)
class FillIndexes:
    """Carries out the jobs that fill the newest or the answering index of a source with all its documents."""

    bus: Bus
    things: Things
    queue: JobQueue
    documents: SourceDocuments
    tables: SearchedTables
    log: Log
    kind: str = FILL_INDEX
    most: int = 1
    groups: int = 2

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Ask for a job for each document; once all are done, let the index answer."""
        return {job.id: await self._fill(UUID(job.key), job.payload) for job in jobs}

    async def give_up(self, job: Job, error: str) -> None:
        """Leave the index that answers as it is: trying the documents that failed again goes on from here."""

    async def _fill(self, id: UUID, payload: Mapping[str, Any]) -> Outcome:
        source = (await self.things.newest_of(KnowledgeSource, [id])).get(id)
        if source is None or source.archived or source.newest_index is None:
            return Finished()
        asked = payload.get("asked")
        if asked != [source.index, source.newest_index]:
            await self._ask(id)
            return Postponed(delay=0, payload={"asked": [source.index, source.newest_index]})
        if await self.documents.waiting(id, INDEX_DOCUMENT):
            return Postponed(delay=LOOK_AGAIN, payload=payload)
        looks, until = payload.get("looks", 0), payload.get("until") or await self.log.head()
        late = looks < MOST_LOOKS and not await self._in_order(source, source.newest_index, until)
        # All documents are read for this: at the first look, and before the index answers.
        if (not late or not looks) and (lacking := await self._lacking(source, source.newest_index)):
            return Failed(error=f"{lacking} documents are not in index {source.newest_index}: try them again.")
        if late:
            return Postponed(delay=LOOK_AGAIN, payload={**payload, "looks": looks + 1, "until": until})
        await self.bus.dispatch(CompleteIndex(id=id, index=source.newest_index), INDEXER)
        return Finished()

    async def _in_order(self, source: KnowledgeSource, index: int, position: int) -> bool:
        return source.index == index or await self.tables.in_order(source.id, index, position)

    async def _ask(self, source: UUID) -> None:
        after = UUID(int=0)
        while ids := await self.documents.after(source, after, PAGE):
            after = ids[-1]
            await self.queue.ask(INDEX_DOCUMENT, [str(id) for id in ids])

    async def _lacking(self, source: KnowledgeSource, index: int) -> int:
        """Return how many documents an index lacks that could be in it."""
        lacking = 0
        after = UUID(int=0)
        while ids := await self.documents.after(source.id, after, PAGE):
            after = ids[-1]
            found = await self.things.newest_of(Document, ids)
            lacking += sum(document.lacks(index) for document in found.values())
        return lacking


@dataclass(frozen=True, kw_only=True)
class FollowModels:
    """Carries out the job that has all sources begin the index that a change of models asks for."""

    bus: Bus
    documents: SourceDocuments
    kind: str = FOLLOW_MODELS
    most: int = 1
    groups: int = 1

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Begin indexes; a source for which that is refused is told of and hinders no other."""
        refused: list[str] = []
        for id in await self.documents.sources():
            try:
                await self.bus.dispatch(BuildIndex(id=id), INDEXER)
            except Archived:
                continue  # restored, it begins the index that it asks for then
            except DomainError as error:
                refused.append(f"{id}: {error}")
        outcome: Outcome = Failed(error="; ".join(refused)) if refused else Finished()
        return {job.id: outcome for job in jobs}

    async def give_up(self, job: Job, error: str) -> None:
        """Leave the indexes as they are: the next document of a source begins what it asks for."""
