"""Stand-ins behind ports, for tests of what does not depend on the real thing."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from commands.bus import Done
from commands.ports import Receipt, Template


class PlainBox:
    """Seals nothing: only for tests that store no secret."""

    def seal(self, secret: str, *, owner: UUID, field: str, origin: str) -> bytes:
        return secret.encode()

    def mac(self, purpose: str, data: bytes) -> bytes:
        return sha256(purpose.encode() + data).digest()


class PlainRenderer:
    """Takes every template for fine, and renders it as it stands."""

    async def render(
        self, templates: Sequence[Template], variables: Mapping[str, Any], includes: Mapping[str, str]
    ) -> list[str]:
        return [template.source for template in templates]

    async def check(self, templates: Sequence[Template]) -> list[set[str]]:
        return [set() for _ in templates]

    async def needs(self, templates: Sequence[Template]) -> list[tuple[set[str], set[str]]]:
        return [(set(), set()) for _ in templates]


class NoAnswers:
    """Keeps no answers: only for tests without idempotency keys."""

    def seal(self, done: Done) -> bytes:
        raise AssertionError("no key was given")

    def open(self, sealed: bytes, position: int) -> Receipt:
        raise AssertionError("no key was given")
