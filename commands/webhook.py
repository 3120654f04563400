"""A webhook's own rule: the secret that signs what is sent is made here, shown once, and always there."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from commands.configuration import Change
from commands.ports import SecretBox
from domain.webhook import SIGNED_WITH

PREFIX = "whsec_"
"""What a secret begins with (Standard Webhooks); base64 of the key follows."""


@dataclass(frozen=True, kw_only=True)
class SigningSecrets:
    """Gives a webhook a secret where it has none: a new one, or one whose secret was deleted to get another."""

    box: SecretBox

    async def __call__(self, change: Change) -> Mapping[str, str]:
        """Return a secret that was made, to be shown once."""
        webhook = change.thing
        if SIGNED_WITH in webhook.secrets or webhook.archived:
            return {}
        made = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        webhook.set_secret(SIGNED_WITH, hint=made[-4:])
        sealed = self.box.seal(made, owner=webhook.id, field=SIGNED_WITH, origin=webhook.origin)
        text = base64.b64encode(sealed).decode()
        change.unit.effect("secret", id=str(webhook.id), field=SIGNED_WITH, sealed=text)
        return {SIGNED_WITH: made}


def signing_key(secret: str) -> bytes:
    """Return the bytes that a secret signs with: what `whsec_` and base64 stand for, else the text itself."""
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret[len(PREFIX) :], validate=True)
        except ValueError:
            pass
    return secret.encode()
