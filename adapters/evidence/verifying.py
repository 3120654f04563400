"""Verification: every event read again and hashed again, against what was signed and kept elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from adapters.evidence.directory import EvidenceDirectory
from adapters.evidence.notes import BadNote, Checkpoint, Signer
from adapters.evidence.tree import SQL, WIDTH, divided
from adapters.postgres.log_check import broken_stream, first_wrong
from domain.merkle import EMPTY, bagged, leaf, node, root_of


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found: `first_bad` is the first position that is not as it was sealed; `checkpoints` were compared."""

    ok: bool
    checked_to: int
    checkpoints: int
    first_bad: int | None = None
    reason: str | None = None


class Growing:
    """A Merkle tree that grows leaf by leaf, and knows its root at any time."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, leaves: Sequence[bytes]) -> None:
        """Add leaves; a whole block at a block's beginning goes in as one subtree."""
        if len(leaves) == WIDTH and self.size % WIDTH == 0:
            self._push(WIDTH.bit_length() - 1, root_of(leaves))
        else:
            for each in leaves:
                self._push(0, each)
        self.size += len(leaves)

    def _push(self, height: int, hash: bytes) -> None:
        while self._peaks and self._peaks[-1][0] == height:
            hash = node(self._peaks.pop()[1], hash)
            height += 1
        self._peaks.append((height, hash))

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        return bagged([hash for _, hash in self._peaks]) if self._peaks else EMPTY


def verify(dsn: str, signer: Signer, notes: Sequence[str], directory: EvidenceDirectory) -> Verdict:
    """Read the whole log as of now, and compare it with the notes and the hashes in the directory."""
    with psycopg.connect(dsn, row_factory=tuple_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return verify_on(connection, signer, notes, directory)


def verify_on(
    connection: psycopg.Connection[Any], signer: Signer, notes: Sequence[str], directory: EvidenceDirectory
) -> Verdict:
    """Verify on a connection's present transaction.

    Without a directory that has the hashes, a forged event is only known to lie between two checkpoints:
    then `first_bad` is the first position after the last one that fits.
    """
    try:
        checkpoints = {checkpoint.size: checkpoint for checkpoint in map(signer.read, notes)}
    except BadNote:
        return Verdict(
            ok=False, checked_to=0, checkpoints=0, reason="a checkpoint is not signed by this installation's key"
        )
    return _Verification(connection, [checkpoints[size] for size in sorted(checkpoints)], directory).run()


class _Verification:
    """One pass over the log, in blocks of 256 events."""

    def __init__(
        self, connection: psycopg.Connection[Any], checkpoints: Sequence[Checkpoint], directory: EvidenceDirectory
    ) -> None:
        self._connection = connection
        self._waiting = list(checkpoints)
        self._directory = directory
        self._tree = Growing()
        self._compared = 0
        self._good = 0

    def run(self) -> Verdict:
        with self._connection.cursor("blocks", binary=True) as cursor:
            cursor.itersize = 64
            cursor.execute(SQL["blocks"])
            for block, count, same, joined in cursor:
                # A gap at a block's end shows only when there is something after it.
                if block * WIDTH != self._tree.size:
                    return self._bad(self._tree.size + 1, "no event has this position")
                bad = self._block(block * WIDTH, count, same, bytes(joined)) or self._grown(divided(bytes(joined)))
                if bad is not None:
                    return bad
        return self._end()

    def _block(self, after: int, count: int, same: bool, joined: bytes) -> Verdict | None:
        """Return what is wrong within a block, if anything is."""
        if count > WIDTH:
            return self._bad(after + 1, "from here on there are more events than positions")
        if count == WIDTH and same:
            return self._unlike_sealed(after, joined)
        wrong = first_wrong(self._connection, after, after + WIDTH)
        upto = after + count if wrong is None else wrong[0] - 1
        return self._unlike_sealed(after, joined[: 32 * (upto - after)]) or (wrong and self._bad(*wrong))

    def _grown(self, hashes: Sequence[bytes]) -> Verdict | None:
        """Take a block into the tree, and compare it where a checkpoint vouches for it."""
        leaves = [leaf(each) for each in hashes]
        while self._waiting and self._waiting[0].size <= self._tree.size + len(leaves):
            checkpoint = self._waiting.pop(0)
            part = checkpoint.size - self._tree.size
            self._tree.add(leaves[:part])
            leaves = leaves[part:]
            self._compared += 1
            if self._tree.root() != checkpoint.root:
                return self._bad(
                    self._good + 1,
                    f"an event from position {self._good + 1} to {checkpoint.size} is not what was sealed",
                )
            self._good = checkpoint.size
        self._tree.add(leaves)
        return None

    def _unlike_sealed(self, after: int, joined: bytes) -> Verdict | None:
        sealed = self._directory.hashes(after, after + len(joined) // 32)
        if sealed == joined[: len(sealed)]:
            return None
        pairs = zip(divided(sealed), divided(joined), strict=False)
        place = next(number for number, (one, other) in enumerate(pairs, after + 1) if one != other)
        return self._bad(place, "this event is not the one that was sealed")

    def _end(self) -> Verdict:
        sealed = max([self._directory.sealed(), *(each.size for each in self._waiting)])
        if sealed > self._tree.size:
            return self._bad(self._tree.size + 1, f"{sealed} events were sealed, and the log ends before")
        if (position := broken_stream(self._connection)) is not None:
            return self._bad(position, "a version of its stream is missing")
        return Verdict(ok=True, checked_to=self._tree.size, checkpoints=self._compared)

    def _bad(self, position: int, reason: str) -> Verdict:
        return Verdict(ok=False, checked_to=position - 1, checkpoints=self._compared, first_bad=position, reason=reason)
