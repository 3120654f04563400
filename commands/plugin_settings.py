"""Settings of plugins that definitions hold: there is such a plugin, they fit its `Config`, and secrets are ones it asks for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from commands.configuration import Change
from domain.definition import parse, same
from domain.errors import Invalid
from domain.provider import plugin_named


class Settable(Protocol):
    """What is known of a plugin where something is set for it."""

    @property
    def config(self) -> type[BaseModel]:
        """What it is set to."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """Which secrets it may be given: name -> what it is."""


Settables = Mapping[str, Settable]
"""By the name of the plugin."""


def must_be_here(known: Iterable[str], name: str, pointer: str) -> None:
    """Raise Invalid where there is no such plugin."""
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise Invalid(f"There is no plugin of this name here; there are: {there}.", code="no_plugin", pointer=pointer)


def must_be_asked_for(known: Iterable[str], secrets: Mapping[str, str]) -> None:
    """Raise Invalid where a secret (its name -> pointer) is none that a plugin asks for."""
    for name, pointer in secrets.items():
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise Invalid(
                f"This plugin asks for no such secret; it asks for: {there}.", code="unknown_secret", pointer=pointer
            )


@dataclass(frozen=True, kw_only=True)
class ProviderSettings:
    """As the rule of providers, refuses what no plugin can be set to; one name may be an embedder and a reranker."""

    embedders: Settables
    rerankers: Settables

    async def __call__(self, change: Change) -> None:
        """Raise Invalid where a provider names no plugin that is here, or sets it to what it is not."""
        provider, before = change.thing, change.before
        now = provider.definition
        if provider.archived:
            return
        if now["type"] != "plugin":
            if now.get("config"):
                raise Invalid("Only a provider of type plugin has a `config`.", code="no_plugin", pointer="/config")
            return
        name = plugin_named(now["base_url"])
        named = [group[name] for group in (self.embedders, self.rerankers) if name in group]
        if before is None or not same(asked_in(before), asked_in(now)):
            must_be_here({*self.embedders, *self.rerankers}, name, "/base_url")
            for plugin in named:
                parse(plugin.config, dict(now["config"]), "/config")
        if named:  # what was set while it was here stays, should it be gone
            kept = {field.rpartition("/")[2]: f"/{field}" for field in provider.secrets}
            must_be_asked_for({secret for plugin in named for secret in plugin.secrets}, kept)


def asked_in(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return what says which plugin is asked, and how."""
    return {name: definition.get(name) for name in ("type", "base_url", "config")}
