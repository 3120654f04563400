"""Models of plugins: texts are embedded, and passages scored, by what providers of type `plugin` name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adapters.model_catalogue import CalledModel, CalledProvider
from adapters.openai import failures
from adapters.openai.failures import Failure, Kind
from adapters.openai.policy import total_of
from adapters.openai.scores import score_of
from adapters.openai.usage import estimated, tokens_of
from adapters.openai.vectors import vectors_of
from adapters.plugins.bounded import BoundedCalls, PluginFailed
from adapters.plugins.checking import EMBEDDERS, RERANKERS, Plugin
from adapters.plugins.reasons import without_secrets
from commands.models.model_calls import RerankRequest
from domain.definition import parse
from domain.errors import Invalid
from domain.pricing import Usage
from domain.provider import plugin_named

LISTED = "models"
"""The attribute in which a plugin may name its models."""

MOST_WRONG = 3
"""Settings that are named as wrong."""


class PluginModels:
    """Calls embedders and rerankers. Every error is a Failure."""

    def __init__(self, plugins: Iterable[Plugin] = ()) -> None:
        self._calls = {(each.group, each.name): BoundedCalls(each) for each in plugins}

    async def embed(self, model: CalledModel, texts: Sequence[str]) -> tuple[list[bytes], Usage]:
        """Return the texts' vectors, and an estimate of their tokens."""
        given = await self._asked(EMBEDDERS, "embed", model, list(texts))
        try:
            rows = [[float(number) for number in row] for row in given]
        except (TypeError, ValueError):
            raise failures.invalid("is a plugin that gives vectors which are no lists of numbers") from None
        if len(rows) != len(texts):
            raise failures.invalid(f"is a plugin that gives {len(rows)} vectors for {len(texts)} texts")
        return vectors_of(rows, model.definition.dimensions), estimated(sum(map(tokens_of, texts)), "")

    async def rerank(self, model: CalledModel, request: RerankRequest) -> tuple[list[float | None], Usage]:
        """Return the documents' scores, None for those that it leaves out, and an estimate of what it read."""
        documents = list(request.documents)
        given = await self._asked(RERANKERS, "rerank", model, request.query, documents)
        if not isinstance(given, list | tuple) or len(given) != len(documents):
            raise failures.invalid(f"is a plugin that gives no list of {len(documents)} scores, one for each document")
        scores = [None if each is None else score_of(each) for each in given]
        read = tokens_of(request.query) * len(documents) + sum(map(tokens_of, documents))
        return scores, estimated(read, "")

    async def names(self, provider: CalledProvider) -> list[str]:
        """Return the names of models that the plugin tells of; one that tells of none has any."""
        name = plugin_named(provider.definition.base_url)
        found = [calls for (_, each), calls in self._calls.items() if each == name]
        if not found:
            raise absent(name)
        for calls in found:
            try:
                parse(calls.plugin.config, dict(provider.definition.config), "/config")
            except Invalid as error:
                raise wrongly_set(error, secrets_of(provider).values()) from None
        return [each for calls in found for each in getattr(calls.plugin.object, LISTED, ()) if isinstance(each, str)]

    async def _asked(self, group: str, method: str, model: CalledModel, *arguments: Any) -> Any:
        provider = model.provider
        name = plugin_named(provider.definition.base_url)
        calls = self._calls.get((group, name))
        if calls is None:
            raise absent(name, group)
        secrets, seconds = secrets_of(provider), total_of(model)
        try:
            config = parse(calls.plugin.config, dict(provider.definition.config), "/config")
            return await calls.call(
                method, model.definition.model, *arguments, config, secrets, seconds=seconds, secrets=secrets.values()
            )
        except PluginFailed as error:
            if error.late:
                raise failures.timed_out("total", seconds) from None
            raise Failure(kind=Kind.SERVER, code="plugin_failed", message=f"is a plugin: {error}") from None
        except Invalid as error:
            raise wrongly_set(error, secrets.values()) from None


def absent(name: str, group: str = "") -> Failure:
    """Return the failure of a plugin that this process does not have."""
    what = f" in {group}" if group else ""
    message = f"is run by the plugin '{name}', which is not here{what}: install it and restart, or look at its error"
    return Failure(kind=Kind.DENIED, code="no_plugin", message=message)


def wrongly_set(error: Invalid, secrets: Iterable[str]) -> Failure:
    """Return the failure of a plugin whose settings were right once, and fit no longer what is installed now."""
    wrong = "; ".join(f"{each.pointer}: {each.message}" for each in error.errors[:MOST_WRONG])
    message = f"is a plugin that can't be set so: {without_secrets(wrong, secrets)}"
    return Failure(kind=Kind.DENIED, code="wrong_plugin_settings", message=message)


def secrets_of(provider: CalledProvider) -> Mapping[str, str]:
    """Return a provider's secrets as its plugin is given them."""
    key = {} if provider.api_key is None else {"api_key": provider.api_key}
    return {**provider.secret_headers, **key}
