"""Secrets and stored answers, sealed by the installation's key."""

from typing import Any
from uuid import UUID

import orjson

from adapters.keyring import Keyring
from commands.bus import Done
from commands.ports import Receipt

ANSWERS = "answers"


class KeyringSecretBox:
    """Seals secrets for one owner, field and origin: elsewhere they don't open."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def seal(self, secret: str, *, owner: UUID, field: str, origin: str) -> bytes:
        """Return the sealed secret."""
        return self._keyring.seal(secret.encode(), bound_to(owner, field, origin))

    def open(self, sealed: bytes, *, owner: UUID, field: str, origin: str) -> str:
        """Return the secret; raise SealBroken where it belongs to another owner, field or origin."""
        return self._keyring.open(sealed, bound_to(owner, field, origin)).decode()

    def mac(self, purpose: str, data: bytes) -> bytes:
        """Return a keyed hash (HMAC-SHA256) of the data."""
        return self._keyring.mac(purpose, data)


class SealedAnswers:
    """Keeps first answers for repeated requests; what is shown once is not kept."""

    def __init__(self, keyring: Keyring) -> None:
        self._sealer = keyring.sealer(ANSWERS)

    def seal(self, done: Done) -> bytes:
        """Return the sealed answer; its position is stored beside it once it is known."""
        shown = {name: None if name in done.once else value for name, value in done.shown.items()}
        answer = {
            "id": str(done.aggregate.id),
            "version": done.aggregate.version,
            "shown": shown,
            "queued": done.queued,
        }
        return self._sealer.seal(orjson.dumps(answer), b"")

    def open(self, sealed: bytes, position: int) -> Receipt:
        """Return the receipt of the first answer."""
        answer: dict[str, Any] = orjson.loads(self._sealer.open(sealed, b""))
        return Receipt(
            id=UUID(answer["id"]),
            version=answer["version"],
            position=position,
            shown=answer["shown"],
            queued=answer.get("queued", True),  # answers kept before this was told
            replayed=True,
        )


def bound_to(owner: UUID, field: str, origin: str) -> bytes:
    """Return what a secret is bound to, unmistakably."""
    return orjson.dumps([str(owner), field, origin])
