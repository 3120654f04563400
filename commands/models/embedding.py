"""Embedding texts for a caller: recorded as a run before the vectors are given out."""

from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from commands.choosing import Chosen
from commands.completion import aim, chosen_model, no_such
from commands.models.model_calls import EmbeddingModels
from commands.models.saying import embed
from commands.ports import Context, Things
from commands.runs.execution import Asked, Execution, Result
from commands.runs.runs import Recording, model_document
from domain.errors import Invalid, NotFound
from domain.model import Model


@dataclass(frozen=True, kw_only=True)
class EmbedTexts:
    """Give the vectors of texts; `dimensions` is how long they are expected to be."""

    model: str
    texts: Sequence[str]
    dimensions: int | None = None
    subject: str | None = None


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Embeds texts."""

    things: Things
    models: EmbeddingModels
    execution: Execution

    async def carry_out(self, command: EmbedTexts, context: Context) -> AsyncGenerator[Any, None]:
        """Yield RunBegan, and last the RunAnswer with base64 of little-endian float32; or raise."""
        kind, id = aim(command.model)
        if kind is not Model:
            raise Invalid("Texts are embedded by a model of kind embedding.", code="wrong_model_kind", pointer="/model")
        try:
            chosen = await chosen_model(self.things, id, "embedding")
        except NotFound:
            raise no_such(Model) from None
        if command.dimensions not in (None, chosen.definition["dimensions"]):
            raise Invalid(
                "How long vectors are is a setting of the model: change its `dimensions`, or name another model.",
                code="wrong_dimensions",
                pointer="/dimensions",
            )
        asked = Asked(
            kind="embedding", target=chosen.target(), subject=command.subject, input={"texts": list(command.texts)}
        )
        ran = self.execution.carry_out(asked, context, lambda recording: self._work(recording, chosen, command))
        async with aclosing(ran) as pieces:
            async for piece in pieces:
                yield piece

    async def _work(self, recording: Recording, chosen: Chosen, command: EmbedTexts) -> AsyncGenerator[Result, None]:
        embedded = await embed(recording, self.models, chosen.id, command.texts)
        body = {
            "vectors": [b64encode(vector).decode("ascii") for vector in embedded.vectors],
            "dimensions": embedded.dimensions,
            "model": model_document(embedded.model),
        }
        yield Result(body=body, output={"vectors": len(embedded.vectors), "dimensions": embedded.dimensions})
