"""The process that sends webhooks: one at a time, with a feed for each webhook that is active."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from psycopg_pool import AsyncConnectionPool

from adapters.ending import end_tasks
from adapters.event_store.choosing import LogFilter
from adapters.event_store.log import EventLog
from adapters.event_store.store import EventStore
from adapters.event_store.subscription import Subscription, Subscriptions
from adapters.keyring import SealBroken
from adapters.postgres.errors import translating
from adapters.postgres.listener import Listener
from adapters.postgres.reading import rows_of
from adapters.projection_runner.batch import SQL as TRACKING
from adapters.projection_runner.ownership import Session, keep_owning
from adapters.secrets import KeyringSecretBox
from adapters.webhooks.feed import BATCH, BATCH_BYTES, OWNER, SQL, Feed, Moved, Place, Send
from adapters.webhooks.letters import try_letters
from adapters.webhooks.sending import Sent, WebhookSender
from commands.webhook import signing_key
from domain.errors import DomainError
from domain.webhook import SIGNED_WITH, Webhook
from projections.events import public_events
from projections.recorded import LogEntry

LOOK_EVERY = 5.0
"""Seconds after which it is looked at which webhooks there are, without having been told."""

PATIENCE = 0.25
"""Seconds between two looks for what happened to webhooks, at least: most events are none of theirs."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sending:
    """A feed that runs: as of which version, and which generation of its place."""

    version: int
    generation: int
    task: asyncio.Task[None]
    send: Send


class WebhookDispatcher:
    """Sends what webhooks want, for as long as this process is the one that does."""

    def __init__(
        self,
        *,
        dsn: str,
        pool: AsyncConnectionPool,
        reader: EventLog,
        subscriptions: Subscriptions,
        listener: Listener,
        store: EventStore,
        box: KeyringSecretBox,
        sender: WebhookSender,
    ) -> None:
        self._dsn = dsn
        self._pool = pool
        self._reader = reader
        self._subscriptions = subscriptions
        self._store = store
        self._box = box
        self._sender = sender
        self._fence = 0
        self._news = asyncio.Event()
        self._feeds: dict[UUID, Sending] = {}
        self._letters: dict[UUID, asyncio.Task[None]] = {}
        self._versions: dict[UUID, int] = {}
        self._mute: set[UUID] = set()
        self._task: asyncio.Task[None] | None = None
        listener.on("magnet_jobs", lambda kind: self._news.set() if kind in (None, "webhooks") else None)

    async def open(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(keep_owning(self._dsn, OWNER, self._own), name=OWNER)

    async def close(self) -> None:
        """Stop; what was sent and not noted is sent again by the next owner."""
        if self._task is not None:
            await end_tasks(self._task)
            self._task = None
        await self._sender.close()

    async def _own(self, session: Session) -> None:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(TRACKING["take_over"], {"projection": OWNER})).fetchone()
        assert row is not None
        self._fence = row[1]
        watching = asyncio.create_task(self._watch(await self._reader.head()))
        try:
            while True:
                self._news.clear()
                await self._settle()
                await session.execute("SELECT 1")  # a lost session means a lost lock
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY):
                        await self._news.wait()
        finally:
            await ended([watching, *(each.task for each in self._feeds.values()), *self._letters.values()])
            self._feeds.clear()
            self._letters.clear()

    async def _watch(self, head: int) -> None:
        """Look anew whenever something happens to a webhook."""
        of_webhooks = LogFilter(kind=Webhook.TOPIC)
        async with self._subscriptions.follow(head, of_webhooks, patience=PATIENCE, rare=True) as following:
            async for _ in following:
                self._news.set()

    async def _settle(self) -> None:
        """Let every webhook that is active be sent to, as it is now, and no other."""
        for id, began in await rows_of(self._pool, SQL["known"], {}):
            loaded = await self._store.load(id)
            if loaded is None or not isinstance(loaded[0], Webhook):
                continue
            webhook = loaded[0]
            if webhook.archived or not webhook.definition["active"]:
                await self._end(id)
                continue
            with translating():
                async with self._pool.connection() as connection:
                    await connection.execute(SQL["begin"], {"webhook": id, "position": began})
            [row] = await rows_of(self._pool, SQL["feed"], {"webhook": id})
            await self._let_run(webhook, Place(
                webhook=id, fence=self._fence, position=row[0], generation=row[1], attempts=row[2], retry_at=row[3]
            ))  # fmt: skip

    async def _let_run(self, webhook: Webhook, place: Place) -> None:
        running = self._feeds.get(webhook.id)
        present = (webhook.version, place.generation)
        if running is not None and (running.version, running.generation) == present and not running.task.done():
            self._try_letters(webhook.id, running.send)
            return
        await self._end(webhook.id)
        key = await self._key_of(webhook)
        if key is None:
            return
        if self._versions.get(webhook.id, webhook.version) != webhook.version:
            place.attempts, place.retry_at = 0, None  # somebody may have put right what was wrong: tried at once
        self._versions[webhook.id] = webhook.version
        send = self._send_to(webhook, key)
        task = asyncio.create_task(self._run(Feed(self._pool, webhook, place, self._follow, send)))
        self._feeds[webhook.id] = Sending(version=webhook.version, generation=place.generation, task=task, send=send)
        self._try_letters(webhook.id, send)

    async def _key_of(self, webhook: Webhook) -> bytes | None:
        """Return what a webhook's events are signed with; where there is nothing, say so once."""
        sealed = await self._store.secret(webhook.id, SIGNED_WITH)
        try:
            if sealed is not None:
                opened = self._box.open(sealed, owner=webhook.id, field=SIGNED_WITH, origin=webhook.origin)
                self._mute.discard(webhook.id)
                return signing_key(opened)
            wrong, told = "webhook_without_secret", "It has no secret"
        except SealBroken:
            wrong, told = "webhook_secret_unreadable", "Its secret can't be read"
        if webhook.id not in self._mute:
            self._mute.add(webhook.id)
            log.error(wrong, webhook=str(webhook.id))
            values = {"webhook": webhook.id, "error": f'{told}: a PATCH with "secret": null makes another.'}
            with translating():
                async with self._pool.connection() as connection:
                    await connection.execute(SQL["mute"], values)
        return None

    def _try_letters(self, id: UUID, send: Send) -> None:
        """Try what was set aside and asked for, beside the feed."""
        trying = self._letters.get(id)
        if trying is None or trying.done():
            self._letters[id] = asyncio.create_task(self._letters_of(id, send))

    async def _letters_of(self, id: UUID, send: Send) -> None:
        try:
            await try_letters(self._pool, self._reader, id, send)
        except DomainError as error:
            log.warning("webhook_waits", error=error.error_code)

    async def _run(self, feed: Feed) -> None:
        try:
            await feed.run()
        except Moved:
            self._news.set()
        except DomainError as error:  # the database is away: it is begun anew from where it was noted
            log.warning("webhook_waits", error=error.error_code)
        except Exception:  # a defect ends one webhook's feed until the next look, and no other's
            log.exception("webhook_feed_failed")

    def _follow(self, position: int) -> Subscription:
        return self._subscriptions.follow(position, limit=BATCH, heaviest=BATCH_BYTES)

    def _send_to(self, webhook: Webhook, key: bytes) -> Send:
        async def send(entry: LogEntry) -> Sent:
            [event] = await public_events([entry], self._reader)
            return await self._sender.send(webhook.definition["url"], key, event)

        return send

    async def _end(self, id: UUID) -> None:
        tasks: list[asyncio.Task[Any]] = []
        if (running := self._feeds.pop(id, None)) is not None:
            tasks.append(running.task)
        if (trying := self._letters.pop(id, None)) is not None:
            tasks.append(trying)
        await ended(tasks)


async def ended(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait for them."""
    with contextlib.suppress(Exception):  # what one of them failed with was told
        await end_tasks(*tasks)
