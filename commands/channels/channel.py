"""A channel's own rules: it has the secrets of its type, and what signs is made where none is given."""

from collections.abc import Mapping
from dataclasses import dataclass

from commands.configuration import Change
from commands.ports import SecretBox
from commands.webhook import made_secret
from domain.channel import SECRETS_OF, SIGNED_WITH, Channel
from domain.errors import Invalid
from domain.references import escaped


@dataclass(frozen=True, kw_only=True)
class ChannelRules:
    """Refuses secrets that no channel of its type has; makes the one that a system of one's own signs with."""

    box: SecretBox

    async def __call__(self, change: Change) -> Mapping[str, str]:
        """Return a secret that was made, to be shown once."""
        channel = change.thing
        assert isinstance(channel, Channel)
        known = SECRETS_OF[channel.type]
        for name in (kept.partition("/")[2] for kept in channel.secrets):
            if name not in known:
                has = f"it has: {', '.join(sorted(known))}" if known else "it has none"
                raise Invalid(
                    f"A channel of the type {channel.type} has no such secret; {has}.",
                    code="unknown_secret",
                    pointer=f"/secrets/{escaped(name)}",
                )
        field = f"secrets/{SIGNED_WITH}"
        if channel.type != "webhook" or field in channel.secrets or channel.archived:
            return {}
        return {SIGNED_WITH: made_secret(change, self.box, field)}
