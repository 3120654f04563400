"""Indexing the files of conversations: cut, embedded and kept sealed, by jobs."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from commands.conversations.about_conversations import AboutConversations
from commands.conversations.conversation_jobs import INDEX_FILES
from commands.conversations.private_source import (
    FilePassage,
    PrivateDocument,
    PrivateDocuments,
    cut,
    embedding_model,
    lacking,
    space_of,
)
from commands.conversations.turn_streams import key_subject
from commands.jobs import Failed, Finished, Job, Outcome
from commands.knowledge.embedding_texts import the_texts_fault
from commands.knowledge.reading import DocumentReader
from commands.models.model_calls import EmbeddingModels, ModelCallFailed
from commands.models.saying import embed
from commands.ports import Things
from commands.runs.runs import Recording
from domain.conversation import Conversation
from domain.errors import DomainError
from domain.model import Model
from domain.private_source import Standing, all_files, searched
from domain.retrieval import space_name


@dataclass(frozen=True, kw_only=True)
class IndexFiles:
    """Carries out the jobs that index the files of a conversation, or remove what was made of them once it is closed."""

    things: Things
    about: AboutConversations
    reader: DocumentReader
    models: EmbeddingModels
    documents: PrivateDocuments
    room: int
    kind: str = INDEX_FILES
    most: int = 1
    groups: int = 4

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Index them; what is done of them is kept, so that nothing is paid for twice."""
        return {job.id: await self._index(await self.things.newest(Conversation, UUID(job.key))) for job in jobs}

    async def give_up(self, job: Job, error: str) -> None:
        """Nothing more is to be recorded: they stand as failed, are found by their words, and the next turn asks again."""

    async def _index(self, conversation: Conversation) -> Outcome:
        if conversation.closed:
            await self.documents.remove(conversation.id)
            return Finished()
        if not searched(conversation, self.room):
            return Finished()
        model = await embedding_model(conversation, self.things)
        space = space_of(model)
        todo = lacking(conversation, await self.documents.standing(conversation.id), space)
        todo = await self._without_copies(conversation, todo, space)
        if not todo:
            return Finished()
        cuts = {id: await cut(self.reader, file) for id, file in todo.items()}
        if model is None:
            for id, passages in cuts.items():
                await self._keep(conversation, id, passages, Standing(space=None, passages=len(passages)))
            return Finished()
        try:
            agent, _ = await self.about.settings(conversation)
            recording = await self.about.begin(conversation, agent, "indexing")
            async with recording.guarded():
                for id, passages in cuts.items():
                    await self._embed(recording, conversation, model, todo[id], passages)
                await recording.finish("completed")
        except DomainError as error:
            standing = await self.documents.standing(conversation.id)
            for id in lacking(conversation, standing, space).keys() & cuts.keys():
                failed = Standing(space=None, passages=len(cuts[id]), failure=error.error_code)
                await self._keep(conversation, id, cuts[id], failed)
            return Failed(error=error.error_code)  # what it says may quote the file
        return Finished()

    async def _embed(
        self,
        recording: Recording,
        conversation: Conversation,
        model: Model,
        file: Mapping[str, Any],
        passages: Sequence[FilePassage],
    ) -> None:
        """Make the vectors of a file; one whose texts the model refuses is kept without, for good."""
        space = space_of(model)
        standing, vectors = Standing(space=space, passages=len(passages)), list[bytes]()
        texts = [file["text"][each.start : each.end] for each in passages]
        if texts:
            try:
                embedded = await embed(recording, self.models, model.id, texts)
                if space_name(model.id, embedded.model.model) != space:
                    raise DomainError("Another model answered in its place.", code="embedding_model_changed")
                vectors = await asyncio.to_thread(lambda: [shortened(each) for each in embedded.vectors])
            except ModelCallFailed as error:
                if not the_texts_fault(error):
                    raise
                standing = replace(standing, failure=error.error_code)
        await self._keep(conversation, file["id"], passages, standing, vectors)

    async def _without_copies(
        self, conversation: Conversation, todo: dict[str, Mapping[str, Any]], space: str | None
    ) -> dict[str, Mapping[str, Any]]:
        """Take what was made of the same files in the conversation that this is a fork of; return what is left."""
        if conversation.origin is None or not todo:
            return todo
        origin = (await self.things.newest_of(Conversation, [UUID(conversation.origin["conversation"])])).values()
        left = dict(todo)
        for before in origin:
            kept = await self.documents.read(before.id)
            made = {
                (file["name"], file["text"]): kept[file["id"]]
                for file in all_files(before)
                if file["id"] in kept and kept[file["id"]].standing.is_done(space)
            }
            copies = {
                id: made[file["name"], file["text"]]
                for id, file in todo.items()
                if (file["name"], file["text"]) in made
            }
            await self.documents.keep(conversation.id, key_subject(conversation.id, conversation.subject), copies)
            left = {id: file for id, file in left.items() if id not in copies}
        return left

    async def _keep(
        self,
        conversation: Conversation,
        id: str,
        passages: Sequence[FilePassage],
        standing: Standing,
        vectors: Sequence[bytes] = (),
    ) -> None:
        made = PrivateDocument(standing=standing, passages=passages, vectors=vectors)
        await self.documents.keep(conversation.id, key_subject(conversation.id, conversation.subject), {id: made})


def shortened(vector: bytes) -> bytes:
    """Return a vector (float32) as float16 of length 1; one of zeros stays as it is."""
    import numpy as np  # noqa: PLC0415  10 MB that only conversations with long files need

    numbers = np.frombuffer(vector, dtype="<f4").astype(np.float64)
    length = np.linalg.norm(numbers)
    return bytes((numbers / length if length else numbers).astype("<f2").tobytes())
