"""Which models a provider offers, by its own list."""

import asyncio

from adapters.local_embeddings.models import LocalEmbeddings
from adapters.model_catalogue import CalledProvider
from adapters.openai import failures
from adapters.openai.chat_stream import must_be_data
from adapters.openai.failures import Failure, Kind
from adapters.openai.patience import Patience
from adapters.openai.text import NotJson, cleaned, read_json
from adapters.openai.wire import Wire
from commands.model_calls import ModelCallFailed, ModelCallTimedOut, ModelLimitReached

PATH = "/models"
LONGEST_BODY = 20_000_000
MOST_MODELS = 10_000
LONGEST_NAME = 200
PATIENCE = 30.0
"""Seconds: somebody is waiting for the answer."""

NO_LIST = "has no list of models at this address (404): does its base_url end in the right path, such as /v1?"


async def models_of(wire: Wire, local: LocalEmbeddings, provider: CalledProvider) -> list[str]:
    """Return the names in their order, or raise ModelCallFailed; it is asked once, whatever the breakers say."""
    timeouts = provider.definition.timeouts
    total = min(PATIENCE, timeouts.total)
    patience = Patience(timeouts, total=total, left=total, streams=False)
    try:
        if provider.definition.type == "local":
            async with asyncio.timeout(total):
                return await local.names(provider)
        async with wire.get(provider, PATH, patience) as exchange:
            must_be_data(exchange, "application/json")
            return _names(await exchange.read_all(LONGEST_BODY))
    except (Failure, TimeoutError) as error:
        failure = error if isinstance(error, Failure) else failures.timed_out("total", total)
        if failure.status == 404:
            failure.code, failure.message = "api_not_found", NO_LIST
        kind = {Kind.TIMEOUT: ModelCallTimedOut, Kind.LIMIT: ModelLimitReached}.get(failure.kind, ModelCallFailed)
        details = {"provider": provider.name, "upstream_status": failure.status, **failure.details()}
        message = f"The model provider '{provider.name}' {failure.message}."
        raise kind(message, code=failure.code, details=details) from None


def _names(data: bytes) -> list[str]:
    try:
        answer, _ = read_json(data)
    except NotJson:
        raise failures.invalid("sent something that is no JSON") from None
    items = answer.get("data") if isinstance(answer, dict) else answer
    if not isinstance(items, list):
        raise failures.invalid("sent an answer without a list of models")
    if len(items) > MOST_MODELS:
        raise failures.invalid(f"lists more than {MOST_MODELS} models")
    names = [item.get("id") for item in items if isinstance(item, dict)]
    return [cleaned(name[:LONGEST_NAME])[0] for name in names if isinstance(name, str) and name]
