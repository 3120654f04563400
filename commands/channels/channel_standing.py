"""Who talks by a channel: the channel itself is the principal, as long as it lets people in."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from commands.conversations.on_behalf import Standing
from commands.ports import Actor, Things
from domain.channel import Channel
from domain.errors import NotFound


def actor_of(channel: Channel) -> Actor:
    """Return who talks by a channel: it finds what the channel's groups find, and has no role."""
    groups = frozenset(channel.definition["groups"])
    return Actor(type=Channel.TOPIC, id=str(channel.id), name=channel.name, groups=groups)


async def open_channel(things: Things, id: UUID, type: str) -> Channel:
    """Return a channel of a type that lets people in, or raise NotFound."""
    channel = await things.newest(Channel, id)
    if not channel.open or channel.type != type:
        raise NotFound("There is no such channel.")
    return channel


@dataclass(frozen=True, kw_only=True)
class Standings:
    """Says what a principal on record may now: a channel by its settings, others by `keys`."""

    things: Things
    keys: Standing

    async def __call__(self, principal: Mapping[str, str]) -> Actor | None:
        """Return the principal as it is now; None where it may ask no more."""
        if principal["type"] != Channel.TOPIC:
            return await self.keys(principal)
        channel = await self.things.newest(Channel, UUID(principal["id"]))
        return actor_of(channel) if channel.open else None
