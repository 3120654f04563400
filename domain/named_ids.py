"""Ids that are made from a name: of things, and of events."""

from hashlib import sha1
from uuid import UUID

VERSION_MASK = ~(0xF000 << 64 | 0xC000 << 48)
VERSION_BITS = 5 << 76 | 0x8000 << 48
"""Version 5 and variant of a UUID (RFC 9562)."""


def named_id(namespace: UUID, name: bytes) -> UUID:
    """Return what uuid5 returns for a name in UTF-8, without its detours: this is asked for every event."""
    digest = int.from_bytes(sha1(namespace.bytes + name, usedforsecurity=False).digest()[:16])
    return UUID(int=digest & VERSION_MASK | VERSION_BITS)
