"""Ids that are made from a name: of things, and of events."""

from hashlib import sha1
from uuid import UUID

VERSION_MASK = ~(0xF000 << 64 | 0xC000 << 48)
VERSION_BITS = 5 << 76 | 0x8000 << 48
"""Version 5 and variant of a UUID (RFC 9562)."""

VARIANT = {f"{digit:x}": f"{digit & 3 | 8:x}" for digit in range(16)}
"""The digit of the text that holds the variant, from what a hash has there."""


def named_id(namespace: UUID, name: bytes) -> UUID:
    """Return what uuid5 returns for a name in UTF-8, without its detours."""
    digest = int.from_bytes(sha1(namespace.bytes + name, usedforsecurity=False).digest()[:16])
    return UUID(int=digest & VERSION_MASK | VERSION_BITS)


def named_id_text(namespace: UUID, name: bytes) -> str:
    """Return the text of `named_id`, without making the UUID: this is asked for every event that leaves."""
    digest = sha1(namespace.bytes + name, usedforsecurity=False).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{VARIANT[digest[16]]}{digest[17:20]}-{digest[20:32]}"
