"""Chat, embedding and reranking models behind OpenAI's API: the adapter of the ports in commands/models/model_calls.py."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from uuid import UUID

from adapters.egress import Egress
from adapters.model_catalogue import ModelCatalogue
from adapters.openai.policy import Timing
from adapters.plugins.checking import Plugin
from commands.models.model_calls import Attempt, ChatAnswer, ChatRequest, Embedded, Reranked, RerankRequest, TextPiece

if TYPE_CHECKING:
    from adapters.openai.calls import Calls


class OpenAIModels:
    """Calls the models of all providers, where `egress` lets them be reached."""

    def __init__(
        self,
        catalogue: ModelCatalogue,
        *,
        egress: Egress,
        timing: Timing | None = None,
        plugins: Iterable[Plugin] = (),
    ) -> None:
        self._catalogue = catalogue
        self._timing = timing or Timing()
        self._egress = egress
        self._plugins = tuple(plugins)
        self._made: Calls | None = None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[TextPiece | ChatAnswer, None]:
        """Yield pieces as they come, and last one ChatAnswer; closing it closes the call upstream."""
        route = await self._catalogue.route(request.model, "chat")
        calls = await self._calls()
        async with aclosing(calls.chat.stream(route, request)) as pieces:
            async for piece in pieces:
                yield piece

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """Return the whole answer."""
        route = await self._catalogue.route(request.model, "chat")
        return await (await self._calls()).chat.complete(route, request)

    async def embed(
        self,
        model: UUID | None,
        texts: Sequence[str],
        space: str | None = None,
        *,
        abandoned: Callable[[Sequence[Attempt]], object] | None = None,
    ) -> Embedded:
        """Return the texts' vectors."""
        route = await self._catalogue.route(model, "embedding")
        if space is not None:
            route = await self._catalogue.route_into(space, route)
        return await (await self._calls()).embeddings.embed(route, texts, abandoned)

    async def rerank(self, request: RerankRequest) -> Reranked:
        """Return the documents' scores."""
        route = await self._catalogue.route(request.model, "rerank")
        return await (await self._calls()).reranking.rerank(route, request)

    async def available(self, provider: UUID) -> Sequence[str]:
        """Return the names of the models that a provider offers."""
        found = await self._catalogue.provider(provider)
        return await (await self._calls()).models_of(found)

    async def moderate(self, provider: UUID, model: str | None, text: str) -> Mapping[str, Any]:
        """Return what a provider makes of a text, in OpenAI's form."""
        found = await self._catalogue.provider(provider)
        return await (await self._calls()).moderated(found, model, text)

    async def close(self) -> None:
        """Close every connection."""
        if self._made is not None:
            await self._made.close()

    async def _calls(self) -> "Calls":
        if self._made is None:
            kind = await asyncio.to_thread(_import_calls)
            self._made = self._made or kind(self._timing, self._egress, self._plugins)
        return self._made


def _import_calls() -> "type[Calls]":
    from adapters.openai.calls import Calls  # noqa: PLC0415  openai takes a second: start-up does not pay for it

    return Calls
