"""Models at a model server, called without a log behind them: settings as they are given, and time that tests hold."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID, uuid4

from adapters.egress import Egress
from adapters.model_catalogue import CalledModel, CalledProvider
from adapters.openai import OpenAIModels, Timing
from commands.models.model_calls import ChatAnswer, ChatRequest, Embedded, Reranked, RerankRequest, TextPiece
from domain.model import ModelDefinition
from domain.provider import ProviderDefinition
from tests.support.model_server import ModelServer

HELLO = [{"role": "user", "content": "Hello there"}]
PRICES = [{"input": "2", "cached_input": "0.5", "cache_write": "3", "output": "8", "reasoning": "10"}]
PATIENT: Mapping[str, float] = {"connect": 20, "first_token": 60, "idle": 60, "total": 60}
"""Time-outs in seconds that nothing meets which answers at all, on a busy machine either."""


@dataclass
class Clock:
    """Time that passes where a call sleeps, or a test says so; as it really does too only where it `runs`."""

    time: float = 1000.0
    day: date = date(2026, 6, 1)
    runs: bool = False
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)

    def now(self) -> float:
        """Return the seconds that have passed since some moment."""
        return self.time + (time.monotonic() if self.runs else 0.0)

    def timing(self) -> Timing:
        """Return it as a call needs it; pauses are not spread by chance."""
        return Timing(now=self.now, sleep=self.sleep, chance=lambda: 1.0, today=lambda: self.day)


def provider_at(url: str, **more: Any) -> CalledProvider:
    """Return a provider; `api_key` and `secret_headers` are its secrets, all else its settings."""
    secrets = {"api_key": more.pop("api_key", None), "secret_headers": more.pop("secret_headers", {})}
    settings = {"type": "openai_compatible", "base_url": url, "timeouts": PATIENT} | more
    name = str(settings.pop("name", "house"))
    definition = ProviderDefinition.model_validate(settings)
    return CalledProvider(id=uuid4(), name=name, version=1, definition=definition, archived=False, **secrets)


def model_of(provider: CalledProvider, *, kind: str = "chat", **more: Any) -> CalledModel:
    """Return a model of a provider; its routing is given flat, beside its settings."""
    limits = ("max_concurrency", "requests_per_minute", "tokens_per_minute", "timeout", "retries")
    routing = {name: more.pop(name) for name in limits if name in more}
    name = more.pop("name", "small")
    settings = {"provider": str(provider.id), "model": f"{kind}-model", "kind": kind, "prices": PRICES} | more
    definition = ModelDefinition.model_validate({**settings, "routing": routing})
    return CalledModel(id=uuid4(), name=name, version=1, definition=definition, archived=False, provider=provider)


class Routes:
    """Stands where the log's catalogue stands: always the same route."""

    def __init__(self, *models: CalledModel) -> None:
        self.models = list(models)

    async def route(self, model: UUID | None, kind: str) -> list[CalledModel]:
        return list(self.models)

    async def provider(self, id: UUID) -> CalledProvider:
        return self.models[0].provider


@dataclass
class Caller:
    """Calls models in the forms that tests compare."""

    models: OpenAIModels
    clock: Clock

    async def chat(self, *, stream: bool = False, **request: Any) -> ChatAnswer:
        """Return the whole answer, by a plain call or by a stream, whose pieces are what the answer says."""
        asked = ChatRequest(model=None, **{"messages": HELLO, **request})
        if not stream:
            return await self.models.complete(asked)
        said: list[str] = []
        async for piece in self.models.stream(asked):
            if isinstance(piece, TextPiece):
                assert piece.text, "a piece is never empty"
                said.append(piece.text)
            else:
                assert piece.text == "".join(said)
                answer = piece
        return answer

    async def embed(self, texts: Sequence[str], **more: Any) -> Embedded:
        """Return the texts' vectors."""
        return await self.models.embed(None, texts, **more)

    async def rerank(self, query: str, documents: Sequence[str], **more: Any) -> Reranked:
        """Return the documents' scores."""
        return await self.models.rerank(RerankRequest(model=uuid4(), query=query, documents=documents, **more))


@asynccontextmanager
async def calling(*models: CalledModel, clock: Clock | None = None, **more: Any) -> AsyncIterator[Caller]:
    """Call these models, the first with the others as fallbacks; in the end no task is left behind."""
    before = asyncio.all_tasks()
    clock = clock or Clock()
    more.setdefault("egress", Egress(["127.0.0.0/8", "::1/128"]))
    opened = OpenAIModels(Routes(*models), timing=clock.timing(), **more)  # type: ignore[arg-type]
    try:
        yield Caller(models=opened, clock=clock)
    finally:
        await opened.close()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before


async def nobody_connected(server: ModelServer) -> None:
    """Wait until no connection to the model server is open."""
    await server.until(lambda: not server.open_connections)
