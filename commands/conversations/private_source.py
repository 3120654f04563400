"""The private source of a conversation: what is made of its files, sealed, and how it is searched from within it alone."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid5

from commands.conversations.conversation_jobs import INDEX_FILES, live_definition
from commands.jobs import JobQueue
from commands.knowledge.knowledge_source import chosen_model
from commands.knowledge.reading import DocumentReader, Text
from commands.models.model_calls import EmbeddingModels, ModelCallFailed
from commands.models.saying import embed
from commands.ports import Things
from commands.runs.runs import Recording
from domain.agent import Agent
from domain.conversation import Conversation
from domain.conversation_files import ranked
from domain.knowledge_source import Chunking
from domain.model import Model
from domain.private_source import Standing, all_files, fused, searched, states
from domain.retrieval import Passage, space_name

CHUNKING = Chunking(size=300, overlap=30).model_dump()
FOUND = 6
"""Passages that a search gives."""

PATIENCE = 10.0
"""Seconds that a turn waits for the files of its conversation to be indexed; then they are searched by their words."""

LOOKS = (0.02, 0.5)
"""Seconds between two looks whether they are: at first, and at most."""


@dataclass(frozen=True, kw_only=True)
class FilePassage:
    """Where a passage of a file stands in its text, the page (from 1) and the heading it begins under."""

    start: int
    end: int
    page: int | None
    heading: str | None


@dataclass(frozen=True, kw_only=True)
class PrivateDocument:
    """A file in its source; `vectors` are those of the passages, in their order, float16 and of length 1, or none."""

    standing: Standing
    passages: Sequence[FilePassage]
    vectors: Sequence[bytes] = ()


class PrivateDocuments(Protocol):
    """What is made of the files of conversations: sealed as what is said there, and found by the conversation alone."""

    async def standing(self, conversation: UUID) -> Mapping[str, Standing]:
        """Return how a conversation's files stand, by their ids, without those of which nothing is made yet."""

    async def read(self, conversation: UUID) -> Mapping[str, PrivateDocument]:
        """Return what is made of a conversation's files, by their ids; nothing of what was erased."""

    async def keep(self, conversation: UUID, subject: str, documents: Mapping[str, PrivateDocument]) -> None:
        """Keep what was made of files in the place of what was kept before, sealed for the subject."""

    async def remove(self, conversation: UUID) -> None:
        """Remove what was made of a conversation's files."""

    async def remove_erased(self) -> None:
        """Remove all that no key opens any more."""


@dataclass(frozen=True, kw_only=True)
class PrivateSources:
    """Searches the files of conversations; `room` is how many characters of them a model is told whole."""

    things: Things
    reader: DocumentReader
    models: EmbeddingModels
    documents: PrivateDocuments
    queue: JobQueue
    room: int
    patience: float = PATIENCE

    async def states(self, conversation: Conversation) -> Mapping[str, Mapping[str, Any]]:
        """Return what is told of how each file stands, by file."""
        return states(conversation, await self.documents.standing(conversation.id), self.room)

    async def prepare(self, conversation: Conversation) -> None:
        """Have the files indexed where they are to be searched, and wait for that, but not for ever.

        Nor for what was tried in vain: a search finds what is not indexed by its words.
        """
        if conversation.closed or not searched(conversation, self.room):
            return
        space = space_of(await embedding_model(conversation, self.things))
        if not lacking(conversation, await self.documents.standing(conversation.id), space):
            return
        await self.queue.ask(INDEX_FILES, [str(conversation.id)])
        pause, longest = LOOKS
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                while await self._coming(conversation, space):
                    await asyncio.sleep(pause)
                    pause = min(1.5 * pause, longest)

    async def _coming(self, conversation: Conversation, space: str | None) -> bool:
        """Return whether there are files that are neither done nor were tried in vain."""
        standing = await self.documents.standing(conversation.id)
        open_ones = lacking(conversation, standing, space)
        return any(id not in standing or standing[id].failure is None for id in open_ones)

    async def search(
        self,
        recording: Recording,
        conversation: Conversation,
        files: Sequence[Mapping[str, Any]],
        query: str,
        parent: int | None = None,
    ) -> list[Passage]:
        """Return the passages of a conversation's files that a query finds, the best first, as a step of a run."""
        with recording.step("search", "files", parent) as step:
            kept = await self.documents.read(conversation.id)
            places: list[tuple[Mapping[str, Any], FilePassage]] = []
            vectors: dict[int, bytes] = {}
            model = await embedding_model(conversation, self.things)
            for file in files:
                made = kept.get(file["id"])
                if made is None:
                    made = PrivateDocument(
                        standing=Standing(space=None, passages=0), passages=await cut(self.reader, file)
                    )
                if made.vectors and made.standing.space == space_of(model):
                    vectors |= dict(enumerate(made.vectors, len(places)))
                places += [(file, passage) for passage in made.passages]
            texts = [file["text"][passage.start : passage.end] for file, passage in places]
            words = dict(await asyncio.to_thread(ranked, query, texts))
            near: Mapping[int, float] = {}
            if model is not None and vectors:
                try:
                    embedded = await embed(recording, self.models, model.id, [query], parent=step.number)
                    if space_name(model.id, embedded.model.model) == space_of(model):  # else another one stood in
                        near = await asyncio.to_thread(nearness, embedded.vectors[0], vectors)
                except ModelCallFailed as error:
                    step.note["failed"] = error.error_code  # words find it, too
            ordered = fused(words, near)[:FOUND] if near else sorted(words.items(), key=best)[:FOUND]
            step.note |= {"retrieval": "hybrid" if near else "lexical", "passages": len(ordered)}
        return [
            passage_of(conversation.id, *places[place], score, {"vector": near.get(place), "lexical": words.get(place)})
            for place, score in ordered
        ]


async def embedding_model(conversation: Conversation, things: Things) -> Model | None:
    """Return what a conversation's files and what is looked for in them are embedded by; None: words only.

    Where guardrails of the agent block or mask what persons say, it is told to no other model as it is.
    """
    agent = await things.newest(Agent, UUID(conversation.answering))
    rails = live_definition(agent).get("guardrails", {}).get("input", ())
    return await chosen_model(None, things) if all(rail["action"] == "flag" for rail in rails) else None


def space_of(model: Model | None) -> str | None:
    """Return the space of a model's vectors; None: words only."""
    return None if model is None else space_name(model.id, model.definition["model"])


def lacking(
    conversation: Conversation, standing: Mapping[str, Standing], space: str | None
) -> dict[str, Mapping[str, Any]]:
    """Return the files of which something is still to be made, by their ids."""
    return {
        file["id"]: file
        for file in all_files(conversation)
        if file["id"] not in standing or not standing[file["id"]].is_done(space)
    }


async def cut(reader: DocumentReader, file: Mapping[str, Any]) -> list[FilePassage]:
    """Return the passages of a file."""
    chunks = await reader.cut(Text(text=file["text"], pages=file["pages"]), CHUNKING)
    return [FilePassage(start=each.start, end=each.end, page=each.page, heading=each.heading) for each in chunks]


def passage_of(
    conversation: UUID,
    file: Mapping[str, Any],
    place: FilePassage,
    score: float,
    scores: Mapping[str, float | None],
) -> Passage:
    """Return a passage of a file as searches give it: the file is its document, and the conversation the source."""
    return Passage(
        id=uuid5(UUID(file["id"]), f"{place.start}:{place.end}"),
        text=file["text"][place.start : place.end],
        score=score,
        scores=scores,
        document_id=UUID(file["id"]),
        document_version=1,
        external_id=file["name"],
        title=file["name"],
        url=None,
        start=place.start,
        end=place.end,
        page=place.page,
        heading=place.heading,
        metadata={},
        source_id=conversation,
    )


def best(scored: tuple[int, float]) -> tuple[float, int]:
    """Return by what places come into their order: the best first, else as they stand."""
    return -scored[1], scored[0]


def nearness(query: bytes, vectors: Mapping[int, bytes]) -> dict[int, float]:
    """Return the cosine of a query's vector (float32) and each of these (float16, of length 1)."""
    import numpy as np  # noqa: PLC0415  10 MB that only conversations with long files need

    matrix = np.stack([np.frombuffer(each, dtype="<f2") for each in vectors.values()]).astype(np.float32)
    asked = np.frombuffer(query, dtype="<f4")
    length = float(np.linalg.norm(asked))
    return dict(zip(vectors, (float(each) / length if length else 0.0 for each in matrix @ asked), strict=True))
