"""The guardrails that come along, by their types."""

from adapters.guardrails.injection import InjectionGuard
from adapters.guardrails.moderation import ModerationGuard, Moderations
from adapters.guardrails.pii import PiiGuard
from commands.guardrails import Guards

TYPES = frozenset({"pii", "injection", "moderation"})
"""Names that no plugin may have."""


def built_in_guards(moderations: Moderations) -> Guards:
    """Return type -> what looks for it."""
    return {"pii": PiiGuard(), "injection": InjectionGuard(), "moderation": ModerationGuard(moderations)}
