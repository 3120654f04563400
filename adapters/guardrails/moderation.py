"""A provider's moderation endpoint, in OpenAI's form."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel, Field

from commands.agents.guardrails import Finding


class Moderations(Protocol):
    """Asks providers what they make of texts."""

    async def moderate(self, provider: UUID, model: str | None, text: str) -> Mapping[str, Any]:
        """Return the result in OpenAI's form: `flagged`, `categories`, `category_scores`; or raise ModelCallFailed."""


class ModerationConfig(BaseModel, extra="forbid", strict=True):
    """What a provider's moderation endpoint calls harmful."""

    model: str | None = Field(default=None, max_length=200, description="null = the provider's own choice.")
    categories: list[str] = Field(default=[], max_length=100, description="Those that count; empty = all.")
    threshold: float | None = Field(
        default=None, gt=0, le=1, description="Score from which a category counts; null = as the provider flags it."
    )


class ModerationGuard:
    """Asks a provider."""

    config: type[BaseModel] = ModerationConfig

    def __init__(self, moderations: Moderations) -> None:
        self._moderations = moderations

    async def check(self, text: str, config: BaseModel, provider: UUID | None) -> Sequence[Finding]:
        """Return the categories that a text falls into."""
        assert isinstance(config, ModerationConfig) and provider is not None
        result = await self._moderations.moderate(provider, config.model, text)
        if config.threshold is None:
            found = [name for name, flagged in result["categories"].items() if flagged is True]
        else:
            scores = result["category_scores"].items()
            found = [name for name, score in scores if isinstance(score, int | float) and score >= config.threshold]
        return [Finding(label=name) for name in found if not config.categories or name in config.categories]
