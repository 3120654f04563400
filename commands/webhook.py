"""A webhook's own rules: what it asks for is known; the secret that signs is made here, shown once, and always there."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from commands.configuration import Change
from commands.ports import SecretBox
from domain.event_types import must_be_kind, must_be_type
from domain.webhook import SIGNED_WITH

PREFIX = "whsec_"
"""What a secret begins with (Standard Webhooks); base64 of the key follows."""


@dataclass(frozen=True, kw_only=True)
class WebhookRules:
    """Gives a webhook a secret where it has none: a new one, or one whose secret was deleted to get another."""

    box: SecretBox

    async def __call__(self, change: Change) -> Mapping[str, str]:
        """Return a secret that was made, to be shown once; raise Invalid where it newly asks for what no event is."""
        webhook = change.thing
        for field, must_be in (("types", must_be_type), ("kinds", must_be_kind)):
            before = change.before[field] if change.before else ()
            for number, named in enumerate(webhook.definition[field]):
                if named not in before:
                    must_be(named, f"/{field}/{number}")
        if SIGNED_WITH in webhook.secrets or webhook.archived:
            return {}
        return {SIGNED_WITH: made_secret(change, self.box, SIGNED_WITH)}


def made_secret(change: Change, box: SecretBox, field: str) -> str:
    """Give a thing a new secret to sign with, and return it."""
    made = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    change.thing.set_secret(field, hint=made[-4:])
    sealed = box.seal(made, owner=change.thing.id, field=field, origin=change.thing.origin)
    change.unit.effect("secret", id=str(change.thing.id), field=field, sealed=base64.b64encode(sealed).decode())
    return made


def signing_key(secret: str) -> bytes:
    """Return the bytes that a secret signs with: what `whsec_` and base64 stand for, else the text itself."""
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret[len(PREFIX) :], validate=True)
        except ValueError:
            pass
    return secret.encode()
