"""Asking a provider once, whatever the breakers say, because somebody waits for the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from adapters.model_catalogue import CalledProvider
from adapters.openai import failures
from adapters.openai.failures import Failure, Kind
from adapters.openai.patience import Patience
from commands.models.model_calls import ModelCallFailed, ModelCallTimedOut, ModelLimitReached

PATIENCE = 30.0
"""Seconds that are waited at most."""

T = TypeVar("T")


async def asked_once(provider: CalledProvider, ask: Callable[[Patience], Awaitable[T]], absent: str) -> T:
    """Return what is answered, or raise ModelCallFailed; `absent` says what a 404 means."""
    timeouts = provider.definition.timeouts
    total = min(PATIENCE, timeouts.total)
    try:
        async with asyncio.timeout(total):
            return await ask(Patience(timeouts, total=total, left=total, streams=False))
    except (Failure, TimeoutError) as error:
        failure = error if isinstance(error, Failure) else failures.timed_out("total", total)
        if failure.status == 404:
            failure.code, failure.message = "api_not_found", absent
        kind = {Kind.TIMEOUT: ModelCallTimedOut, Kind.LIMIT: ModelLimitReached}.get(failure.kind, ModelCallFailed)
        details = {"provider": provider.name, "upstream_status": failure.status, **failure.details()}
        message = f"The model provider '{provider.name}' {failure.message}."
        raise kind(message, code=failure.code, details=details) from None
