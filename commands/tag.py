"""Renaming a tag on all things that carry it, at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from commands.bus import Done
from commands.configuration import uses, write_uses
from commands.ports import Unit
from domain import CONFIGURATIONS
from domain.errors import Forbidden, NotFound
from domain.tag import Tag

KINDS = {kind.TOPIC: kind for kind in CONFIGURATIONS}


@dataclass(frozen=True, kw_only=True)
class RenameTag:
    """Give everything that carries a tag another one instead; `to` is a tag.

    `others` are the kinds of things that whoever asks may not change, each with the permission that it needs.
    """

    tag: str
    to: str
    others: Mapping[str, str] = field(default_factory=dict)
    if_match: int | None = None

    @property
    def stream(self) -> UUID:
        """The tag's."""
        return Tag.create_id(self.tag)


async def rename_tag(command: RenameTag, unit: Unit) -> Done:
    """Rename; where a thing carries the new tag already, it carries it once. Raises NotFound or Forbidden."""
    users = await unit.users_of(command.stream)
    if not users:
        raise NotFound("Nothing carries this tag.")
    if lacking := sorted(command.others.keys() & {kind for kind, _ in users}):
        told = ", ".join(f"{kind}: {command.others[kind]}" for kind in lacking)
        raise Forbidden(f"Things carry this tag that take another permission to be changed ({told}).")
    tag = await unit.find(Tag, command.stream) or Tag(tag=command.tag)
    tag.must_be_at(command.if_match)
    if command.to != command.tag:
        for kind, id in users:
            thing = await unit.load(KINDS[kind], id)
            thing.retag(command.tag, command.to)
            write_uses(thing, uses(thing), unit)
            unit.save(thing)
        # Who takes the tag, or drops it, meanwhile is not passed over: then it is decided again.
        unit.effect("users", id=str(command.stream), users=[str(id) for _, id in users])
        tag.rename(command.to, things=len(users))
        unit.save(tag)
    return Done(aggregate=tag, shown={"things": len(users)})
