"""Renaming a tag on all things that carry it, at once."""

from dataclasses import dataclass
from uuid import UUID

from commands.bus import Done
from commands.configuration import uses, write_uses
from commands.ports import Unit
from domain import CONFIGURATIONS
from domain.definition import Definition, parse
from domain.errors import NotFound
from domain.tag import Tag

KINDS = {kind.TOPIC: kind for kind in CONFIGURATIONS}


@dataclass(frozen=True, kw_only=True)
class RenameTag:
    """Give everything that carries a tag another one instead."""

    tag: str
    to: str

    @property
    def stream(self) -> UUID:
        """The tag's."""
        return Tag.create_id(self.tag)


async def rename_tag(command: RenameTag, unit: Unit) -> Done:
    """Rename; where a thing carries the new tag already, it carries it once."""
    parse(Definition, {"tags": [command.to]})
    users = await unit.users_of(command.stream)
    if not users:
        raise NotFound("Nothing carries this tag.")
    tag = await unit.find(Tag, command.stream) or Tag(tag=command.tag)
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
