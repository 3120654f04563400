"""Proofs that anyone can check without this program: an event is in the log, and the log only ever grew."""

import base64
from typing import Any

from psycopg_pool import AsyncConnectionPool

from adapters.evidence.notes import Checkpoint, Signer
from adapters.evidence.tree import SQL, LogTree
from adapters.postgres.errors import translating
from adapters.postgres.reading import rows_of
from domain.errors import NotFound
from domain.merkle import consistency_ranges, inclusion_ranges


class Proofs:
    """Makes proofs out of the tree and the checkpoints in the database."""

    def __init__(self, pool: AsyncConnectionPool, signer: Signer) -> None:
        self._pool = pool
        self._signer = signer

    async def inclusion(self, position: int) -> dict[str, Any]:
        """Return the proof that an event is in the first checkpoint after it; or raise NotFound."""
        with translating():
            return await self._inclusion(position)

    async def _inclusion(self, position: int) -> dict[str, Any]:
        async with self._pool.connection() as connection, connection.transaction():
            row = await (await connection.execute(SQL["record"], {"position": position})).fetchone()
            if row is None:
                raise NotFound("There is no event at this position.")
            found = await (await connection.execute(SQL["checkpoint_at"], {"size": position})).fetchone()
            if found is None:
                raise NotFound("No checkpoint vouches for this event yet: one is made every minute.")
            size, _, note = found
            roots = await LogTree(connection).roots(inclusion_ranges(position - 1, size))
        return {
            "position": position,
            "size": size,
            "record": encoded(bytes(row[0])),
            "proof": [encoded(root) for root in roots],
            "checkpoint": note,
            "public_key": encoded(self._signer.public_key),
        }

    async def consistency(self, first: int, second: int) -> dict[str, Any]:
        """Return the proof that one checkpoint's log begins another's; or raise NotFound."""
        with translating():
            return await self._consistency(first, second)

    async def _consistency(self, first: int, second: int) -> dict[str, Any]:
        async with self._pool.connection() as connection, connection.transaction():
            notes = [await self._note(connection, size) for size in (first, second)]
            roots = await LogTree(connection).roots(consistency_ranges(first, second))
        return {
            "first": first,
            "second": second,
            "proof": [encoded(root) for root in roots],
            "checkpoints": notes,
            "public_key": encoded(self._signer.public_key),
        }

    async def checkpoints(
        self, *, after: int | None = None, newest_first: bool = True, limit: int
    ) -> list[dict[str, Any]]:
        """Return checkpoints in their public form: those that come after a size, in either order."""
        if newest_first:
            query, values = "checkpoints_before", {"before": 2**62 if after is None else after}
        else:
            query, values = "checkpoints_after", {"after": after or 0}
        rows = await rows_of(self._pool, SQL[query], {**values, "limit": limit})
        return [self._public(note) for _, _, note, _ in rows]

    def _public(self, note: str) -> dict[str, Any]:
        read: Checkpoint = self._signer.read(note)
        return {"size": read.size, "root": encoded(read.root), "time": read.time, "note": note}

    @staticmethod
    async def _note(connection: Any, size: int) -> str:
        found = await (await connection.execute(SQL["checkpoint_at"], {"size": size})).fetchone()
        if found is None or found[0] != size:
            raise NotFound(f"There is no checkpoint of {size} events.")
        return str(found[2])


def encoded(data: bytes) -> str:
    """Return base64 text."""
    return base64.b64encode(data).decode("ascii")
