"""What a plugin has to be: an object with a name, a `Config`, and the method of its group."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import orjson
from pydantic import BaseModel

from adapters.plugins.readers import is_reader, source_of
from domain.provider import PLUGIN_NAME

SOURCES = "magnet.knowledge_sources"
TOOLS = "magnet.tools"
CHUNKERS = "magnet.chunkers"
EMBEDDERS = "magnet.embedders"
RERANKERS = "magnet.rerankers"
GUARDRAILS = "magnet.guardrails"
SCORERS = "magnet.scorers"
VECTOR_STORES = "magnet.vector_stores"
METHODS: Mapping[str, str] = {
    SOURCES: "load",
    TOOLS: "call",
    CHUNKERS: "chunk",
    EMBEDDERS: "embed",
    RERANKERS: "rerank",
    VECTOR_STORES: "open",
    SCORERS: "score",
    GUARDRAILS: "check",
}
"""The groups of plugins, each with the method that its plugins have."""


class NoPlugin(Exception):
    """An object is no plugin of its group."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """An object that is a plugin of its group, with what is shown of it."""

    group: str
    name: str
    object: Any
    config: type[BaseModel]
    schema: Mapping[str, Any]
    secrets: Mapping[str, str]
    description: str


def plugin_of(group: str, found: Any, named: str | None) -> Plugin:
    """Return the plugin that an object is, or raise NoPlugin; a class is called without arguments.

    `named` is how its entry point calls it; it counts for readers of LlamaIndex, which have no name of their own.
    """
    made: Any = found
    if group == SOURCES and is_reader(found):
        made = source_of(found, named)
    elif inspect.isclass(found):
        made = found()
    name = getattr(made, "name", None)
    if not isinstance(name, str) or not PLUGIN_NAME.fullmatch(name):
        raise NoPlugin("its `name` is no text of small letters, digits, `_`, `.` and `-`, at most 63 of them")
    config = getattr(made, "Config", None)
    if not is_model(config):
        raise NoPlugin("its `Config` is no pydantic model")
    method = METHODS[group]
    if not callable(getattr(made, method, None)):
        raise NoPlugin(f"it has no method `{method}`, which plugins of {group} have")
    if group == TOOLS and not is_model(getattr(made, "Arguments", None)):
        raise NoPlugin("its `Arguments`, which models give it, are no pydantic model")
    secrets = getattr(made, "secrets", {})
    if not isinstance(secrets, Mapping) or not all(isinstance(each, str) for pair in secrets.items() for each in pair):
        raise NoPlugin("its `secrets` are no mapping from names to what they are")
    schema, description = config.model_json_schema(), described(made, config)
    if holds_secret(schema):
        raise NoPlugin("its `Config` has a field for a secret, which would be on record: name it in `secrets`")
    try:
        orjson.dumps([schema, description, dict(secrets)])
    except TypeError as error:
        raise NoPlugin(f"what it says of itself can't be told in JSON: {error}") from None
    return Plugin(
        group=group,
        name=name,
        object=made,
        config=config,
        schema=schema,
        secrets=dict(secrets),
        description=description,
    )


def is_model(found: Any) -> TypeGuard[type[BaseModel]]:
    """Return whether an object is a class of pydantic's models."""
    return inspect.isclass(found) and issubclass(found, BaseModel)


def holds_secret(schema: Any) -> bool:
    """Return whether a schema has a field of the kind that pydantic has for secrets."""
    match schema:
        case {"format": "password", "writeOnly": True}:
            return True
        case dict():
            return any(map(holds_secret, schema.values()))
        case list():
            return any(map(holds_secret, schema))
    return False


def described(made: Any, config: type[BaseModel]) -> str:
    """Return what a plugin says of itself: its description, or the first line that its documentation begins with."""
    own = getattr(made, "description", None)
    if isinstance(own, str) and own:
        return own
    documentation = type(made).__doc__ or config.__doc__ or ""
    return next((line.strip() for line in documentation.splitlines() if line.strip()), "")
