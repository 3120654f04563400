"""Data keys: one for each subject, so that destroying it erases what the subject said, and nothing else."""

import base64
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.keyring import KEY_BYTES, NONCE_BYTES, Keyring, SealBroken
from adapters.postgres.errors import translated
from adapters.postgres.gathering import Gathered
from adapters.postgres.sql import load
from commands.subject import DATA_KEYS as PURPOSE
from domain.errors import Conflict

SQL = load("adapters.event_store", "data_keys.sql")

CHANNEL = "magnet_data_keys"
"""What PostgreSQL notifies of: the id of a key that was destroyed."""

ERASED = "[erased]"
"""What stands for a text whose key was destroyed."""

SEALED = "$sealed"
WITH = "with"
BOTH = b"magnet data key and period"
"""What keys that are made of two are for."""

Row = tuple[bytes, UUID, bytes | None, bool]


class SubjectErased(Conflict):
    """What this subject said was erased, and nothing new is recorded for it: use another subject."""

    code = "subject_erased"


class KeyNotLoaded(Exception):
    """A data key was asked for that isn't there: `ensure` or `fetch` comes first, and it must exist."""


@dataclass(frozen=True, slots=True)
class Held:
    """A data key in memory; without one it was destroyed."""

    key: bytes | None
    cipher: AESGCM | None
    loaded_at: float


class DataKeys:
    """Seals and unseals by the data keys of subjects, which are kept wrapped in the database.

    `ensure` and `fetch` bring keys into memory, `seal` and `unseal` then need no waiting. A key is
    kept for at most `seconds_kept`, and used unasked for half of it: so a notification that is missed
    lets a destroyed key live no longer than that.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool,
        keyring: Keyring,
        *,
        keys_kept: int = 10_000,
        seconds_kept: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._keyring = keyring
        self._keys_kept = keys_kept
        self._seconds_kept = seconds_kept
        self._clock = clock
        self._held: OrderedDict[UUID, Held] = OrderedDict()
        self._of_subject: OrderedDict[str, UUID] = OrderedDict()
        self._forgotten = 0
        self._gathered: Gathered[str, None] = Gathered(self._ensured)

    async def ensure(self, subjects: Iterable[str]) -> None:
        """Bring the subjects' keys into memory, making those that are missing; or raise SubjectErased."""
        asked = set(subjects)
        while True:
            forgotten = self._forgotten
            wanted = {subject for subject in asked if not self._is_fresh(self._of_subject.get(subject))}
            for subject in asked - wanted:
                self._of_subject.move_to_end(subject)
                self._held.move_to_end(self._of_subject[subject])
            if wanted and len(asked) > self._keys_kept // 100:  # so many stay only while nothing else is brought
                await self._ensured(wanted, len(asked))
            elif wanted:
                await self._gathered.of(wanted)
            if forgotten == self._forgotten:  # else one that was there may be gone by now
                break
        for subject in asked:
            if self._usable(self._of_subject[subject]).cipher is None:
                raise SubjectErased

    async def _ensured(self, subjects: Collection[str], asked: int = 0) -> Mapping[str, None]:
        macs = {self._keyring.mac(PURPOSE, subject.encode()): subject for subject in subjects}
        await self._bring(lambda connection: self._made(connection, macs), macs, max(asked, len(subjects)))
        return {}

    async def fetch(self, key_ids: Iterable[UUID | str]) -> None:
        """Bring these keys into memory, where they exist."""
        asked = {UUID(str(key)) for key in key_ids}
        while True:
            forgotten = self._forgotten
            wanted = [key for key in asked if not self._is_fresh(key)]
            for key in asked.difference(wanted):
                self._held.move_to_end(key)
            if wanted:
                await self._bring(partial(rows_of, query="of_keys", values={"ids": wanted}), {}, len(asked))
            if forgotten == self._forgotten:  # else one that was there may be gone by now
                return

    def seal(self, subject: str, plaintext: str, aad: bytes, period: str | None = None) -> dict[str, Any]:
        """Return the sealed text as a JSON object, or raise KeyNotLoaded or SubjectErased.

        With a period, it takes the keys of both to open it: to destroy either is enough.
        """
        key_id = self._of_subject.get(subject)
        with_id = None if period is None else self._of_subject.get(period)
        if key_id is None or (period is not None and with_id is None):
            raise KeyNotLoaded
        cipher = self._cipher(key_id, with_id)
        if cipher is None:
            raise SubjectErased
        nonce = secrets.token_bytes(NONCE_BYTES)
        text = cipher.encrypt(nonce, plaintext.encode(), bound_to(key_id, with_id) + aad)
        box = {SEALED: 1, "key": str(key_id), "nonce": encoded(nonce), "text": encoded(text)}
        return box if with_id is None else box | {WITH: str(with_id)}

    def unseal(self, sealed: Mapping[str, Any], aad: bytes) -> str:
        """Return the text, or `[erased]`; or raise KeyNotLoaded, or SealBroken where it isn't what was sealed."""
        try:
            key_id = UUID(sealed["key"])
            with_id = UUID(sealed[WITH]) if WITH in sealed else None
            nonce, text = base64.b64decode(sealed["nonce"]), base64.b64decode(sealed["text"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise SealBroken from None
        cipher = self._cipher(key_id, with_id)
        if cipher is None:
            return ERASED
        try:
            return cipher.decrypt(nonce, text, bound_to(key_id, with_id) + aad).decode()
        except (InvalidTag, ValueError):
            raise SealBroken from None

    def _cipher(self, key_id: UUID, with_id: UUID | None) -> AESGCM | None:
        """Return what opens a text; None where a key that it takes was destroyed."""
        held = self._usable(key_id)
        if with_id is None:
            return held.cipher
        other = self._usable(with_id)
        if held.key is None or other.key is None:
            return None
        return AESGCM(hmac.digest(held.key, BOTH + other.key, "sha256"))

    async def living(self, subjects: Iterable[str]) -> set[str]:
        """Return those of the subjects that have a key."""
        macs = {self._keyring.mac(PURPOSE, subject.encode()): subject for subject in subjects}
        async with self._connection() as connection:
            rows = await rows_of(connection, "of_subjects", {"macs": sorted(macs)})
        return {macs[mac] for mac, _, _, destroyed in rows if not destroyed}

    async def destroy(self, subject: str) -> bool:
        """Destroy the subject's key for good; return whether there was one."""
        mac = self._keyring.mac(PURPOSE, subject.encode())
        async with self._connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(SQL["destroy"], {"mac": mac})
            row = await cursor.fetchone()
        if row is not None:
            self.forget(row[0])
        return row is not None

    def hear(self, key_id: str | None) -> None:
        """Take a notification: a key's id; None: something may have been missed."""
        if key_id:
            self.forget(key_id)
        else:
            self.forget_all()

    def forget(self, key_id: UUID | str) -> None:
        """Drop a key from memory: for who listens to the channel `magnet_data_keys`."""
        self._forgotten += 1
        self._held.pop(UUID(str(key_id)), None)

    def forget_all(self) -> None:
        """Drop all keys from memory: for a listener that may have missed something."""
        self._forgotten += 1
        self._held.clear()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.Error, PoolTimeout) as error:
            raise translated(error) from error

    def _is_fresh(self, key_id: UUID | None) -> bool:
        held = self._held.get(key_id) if key_id is not None else None
        return held is not None and self._clock() - held.loaded_at < self._seconds_kept / 2

    def _usable(self, key_id: UUID) -> Held:
        held = self._held.get(key_id)
        if held is None or self._clock() - held.loaded_at >= self._seconds_kept:
            raise KeyNotLoaded
        self._held.move_to_end(key_id)
        return held

    async def _bring(
        self, look: Callable[[AsyncConnection[Any]], Awaitable[list[Row]]], subjects: Mapping[bytes, str], asked: int
    ) -> None:
        """Hold what a look into the database gives; one during which a key was destroyed is repeated."""
        while True:
            forgotten, at = self._forgotten, self._clock()
            async with self._connection() as connection:
                rows = await look(connection)
            if forgotten == self._forgotten:
                break
        for mac, key_id, wrapped, destroyed in rows:
            key = None if destroyed or wrapped is None else self._unwrapped(mac, key_id, wrapped)
            self._held[key_id] = Held(key=key, cipher=AESGCM(key) if key else None, loaded_at=at)
            self._held.move_to_end(key_id)
            if mac in subjects:
                self._of_subject[subjects[mac]] = key_id
                self._of_subject.move_to_end(subjects[mac])
        # What was just asked for stays, however much it is: it is about to be used.
        for cache in (self._held, self._of_subject):
            while len(cache) > max(self._keys_kept, asked):
                cache.popitem(last=False)

    async def _made(self, connection: AsyncConnection[Any], subjects: Mapping[bytes, str]) -> list[Row]:
        """Return the keys of subjects, by their MACs; those of which none is known are made, unless they are there."""
        new = [mac for mac, subject in subjects.items() if subject not in self._of_subject]
        rows = await self._found(connection, subjects, new)
        missing = subjects.keys() - {mac for mac, *_ in rows}
        # What was made meanwhile is not seen yet; what was known and is gone belonged to what a backup has replaced.
        return rows + await self._found(connection, missing, missing.difference(new)) if missing else rows

    async def _found(self, connection: AsyncConnection[Any], macs: Iterable[bytes], new: Iterable[bytes]) -> list[Row]:
        """Look for keys, and make the new ones in the same statement."""
        if not (made := sorted(new)):
            return await rows_of(connection, "of_subjects", {"macs": list(macs)})
        ids = [uuid4() for _ in made]
        wrapped = [
            self._keyring.seal(secrets.token_bytes(KEY_BYTES), mac + key_id.bytes, purpose=PURPOSE)
            for mac, key_id in zip(made, ids, strict=True)
        ]
        values = {"macs": list(macs), "new": made, "ids": ids, "wrapped": wrapped}
        return await rows_of(connection, "make_or_find", values)

    def _unwrapped(self, mac: bytes, key_id: UUID, wrapped: bytes) -> bytes:
        return self._keyring.open(wrapped, mac + key_id.bytes, purpose=PURPOSE)


async def rows_of(connection: AsyncConnection[Any], query: str, values: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a query of keys."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(SQL[query], values)
        return [(bytes(mac), key_id, wrapped, destroyed) for mac, key_id, wrapped, destroyed in await cursor.fetchall()]


def aad(stream_id: UUID, version: int, topic: str) -> bytes:
    """Return what a sealed text of an event is bound to: its stream, version and topic."""
    return stream_id.bytes + version.to_bytes(8, "big") + topic.encode()


def bound_to(key_id: UUID, with_id: UUID | None) -> bytes:
    """Return what a sealed text says of its keys."""
    return key_id.bytes + (b"" if with_id is None else with_id.bytes)


def encoded(data: bytes) -> str:
    """Return base64 text."""
    return base64.b64encode(data).decode("ascii")
