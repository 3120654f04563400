"""How a call is carried through: attempts, with retries, fallbacks, breakers and limits."""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import TracebackType
from typing import TypeVar
from uuid import UUID

from adapters.model_catalogue import CalledModel
from adapters.openai.breaker import Breaker
from adapters.openai.failures import BREAKING, Failure, Kind
from adapters.openai.limits import Full, ModelLimits
from commands.models.model_calls import Attempt, ModelCallFailed, ModelCallTimedOut, ModelLimitReached, ModelUsed
from domain.pricing import Cost, Usage, cost, price_at, total_cost, total_usage

K = TypeVar("K")
V = TypeVar("V")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0
LONGEST_RETRY_AFTER = 30.0
"""Seconds. Who wants to be left alone for longer is not asked again by this call."""

KEPT = 2000
"""Breakers, and models' counters, kept in memory."""


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Time and chance, as tests may replace them; `now` in seconds from anywhere."""

    now: Callable[[], float] = lambda: asyncio.get_running_loop().time()
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    today: Callable[[], date] = _today


class Policy:
    """What is remembered between calls: how providers are doing, and how much of the limits is taken."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self._breakers: OrderedDict[tuple[UUID, int], Breaker] = OrderedDict()
        self._limits: OrderedDict[UUID, ModelLimits] = OrderedDict()

    def call(self, route: Sequence[CalledModel], tokens: Callable[[], int]) -> "Call":
        """Begin a call at the first of these models; `tokens` estimates them, for models that have a limit of them."""
        return Call(self, route, tokens)

    def breaker(self, model: CalledModel) -> Breaker:
        """Return the breaker of the model's provider; one that was changed begins anew."""
        return _kept(self._breakers, (model.provider.id, model.provider.version), Breaker)

    def limits(self, model: CalledModel) -> ModelLimits:
        """Return the counters of a model."""
        return _kept(self._limits, model.id, lambda: ModelLimits(self.timing.now, self.timing.sleep))


def _kept(kept: OrderedDict[K, V], key: K, make: Callable[[], V]) -> V:
    found = kept.get(key)
    if found is None:
        found = kept[key] = make()
        if len(kept) > KEPT:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return found


class Call:
    """One call: iterating it gives one trial after the other, until one ends well or nothing is left to try.

    Then the error is raised, either by the trial that failed last or by the iteration.
    """

    def __init__(self, policy: Policy, route: Sequence[CalledModel], tokens: Callable[[], int]) -> None:
        self.attempts: list[Attempt] = []
        self.timing = policy.timing
        self.started = self.timing.now()
        self._policy = policy
        self._models = list(route)
        self._tokens = tokens
        self._tries = 0
        self._pause = 0.0
        self._deadline = self.started + total_of(route[0])

    def __aiter__(self) -> "Call":
        return self

    async def __anext__(self) -> "Trial":
        while True:
            if self._pause:
                pause, self._pause = self._pause, 0.0
                await self.timing.sleep(pause)
            model = self._models[0]
            started = self.timing.now()
            limits = self._policy.limits(model)
            # Of a long conversation an estimate takes longer than all else of a call here.
            tokens = 0 if model.definition.routing.tokens_per_minute is None else self._tokens()
            patience = min(model.provider.definition.timeouts.first_token, self._deadline - started)
            try:
                entered = await limits.enter(model.definition.routing, tokens, patience)
            except Full as full:
                self._not_asked(model, started, limit_reached(full))
                continue
            breaker = self._policy.breaker(model)
            if wait := breaker.wait(self.timing.now()):
                limits.leave(entered, tokens, 0)
                self._not_asked(model, started, circuit_open(wait))
                continue
            return Trial(self, model, breaker, limits, entered, tokens, self._deadline)

    def record(self, model: CalledModel, started: float, usage: Usage, outcome: str, status: int | None) -> None:
        """Add an attempt."""
        price = price_at(model.definition.prices, self.timing.today())
        self.attempts.append(
            Attempt(
                model=used(model),
                outcome=outcome,
                upstream_status=status,
                duration_ms=(self.timing.now() - started) * 1000,
                usage=usage,
                cost=cost(usage, price),
            )
        )

    def goes_on(self, failure: Failure) -> bool:
        """Decide what follows a failure: the same model after a pause, the next one, or nothing."""
        if failure.again:
            return True
        model = self._models[0]
        backoff = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._tries) * self.timing.chance()
        pause = max(backoff, failure.retry_after or 0.0)
        in_time = pause <= LONGEST_RETRY_AFTER and self.timing.now() + pause < self._deadline
        if failure.retried and self._tries < model.definition.routing.retries and in_time:
            self._tries += 1
            self._pause = pause
            return True
        if len(self._models) > 1 and failure.falls_back:
            self._models.pop(0)
            self._tries = 0
            self._deadline = self.timing.now() + total_of(self._models[0])
            return True
        return False

    def error(self, model: CalledModel, failure: Failure, text: str = "") -> ModelCallFailed:
        """Return the error that the caller gets."""
        kind = {Kind.TIMEOUT: ModelCallTimedOut, Kind.LIMIT: ModelLimitReached}.get(failure.kind, ModelCallFailed)
        details = {"provider": model.provider.name, "model": model.name, "upstream_status": failure.status}
        return kind(
            f"The model provider '{model.provider.name}' {failure.message}.",
            code=failure.code,
            details=details | failure.details(),
            attempts=tuple(self.attempts),
            text=text,
        )

    def _not_asked(self, model: CalledModel, started: float, failure: Failure) -> None:
        """Pass on to the next model without a request, or raise."""
        self.record(model, started, Usage(), failure.code, None)
        self._tries = model.definition.routing.retries
        if not self.goes_on(failure):
            raise self.error(model, failure)


class Trial(AbstractAsyncContextManager["Trial"]):
    """One request to a model. Within it, set `usage` and `status`, and add to `passed_on` what reaches the caller.

    Leaving it by a Failure either raises what the caller gets, or nothing: then the next trial follows.
    """

    def __init__(
        self,
        call: Call,
        model: CalledModel,
        breaker: Breaker,
        limits: ModelLimits,
        entered: float,
        tokens: int,
        deadline: float,
    ) -> None:
        self.model = model
        self.usage = Usage()
        self.ended_well = False
        self.status: int | None = None
        self.passed_on: list[str] = []
        self._call = call
        self._breaker = breaker
        self._limits = limits
        self._entered = entered
        self._tokens = tokens
        self._deadline = deadline

    @property
    def seconds(self) -> float:
        """Seconds that are left of the total time-out."""
        return max(0.0, self._deadline - self._call.timing.now())

    async def __aenter__(self) -> "Trial":
        self._started = self._call.timing.now()
        self._probe = self._breaker.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        ended = error is None or isinstance(error, Failure)
        self._limits.leave(self._entered, self._tokens, self.usage.total if ended else None)
        if error is None:
            self.ended_well = True
            self._breaker.answered()
            self._call.record(self.model, self._started, self.usage, "ok", 200)
            return False
        if not isinstance(error, Failure):
            if self._probe:
                self._breaker.abandoned()
            left = isinstance(error, asyncio.CancelledError | GeneratorExit)
            outcome = "cancelled" if left else "internal_error"
            self._call.record(self.model, self._started, self.usage, outcome, self.status)
            return False
        if error.kind in BREAKING:
            self._breaker.failed(self._call.timing.now(), probe=self._probe)
        elif error.kind is not Kind.FORBIDDEN:
            self._breaker.answered()
        self._call.record(self.model, self._started, self.usage, error.code, error.status)
        if not self.passed_on and self._call.goes_on(error):
            return True
        raise self._call.error(self.model, error, "".join(self.passed_on)) from None


def total_of(model: CalledModel) -> float:
    """Return the seconds that a call may take at this model, retries and waiting included."""
    return model.definition.routing.timeout or model.provider.definition.timeouts.total


def used(model: CalledModel) -> ModelUsed:
    """Return how a model is named in results."""
    return ModelUsed(
        id=model.id,
        name=model.name,
        version=model.version,
        model=model.definition.model,
        provider=model.provider.name,
    )


def sum_of(attempts: Sequence[Attempt]) -> tuple[Usage, Cost]:
    """Return usage and cost of all attempts."""
    return total_usage([each.usage for each in attempts]), total_cost([each.cost for each in attempts])


def limit_reached(full: Full) -> Failure:
    """Return the failure of a call that found no room in the model's own limits."""
    return Failure(
        kind=Kind.LIMIT,
        code="model_limit_reached",
        message=f"is asked too often: the model's own {full.limit} is reached",
        retry_after=full.wait,
    )


def circuit_open(wait: float) -> Failure:
    """Return the failure of a call to a provider that is left alone for now."""
    return Failure(
        kind=Kind.OPEN,
        code="provider_unavailable",
        message="failed several times in a row and is left alone for a moment",
        retry_after=wait,
    )
