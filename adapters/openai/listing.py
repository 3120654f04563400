"""Which models a provider offers, by its own list."""

from adapters.model_catalogue import CalledProvider
from adapters.openai import failures
from adapters.openai.asking import asked_once
from adapters.openai.chat_stream import must_be_data
from adapters.openai.patience import Patience
from adapters.openai.run_here import RunHere
from adapters.openai.text import NotJson, cleaned, read_json
from adapters.openai.wire import Wire

PATH = "/models"
LONGEST_BODY = 20_000_000
MOST_MODELS = 10_000
LONGEST_NAME = 200
NO_LIST = "has no list of models at this address (404): does its base_url end in the right path, such as /v1?"


async def models_of(wire: Wire, here: RunHere, provider: CalledProvider) -> list[str]:
    """Return the names in their order, or raise ModelCallFailed."""

    async def ask(patience: Patience) -> list[str]:
        if (run_here := here.get(provider.definition.type)) is not None:
            return await run_here.names(provider)
        async with wire.get(provider, PATH, patience) as exchange:
            must_be_data(exchange, "application/json")
            return _names(await exchange.read_all(LONGEST_BODY))

    return await asked_once(provider, ask, NO_LIST)


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
