"""Sealing the log: as it grows, its root is signed, noted in the database, and written outside of it."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.ending import end_tasks
from adapters.evidence.directory import EvidenceDirectory
from adapters.evidence.notes import BadNote, Checkpoint, Signer
from adapters.evidence.tree import AT_ONCE, SQL, LogTree
from domain.checkpoint import Checkpoint as ToldCheckpoint
from domain.errors import DomainError

EVERY = 60.0
"""Seconds between two checkpoints, while the log grows."""

TOLD = "checkpoint.signed"
"""The event that tells of a checkpoint: by itself it is no reason for another one."""

Tell = Callable[[int, str, str], Awaitable[None]]
"""Tells of a checkpoint: size, root in base64, note."""

log = structlog.get_logger(__name__)


class Tampered(Exception):
    """The log is not what was sealed before: nothing is sealed until somebody has looked (magnet audit verify)."""


class Sealing:
    """Seals the log on a schedule; of several processes one at a time."""

    def __init__(
        self, pool: AsyncConnectionPool, signer: Signer, directory: EvidenceDirectory, *, every: float = EVERY
    ) -> None:
        self._pool = pool
        self._signer = signer
        self._directory = directory
        self._every = every
        self._task: asyncio.Task[None] | None = None
        self.intact = True
        self.tell: Tell | None = None
        """Tells others of each new checkpoint."""

    async def open(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="sealing")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            await end_tasks(self._task)
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.seal()
            except Tampered as error:
                self.intact = False
                log.error("evidence_broken", reason=str(error))
            except (psycopg.Error, PoolTimeout, OSError, DomainError) as error:
                log.warning("sealing_waits", error=type(error).__name__)

    async def seal(self) -> Checkpoint | None:
        """Sign what the log is now and return it; None where another process does, or nothing is new.

        Raises Tampered where the log does not go on from what was sealed last.
        """
        if self.tell is not None:
            await self._tell_last(self.tell)
        async with self._pool.connection() as connection, connection.transaction():
            row = await (await connection.execute(SQL["try_lock"])).fetchone()
            if not (row and row[0]):
                return None
            tree = LogTree(connection)
            size, last = await tree.head(), await self._last(connection)
            await tree.read_end(last.size if last else 0, size)
            await self._must_go_on(tree, size, last)
            if size == 0 or (last is not None and await self._nothing_new(connection, last.size, size)):
                await self._write_outside(tree, size, None)
                return None
            await tree.grow(size)
            root = await tree.root((0, size))
            note = self._signer.sign(size, root)
            await connection.execute(SQL["add_checkpoint"], {"size": size, "root": root, "note": note})
            await self._write_outside(tree, size, note)
        if self.tell is not None:
            await self.tell(size, base64.b64encode(root).decode(), note)
        return self._signer.read(note)

    async def _tell_last(self, tell: Tell) -> None:
        """Tell of the last checkpoint where that did not come about: it was made, and then something failed."""
        async with self._pool.connection() as connection, connection.transaction():
            row = await (await connection.execute(SQL["last_checkpoint"])).fetchone()
            if row is None:
                return
            size, root, note = row
            stream = {"stream": ToldCheckpoint.create_id(size)}
            begun = await (await connection.execute(SQL["begun"], stream)).fetchone()
            if begun and begun[0]:
                return
            tree = LogTree(connection)
            await self._must_go_on(tree, await tree.head(), await self._last(connection))
        await tell(size, base64.b64encode(root).decode(), note)

    async def _nothing_new(self, connection: psycopg.AsyncConnection[Any], sealed: int, size: int) -> bool:
        if sealed + 1 != size:
            return sealed == size
        row = await (await connection.execute(SQL["topic_at"], {"position": size})).fetchone()
        return row is not None and row[0] == TOLD

    async def _last(self, connection: psycopg.AsyncConnection[Any]) -> Checkpoint | None:
        row = await (await connection.execute(SQL["last_checkpoint"])).fetchone()
        outside = self._directory.newest_note()
        notes = [*([row[2]] if row else []), *([] if outside is None else [outside])]
        try:
            checkpoints = [self._signer.read(note) for note in notes]
        except BadNote:
            raise Tampered("A checkpoint is there that this installation's key did not sign.") from None
        return max(checkpoints, key=lambda each: each.size, default=None)

    async def _must_go_on(self, tree: LogTree, size: int, last: Checkpoint | None) -> None:
        if last is None:
            return
        if size < max(last.size, self._directory.sealed()):
            raise Tampered(f"{max(last.size, self._directory.sealed())} events were sealed, and the log has {size}.")
        if await tree.root((0, last.size)) != last.root:
            raise Tampered(f"The first {last.size} events are not those that were sealed.")

    async def _write_outside(self, tree: LogTree, size: int, note: str | None) -> None:
        """Write hashes first, then the note that vouches for them; what an earlier failure left out comes along."""
        while (sealed := self._directory.sealed()) < size:
            hashes = await tree.hashes(sealed, min(size, sealed + AT_ONCE))
            await asyncio.to_thread(self._directory.add_hashes, b"".join(hashes))
        if note is not None:
            await asyncio.to_thread(self._directory.add_note, note)
