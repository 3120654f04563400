"""How similar two answers are: by the default embedding model, or without one by their words."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from commands.models.model_calls import EmbeddingModels, ModelCallFailed, NoModel
from commands.models.saying import embed
from commands.runs.runs import Recording, model_document
from domain.similarity import cosine, numbers, token_f1, without_markers

EMBEDDING, WORDS = "embedding", "token_f1"
"""The methods: cosine of two vectors, and the F1 of the words."""


@dataclass(frozen=True, kw_only=True)
class Similarities:
    """Compares answers."""

    models: EmbeddingModels

    async def of(
        self, recording: Recording, one: str, other: str, *, parent: int, model: UUID | None = None
    ) -> dict[str, Any]:
        """Return {score, method}, with the `model` that was asked (None: the default one), or in a `note` why it could not be."""
        texts = [without_markers(one), without_markers(other)]
        by_words = {"score": round(token_f1(*texts), 4), "method": WORDS}
        if not all(texts):
            return by_words
        with recording.step("similarity", "answers", parent) as step:
            try:
                embedded = await embed(recording, self.models, model, texts, parent=step.number)
            except NoModel:
                return by_words
            except ModelCallFailed as error:
                return by_words | {"note": f"The embedding model could not be asked ({error.error_code})."}
        score = cosine(*(numbers(vector) for vector in embedded.vectors))
        return {"score": round(score, 4), "method": EMBEDDING, "model": model_document(embedded.model)}
