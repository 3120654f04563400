"""Vectors of chunks: made once for each text and space, in batches across documents, each call a recorded run."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from commands.models.model_calls import EmbeddingModels, ModelCallFailed
from commands.ports import SYSTEM, Context
from commands.runs.runs import Recording, Runs
from domain.errors import DomainError
from domain.knowledge_source import KnowledgeSource

BATCH = 1024
"""Texts of one call, which may make several requests of it."""

TRIED = 3
"""Documents that a model refuses one by one, until it counts as one that embeds nothing."""

EMBEDDING = Context(actor=SYSTEM, channel="worker")

Refused = Mapping[bytes, DomainError]
"""The chunkings that a model does not embed, while it embeds others."""


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """A chunk's text without a vector."""

    chunking: bytes
    ordinal: int
    sha256: bytes
    text: str


class Vectors(Protocol):
    """Vectors by the space they live in and the text they stand for."""

    async def lacking(self, space: str, chunkings: Sequence[bytes], after: tuple[bytes, int]) -> Sequence[Lacking]:
        """Return the next chunks without a vector, at most BATCH, in order of chunking and ordinal."""

    async def keep(self, space: str, vectors: Mapping[bytes, bytes], dimensions: int) -> None:
        """Keep vectors (float32, little-endian) by their text's SHA-256; raise VectorsDiffer or VectorsUnusable."""

    async def dimensions(self, space: str) -> int | None:
        """Return how long the vectors of a space are; None: there are none yet."""


class VectorsDiffer(DomainError):
    """The model's vectors have another length than those it gave before: make a new model for a new length."""

    code = "vectors_differ"


class VectorsUnusable(DomainError):
    """The model gave vectors that nothing can be compared with: of zeros, or with numbers too large."""

    code = "vectors_unusable"


@dataclass(frozen=True, kw_only=True)
class Embedder:
    """Makes the vectors that chunks lack."""

    models: EmbeddingModels
    vectors: Vectors
    runs: Runs

    async def embed(
        self, source: KnowledgeSource, model: UUID, space: str, chunkings: Collection[bytes]
    ) -> tuple[int | None, Refused]:
        """Return the length of the space's vectors (None: there are none), and what the model does not embed.

        Raises a DomainError where it is not for the texts that it failed; what was made until then is kept.
        """
        names = sorted(chunkings)
        refused: dict[bytes, DomainError] = {}
        after = (b"", -1)
        async with AsyncExitStack() as stack:
            recording: Recording | None = None
            while lacking := await self.vectors.lacking(space, names, after):
                if recording is None:
                    recording = await stack.enter_async_context(recorded(self.runs, source))
                after = (lacking[-1].chunking, lacking[-1].ordinal)
                wanted = [each for each in lacking if each.chunking not in refused]
                refused |= await self._batch(recording, model, space, wanted)
        return await self.vectors.dimensions(space), refused

    async def _batch(self, recording: Recording, model: UUID, space: str, lacking: Sequence[Lacking]) -> Refused:
        """Embed texts; where that may fail because of some of them, the documents one by one to find out which."""
        try:
            await self._embed(recording, model, space, lacking)
        except (ModelCallFailed, VectorsUnusable) as error:
            if not may_be_a_texts_fault(error):
                raise
            documents: defaultdict[bytes, list[Lacking]] = defaultdict(list)
            for each in lacking:
                documents[each.chunking].append(each)
            refused: dict[bytes, DomainError] = {}
            for tried, (chunking, texts) in enumerate(documents.items(), 1):
                try:
                    await self._embed(recording, model, space, texts)
                except (ModelCallFailed, VectorsUnusable) as refusal:
                    if not may_be_a_texts_fault(refusal):
                        raise
                    refused[chunking] = refusal
                if len(refused) == tried >= min(TRIED, len(documents)):
                    raise error  # it embeds nothing at all: that is no document's fault
            return refused
        return {}

    async def _embed(self, recording: Recording, model: UUID, space: str, lacking: Sequence[Lacking]) -> None:
        texts = {each.sha256: each.text for each in lacking}
        if not texts:
            return
        with recording.step("embed", "chunks") as step:
            step.note["texts"] = len(texts)
            try:
                found = await self.models.embed(
                    model,
                    list(texts.values()),
                    space,
                    abandoned=lambda tried: recording.tried("embedding", tried, step.number),
                )
            except ModelCallFailed as error:
                recording.called("embedding", error, step.number)
                raise
            recording.called("embedding", found, step.number)
            await self.vectors.keep(space, dict(zip(texts, found.vectors, strict=True)), found.dimensions)


@asynccontextmanager
async def recorded(runs: Runs, source: KnowledgeSource) -> AsyncIterator[Recording]:
    """Record what the block takes as a run of the source."""
    target = {"kind": source.TOPIC, "id": str(source.id), "name": source.name, "version": source.version}
    recording, _ = await runs.start(kind="indexing", target=target, context=EMBEDDING, observability="metadata")
    recording.versions[source.TOPIC] = {key: target[key] for key in ("id", "name", "version")}
    async with recording.guarded():
        yield recording
        await recording.finish("completed")


def may_be_a_texts_fault(error: DomainError) -> bool:
    """Return whether others may be embedded: some models give numbers that are none for some texts."""
    return the_texts_fault(error) or error.error_code == "invalid_response"


def the_texts_fault(error: DomainError) -> bool:
    """Return whether it is for what was sent, not for who sent it or when."""
    return isinstance(error, VectorsUnusable) or error.details.get("upstream_status") in (400, 413, 422)
