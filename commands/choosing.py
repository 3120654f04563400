"""Choosing what runs: the version that a label points at, and the variant for a subject."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from commands.ports import Things
from domain import variants
from domain.configuration import Configuration
from domain.configuration_events import LIVE
from domain.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A thing as it is to run: which version, which variant, and what that is."""

    kind: str
    id: UUID
    name: str
    version: int
    variant: str
    definition: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """Return its public form."""
        return {"id": str(self.id), "name": self.name, "version": self.version, "variant": self.variant}

    def target(self) -> dict[str, Any]:
        """Return it as the target of a run."""
        return {"kind": self.kind, **self.document()}


async def choose(
    things: Things,
    kind: type[Configuration],
    id: UUID,
    *,
    subject: str,
    version: int | None = None,
    label: str = LIVE,
    variant: str | None = None,
) -> Chosen:
    """Return the thing at a version, or at a label, with its variant; raise NotFound or Archived."""
    thing = await things.newest(kind, id)
    thing.must_be_active()
    if version is None:
        target = thing.labels.get(label)
        if target is None:
            raise NotFound(f"This {kind.TOPIC.replace('_', ' ')} has no such label.", code="unknown_label")
        version, definition = target["version"], target["definition"]
    else:
        definition = (await things.at_version(kind, id, version)).definition
    variant = variant or variants.choose(id, definition["variants"], subject)
    return Chosen(
        kind=kind.TOPIC,
        id=id,
        name=thing.name,
        version=version,
        variant=variant,
        definition=kind.as_variant(definition, variant),
    )
