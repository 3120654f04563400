"""What a provider makes of a text, by its moderation endpoint."""

from typing import Any

from adapters.model_catalogue import CalledProvider
from adapters.openai import failures
from adapters.openai.asking import asked_once
from adapters.openai.chat_stream import must_be_data
from adapters.openai.patience import Patience
from adapters.openai.text import NotJson, read_json, write_json
from adapters.openai.wire import Wire

PATH = "/moderations"
LONGEST_BODY = 1_000_000
NO_ENDPOINT = "has no moderation endpoint at this address (404)"


async def moderated(wire: Wire, provider: CalledProvider, model: str | None, text: str) -> dict[str, Any]:
    """Return the result in OpenAI's form, or raise ModelCallFailed; it is asked once."""
    body = write_json({"input": text} if model is None else {"input": text, "model": model})
    return await asked_once(provider, lambda patience: _result(wire, provider, body, patience), NO_ENDPOINT)


async def _result(wire: Wire, provider: CalledProvider, body: bytes, patience: Patience) -> dict[str, Any]:
    async with wire.send(provider, PATH, body, patience) as exchange:
        must_be_data(exchange, "application/json")
        data = await exchange.read_all(LONGEST_BODY)
    try:
        answer, _ = read_json(data)
    except NotJson:
        raise failures.invalid("sent something that is no JSON") from None
    results = answer.get("results") if isinstance(answer, dict) else None
    result = results[0] if isinstance(results, list) and results else None
    if not isinstance(result, dict) or not all(
        isinstance(result.get(name), dict) for name in ("categories", "category_scores")
    ):
        raise failures.invalid("sent an answer without a result of moderation")
    return result
