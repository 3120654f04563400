"""Single streams, followed in the log: what happened in one, and what happens then."""

from collections.abc import AsyncGenerator
from copy import copy
from dataclasses import dataclass
from uuid import UUID

from adapters.event_store.choosing import LogFilter
from adapters.event_store.store import EventStore
from adapters.event_store.subscription import Subscriptions
from commands.pipelines.pipeline_course import Happened


@dataclass(frozen=True, kw_only=True)
class SingleStreams:
    """Follows streams, with what persons said in plain."""

    store: EventStore
    subscriptions: Subscriptions

    async def events(self, stream: UUID, after: int) -> AsyncGenerator[Happened, None]:
        """Yield what happened in a stream after a version, and all that happens then, until the process ends."""
        position = await self.store.position_of(stream, max(after, 1)) - (1 if after == 0 else 0)
        async with self.subscriptions.follow(position, LogFilter(aggregate=stream)) as following:
            async for batch in following:
                # Copies: entries are shared with all who follow the log, and to them they stay sealed.
                events = [copy(entry.event) for entry in batch]
                await self.store.reveal(events)
                for entry, event in zip(batch, events, strict=True):
                    yield Happened(version=entry.version, position=entry.position, event=event)
