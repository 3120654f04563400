"""What is shown of a plugin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal

from adapters.plugins.checking import SOURCES
from commands.connectors import Connectors

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
    return [
        ListedPlugin(
            group=SOURCES,
            name=name,
            package="magnet",
            version=version("magnet"),
            description=next(iter((connector.config.__doc__ or "").splitlines()), ""),
            state="ready",
            error=None,
            schema=connector.config.model_json_schema(),
            secrets=dict(connector.secrets),
            built_in=True,
        )
        for name, connector in sorted(connectors.items())
    ]
