"""Tokens of conversations: signed, short-lived, each for one conversation and the pages of one origin.

Nothing is stored of a token. It says nothing of what its holder may do either: that is looked up whenever it is used.
"""

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import orjson

from commands.bus import Done
from commands.conversations.conversation import ByOwner, own
from commands.ports import Actor, SecretBox, Unit
from domain.conversation_access import allow_origin

PREFIX = "mct_"
FORM = re.compile(r"mct_([A-Za-z0-9_-]{20,800})\.([A-Za-z0-9_-]{43})\Z")
PURPOSE = "conversation token"
HELD = "web"
"""The channel that is noted with what holders of tokens say."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a token says: which conversation, from pages of which origin (None: none), until when."""

    conversation: UUID
    origin: str | None
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class OpenConversation(ByOwner):
    """Make a token for a conversation, and open it to pages of the origin."""

    origin: str | None
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class ConversationTokens:
    """Makes and reads tokens by the installation's key."""

    box: SecretBox

    async def opened(self, command: OpenConversation, unit: Unit) -> Done:
        """Make a token; it is shown once."""
        conversation = await own(unit, command)
        allow_origin(conversation, command.origin)
        unit.save(conversation)
        claims = Claims(conversation=command.id, origin=command.origin, expires_at=command.expires_at)
        shown = {"token": self.signed(claims), "expires_at": command.expires_at.isoformat().replace("+00:00", "Z")}
        return Done(aggregate=conversation, shown=shown, once=frozenset({"token"}))

    def signed(self, claims: Claims) -> str:
        """Return the token of these claims."""
        said = [self._key_id(), str(claims.conversation), claims.origin, int(claims.expires_at.timestamp())]
        body = orjson.dumps(said)
        return f"{PREFIX}{_text(body)}.{_text(self.box.mac(PURPOSE, body))}"

    def read(self, token: str) -> Claims | None:
        """Return what a token says; None where this installation's key has not signed it."""
        found = FORM.match(token)
        if found is None:
            return None
        try:
            body, mac = _bytes(found[1]), _bytes(found[2])
        except ValueError:
            return None
        if not hmac.compare_digest(self.box.mac(PURPOSE, body), mac):
            return None
        key_id, conversation, origin, expires = orjson.loads(body)
        if key_id != self._key_id():
            return None
        return Claims(conversation=UUID(conversation), origin=origin, expires_at=datetime.fromtimestamp(expires, UTC))

    def _key_id(self) -> str:
        return self.box.mac(PURPOSE, b"key id").hex()[:8]


def as_visitor(actor: Actor) -> Actor:
    """Return who talks by a token: on behalf of a principal, finding what its groups find, with none of its roles."""
    return replace(actor, roles=frozenset())


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
