"""One webhook's feed: every event that it wants, in order, tried again until it is taken or set aside."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.event_store.subscription import Subscription
from adapters.postgres import sql
from adapters.postgres.errors import translating
from adapters.webhooks.sending import Sent
from domain.webhook import Webhook
from projections.recorded import LogEntry

SQL = sql.load("adapters.webhooks", "webhooks.sql")
OWNER = "webhooks_v1"
PAUSES = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0)
"""Seconds between two tries of an event; when there are no more, it is set aside and the next one is sent."""

LONGEST_WAIT = 3600.0
"""Seconds that an answer's Retry-After may ask for at most."""

BATCH, BATCH_BYTES = 100, 1024 * 1024
NOTE_EVERY = 1.0
"""Seconds after which it is noted that events were passed over which the webhook does not want."""

Send = Callable[[LogEntry], Awaitable[Sent]]
Follow = Callable[[int], Subscription]


class Moved(Exception):
    """The webhook was changed or moved by hand, or another process sends by now."""


@dataclass(kw_only=True)
class Place:
    """Where a webhook stands, as the table has it."""

    webhook: UUID
    fence: int
    position: int
    generation: int
    attempts: int
    retry_at: datetime | None

    @property
    def keys(self) -> Mapping[str, Any]:
        """Return what a row is only changed by."""
        return {"webhook": self.webhook, "generation": self.generation, "owner": OWNER, "fence": self.fence}


class Feed:
    """Sends one webhook what it wants."""

    def __init__(self, pool: AsyncConnectionPool, webhook: Webhook, place: Place, follow: Follow, send: Send) -> None:
        self._pool = pool
        self._webhook = webhook
        self._place = place
        self._follow = follow
        self._send = send

    async def run(self) -> None:
        """Send without end; raise Moved, or what the database says."""
        place = self._place
        if place.retry_at is not None:
            left = (place.retry_at - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(min(max(0.0, left), max(PAUSES[-1], LONGEST_WAIT)))  # more, where a clock was set back
        async with self._follow(place.position) as following:
            arriving = asyncio.ensure_future(anext(following, None))
            try:
                while True:
                    done, _ = await asyncio.wait({arriving}, timeout=NOTE_EVERY)
                    if not done:
                        await self._passed(following.position)
                        continue
                    batch = arriving.result()
                    if batch is None:
                        return
                    for entry in batch:
                        if self._is_news(entry):
                            await self._passed(entry.position - 1)
                            raise Moved
                        if self._webhook.wants(entry.topic):
                            await self._deliver(entry)
                    if following.position - place.position >= BATCH:
                        await self._passed(following.position)
                    arriving = asyncio.ensure_future(anext(following, None))
            finally:
                arriving.cancel()
                await asyncio.gather(arriving, return_exceptions=True)

    def _is_news(self, entry: LogEntry) -> bool:
        """Return whether this changed the webhook itself: what follows is sent as it says, by its secret."""
        return entry.stream == self._webhook.id and entry.version > self._webhook.version

    async def _deliver(self, entry: LogEntry) -> None:
        place = self._place
        while (sent := await self._send(entry)).error is not None:
            place.attempts += 1
            if place.attempts > len(PAUSES):
                await self._set_aside(entry, sent.error)
                await self._reached(entry.position, delivered=0, status=sent.status)
                return
            pause = max(PAUSES[place.attempts - 1], min(sent.wait or 0.0, LONGEST_WAIT))
            values = {"attempts": place.attempts, "status": sent.status, "error": sent.error, "pause": pause}
            await self._change(SQL["failed"], values)
            await asyncio.sleep(pause)
        await self._reached(entry.position, delivered=1, status=sent.status)

    async def _passed(self, position: int) -> None:
        if position > self._place.position:
            await self._reached(position, delivered=0, status=None)

    async def _reached(self, position: int, *, delivered: int, status: int | None) -> None:
        await self._change(SQL["reached"], {"position": position, "delivered": delivered, "status": status})
        self._place.position, self._place.attempts = position, 0

    async def _set_aside(self, entry: LogEntry, error: str) -> None:
        values = {
            "webhook": self._place.webhook,
            "position": entry.position,
            "stream": entry.stream,
            "error": error,
            "attempts": self._place.attempts,
        }
        with translating():
            async with self._pool.connection() as connection:
                await connection.execute(SQL["set_aside"], values)

    async def _change(self, query: LiteralString, values: Mapping[str, Any]) -> None:
        with translating():
            async with self._pool.connection() as connection:
                changed = await connection.execute(query, {**self._place.keys, **values})
        if changed.rowcount != 1:
            raise Moved
