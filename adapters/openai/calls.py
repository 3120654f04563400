"""Everything that calls providers, put together; importing it imports openai."""

from collections.abc import Iterable
from typing import Any

from adapters.egress import Egress
from adapters.local_embeddings.models import LocalEmbeddings
from adapters.model_catalogue import CalledProvider
from adapters.openai.chat import ChatCalls
from adapters.openai.embeddings import EmbeddingCalls
from adapters.openai.listing import models_of
from adapters.openai.moderation import moderated
from adapters.openai.oddities import Oddities
from adapters.openai.policy import Policy, Timing
from adapters.openai.reranking import RerankCalls
from adapters.openai.run_here import RunHere
from adapters.openai.wire import Wire
from adapters.plugins.checking import Plugin
from adapters.plugins.models import PluginModels


class Calls:
    """Chat, embeddings and reranking over one wire or on this machine, under one policy."""

    def __init__(self, timing: Timing, egress: Egress, plugins: Iterable[Plugin]) -> None:
        policy, oddities = Policy(timing), Oddities()
        self.wire, self.local = Wire(egress), LocalEmbeddings()
        self._here: RunHere = {"local": self.local, "plugin": PluginModels(plugins)}
        self.chat = ChatCalls(self.wire, policy, oddities)
        self.embeddings = EmbeddingCalls(self.wire, self._here, policy, oddities)
        self.reranking = RerankCalls(self.wire, self._here, policy, oddities)

    async def models_of(self, provider: CalledProvider) -> list[str]:
        """Return the names of the models that a provider offers, or raise ModelCallFailed."""
        return await models_of(self.wire, self._here, provider)

    async def moderated(self, provider: CalledProvider, model: str | None, text: str) -> dict[str, Any]:
        """Return what a provider makes of a text, or raise ModelCallFailed."""
        return await moderated(self.wire, provider, model, text)

    async def close(self) -> None:
        """Close every connection, and end what runs here."""
        await self.local.close()
        await self.wire.close()
