"""What is shown of a plugin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel

from adapters.plugins.checking import SOURCES
from commands.knowledge.connectors import Connectors

State = Literal["ready", "unhealthy", "failed"]


@dataclass(frozen=True, kw_only=True)
class ListedPlugin:
    """A plugin: where it is from, how it is, and what its `Config` is; `error` says why it is not ready."""

    group: str
    name: str
    package: str
    version: str | None
    description: str
    state: State
    error: str | None
    schema: Mapping[str, Any] | None
    secrets: Mapping[str, str] = field(default_factory=dict)
    built_in: bool = False


def built_in(connectors: Connectors) -> list[ListedPlugin]:
    """Return what is shown of our own connectors."""
    return [_own(SOURCES, name, connector.config, connector.secrets) for name, connector in sorted(connectors.items())]


def built_in_of(group: str, configs: Mapping[str, type[BaseModel]]) -> list[ListedPlugin]:
    """Return what is shown of our own guardrails, or scorers, by what their settings are."""
    return [_own(group, name, config, {}) for name, config in sorted(configs.items())]


def _own(group: str, name: str, config: type[BaseModel], secrets: Mapping[str, str]) -> ListedPlugin:
    return ListedPlugin(
        group=group,
        name=name,
        package="magnet",
        version=version("magnet"),
        description=next(iter((config.__doc__ or "").splitlines()), ""),
        state="ready",
        error=None,
        schema=config.model_json_schema(),
        secrets=dict(secrets),
        built_in=True,
    )
