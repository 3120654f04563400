"""The guardrails that come along, by their types."""

from collections.abc import Mapping

from pydantic import BaseModel

from adapters.guardrails.injection import InjectionConfig, InjectionGuard
from adapters.guardrails.moderation import ModerationConfig, ModerationGuard, Moderations
from adapters.guardrails.pii import PiiConfig, PiiGuard
from commands.agents.guardrails import Guards

CONFIGS: Mapping[str, type[BaseModel]] = {
    "pii": PiiConfig,
    "injection": InjectionConfig,
    "moderation": ModerationConfig,
}
"""Their types, which no plugin may have, and what their settings are."""


def built_in_guards(moderations: Moderations) -> Guards:
    """Return type -> what looks for it."""
    return {"pii": PiiGuard(), "injection": InjectionGuard(), "moderation": ModerationGuard(moderations)}
