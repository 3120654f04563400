"""Reranking: one request in the form that Cohere's interface made common, with all its attempts."""

import asyncio
from collections.abc import Sequence
from typing import Any

from adapters.model_catalogue import CalledModel
from adapters.openai import failures
from adapters.openai.abandoning import telling
from adapters.openai.chat_stream import must_be_data
from adapters.openai.failures import Failure
from adapters.openai.oddities import Oddities
from adapters.openai.patience import Patience
from adapters.openai.policy import Policy, Trial, sum_of, total_of, used
from adapters.openai.run_here import RunHere, RunsHere
from adapters.openai.scores import scores_from
from adapters.openai.text import write_json
from adapters.openai.usage import estimated, tokens_of
from adapters.openai.wire import Wire
from commands.models.model_calls import Reranked, RerankRequest

PATH = "/rerank"
LONGEST_BODY = 20_000_000
"""Bytes of an answer: a score for each document, which some servers send back with it."""

DOCUMENTS, TEXTS = "documents", "texts"
"""What the documents are called: in the common form, and by servers that know no other name."""


class RerankCalls:
    """Calls reranking models over the wire, and those that are run here."""

    def __init__(self, wire: Wire, here: RunHere, policy: Policy, oddities: Oddities) -> None:
        self._wire = wire
        self._here = here
        self._policy = policy
        self._oddities = oddities

    async def rerank(self, route: Sequence[CalledModel], request: RerankRequest) -> Reranked:
        """Return the documents' scores, or raise ModelCallFailed with what was tried."""
        tokens = tokens_of(request.query) * len(request.documents) + sum(map(tokens_of, request.documents))
        call = self._policy.call(route, lambda: tokens)
        with telling(call, request.abandoned):
            async for trial in call:
                scores: list[float | None] = []
                async with trial:
                    scores = await self._try(trial, request, tokens)
                if trial.ended_well:
                    usage, cost = sum_of(call.attempts)
                    return Reranked(
                        scores=scores, model=used(trial.model), usage=usage, cost=cost, attempts=tuple(call.attempts)
                    )
        raise AssertionError("a call ends by an answer or by an error")

    async def _try(self, trial: Trial, request: RerankRequest, tokens: int) -> list[float | None]:
        model = trial.model
        if (run_here := self._here.get(model.provider.definition.type)) is not None:
            return await self._try_here(run_here, trial, request)
        patience = Patience(
            model.provider.definition.timeouts, total=total_of(model), left=trial.seconds, streams=False
        )
        documents = list(request.documents)
        body: dict[str, Any] = {
            "model": model.definition.model,
            "query": request.query,
            TEXTS if TEXTS in self._oddities.of(model) else DOCUMENTS: documents,
            "top_n": len(documents),
        }
        exchange = self._wire.post(model, PATH, write_json(body), patience)
        try:
            async with exchange:
                must_be_data(exchange, "application/json")
                data = await exchange.read_all(LONGEST_BODY)
            scores, usage = scores_from(data, len(documents))
        except Failure as failure:
            self._oddities.learn_name(model, failure, TEXTS)
            if failure.answered:
                trial.usage = estimated(tokens, "")
            raise
        except BaseException:
            trial.status = exchange.status
            if exchange.status is not None:
                trial.usage = estimated(tokens, "")
            raise
        trial.usage = usage or estimated(tokens, "")
        return scores

    async def _try_here(self, run_here: RunsHere, trial: Trial, request: RerankRequest) -> list[float | None]:
        try:
            async with asyncio.timeout(trial.seconds):
                scores, trial.usage = await run_here.rerank(trial.model, request)
        except TimeoutError:
            raise failures.timed_out("total", total_of(trial.model)) from None
        return scores
