"""Embeddings: many texts as several requests at once, each with its own attempts."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from adapters.model_catalogue import CalledModel
from adapters.openai import failures
from adapters.openai.chat_stream import must_be_data
from adapters.openai.failures import Failure
from adapters.openai.oddities import Oddities
from adapters.openai.patience import Patience
from adapters.openai.policy import Call, Policy, Trial, sum_of, total_of, used
from adapters.openai.run_here import RunHere, RunsHere
from adapters.openai.text import write_json
from adapters.openai.usage import estimated, tokens_of
from adapters.openai.vectors import WIDTH, vectors_from
from adapters.openai.wire import Wire
from commands.models.model_calls import Attempt, Embedded, ModelCallFailed

PATH = "/embeddings"
MOST_TEXTS = 256
MOST_CHARACTERS = 300_000
"""What one request holds; a longer text goes alone."""

AT_ONCE = 4
"""Requests of one call."""

LONGEST_BODY = 150_000_000
"""Bytes of an answer: 256 vectors of 16,000 numbers in decimal."""


class EmbeddingCalls:
    """Calls embedding models over the wire, and those that are run here."""

    def __init__(self, wire: Wire, here: RunHere, policy: Policy, oddities: Oddities) -> None:
        self._wire = wire
        self._here = here
        self._policy = policy
        self._oddities = oddities

    async def embed(
        self,
        route: Sequence[CalledModel],
        texts: Sequence[str],
        abandoned: Callable[[Sequence[Attempt]], object] | None = None,
    ) -> Embedded:
        """Return the vectors of all texts, or raise ModelCallFailed with what was tried for any of them."""
        first = route[0]
        # Vectors of two models can't be compared: only the same model at another provider takes over.
        alike = (first.definition.model, first.definition.dimensions)
        same = [each for each in route if (each.definition.model, each.definition.dimensions) == alike]
        parts = batches(texts)
        calls = [self._policy.call(same, partial(tokens_of_all, part)) for part in parts]
        room = asyncio.Semaphore(AT_ONCE)
        tasks = [asyncio.create_task(self._embed(call, part, room)) for call, part in zip(calls, parts, strict=True)]
        try:
            found = await asyncio.gather(*tasks)
        except ModelCallFailed as error:
            await _end(tasks)
            error.attempts = _attempts(calls)
            raise
        except BaseException:
            await _end(tasks)
            if abandoned is not None:
                abandoned(_attempts(calls))
            raise
        vectors = [vector for some, _ in found for vector in some]
        attempts = _attempts(calls)
        lengths = {len(vector) // WIDTH for vector in vectors} or {first.definition.dimensions or 0}
        if len(lengths) > 1:  # of one request they were compared when they came
            raise _differ(calls[0], found[0][1], lengths, attempts)
        usage, cost = sum_of(attempts)
        return Embedded(
            vectors=vectors,
            dimensions=lengths.pop(),
            model=used(found[0][1] if found else first),
            usage=usage,
            cost=cost,
            attempts=attempts,
        )

    async def _embed(
        self, call: Call, texts: Sequence[str], room: asyncio.Semaphore
    ) -> tuple[list[bytes], CalledModel]:
        async with room:
            async for trial in call:
                vectors: list[bytes] = []
                async with trial:
                    vectors = await self._try(trial, texts)
                if trial.ended_well:
                    return vectors, trial.model
        raise AssertionError("a call ends by an answer or by an error")

    async def _try(self, trial: Trial, texts: Sequence[str]) -> list[bytes]:
        model = trial.model
        timeouts = model.provider.definition.timeouts
        if (run_here := self._here.get(model.provider.definition.type)) is not None:
            return await self._try_here(run_here, trial, texts)
        patience = Patience(timeouts, total=total_of(model), left=trial.seconds, streams=False)
        body: dict[str, Any] = {"model": model.definition.model, "input": texts, "encoding_format": "base64"}
        if model.definition.dimensions is not None:
            body["dimensions"] = model.definition.dimensions
        for name in self._oddities.of(model):
            body.pop(name, None)
        tokens = partial(tokens_of_all, texts)
        try:
            async with self._wire.post(model, PATH, write_json(body), patience) as exchange:
                must_be_data(exchange, "application/json")
                data = await exchange.read_all(LONGEST_BODY)
            vectors, usage = vectors_from(data, len(texts), model.definition.dimensions)
        except Failure as failure:
            self._oddities.learn(model, failure, frozenset(body))
            if failure.answered:
                trial.usage = estimated(tokens(), "")
            raise
        trial.usage = usage or estimated(tokens(), "")
        return vectors

    async def _try_here(self, run_here: RunsHere, trial: Trial, texts: Sequence[str]) -> list[bytes]:
        try:
            async with asyncio.timeout(trial.seconds):
                vectors, trial.usage = await run_here.embed(trial.model, texts)
        except TimeoutError:
            raise failures.timed_out("total", total_of(trial.model)) from None
        return vectors


def tokens_of_all(texts: Sequence[str]) -> int:
    """Return about how many tokens texts have."""
    return sum(map(tokens_of, texts))


def batches(texts: Sequence[str]) -> list[list[str]]:
    """Return the texts in parts that fit into a request, in their order."""
    parts: list[list[str]] = []
    length = MOST_CHARACTERS
    for text in texts:
        if not parts or len(parts[-1]) == MOST_TEXTS or length + len(text) > MOST_CHARACTERS:
            parts.append([])
            length = 0
        parts[-1].append(text)
        length += len(text)
    return parts


def _attempts(calls: Sequence[Call]) -> tuple[Attempt, ...]:
    """Return what was tried in all requests."""
    return tuple(attempt for call in calls for attempt in call.attempts)


def _differ(call: Call, model: CalledModel, lengths: set[int], attempts: tuple[Attempt, ...]) -> ModelCallFailed:
    """Return the error of a model whose vectors can't be compared with each other."""
    error = call.error(model, failures.invalid(f"sent vectors of different lengths: {sorted(lengths)}"))
    error.attempts = attempts
    return error


async def _end(tasks: Sequence["asyncio.Task[tuple[list[bytes], CalledModel]]"]) -> None:
    """Cancel what still runs, and wait until it has ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
