"""Evidence: whatever is done to the log behind its function's back, verification finds the first bad position."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.appender import Appender
from adapters.event_store.requests import Request
from adapters.evidence import directory as evidence_directory
from adapters.evidence.directory import EvidenceDirectory
from adapters.evidence.notes import BadNote, Signer, notes_in, read
from adapters.evidence.sealing import Sealing, Tampered
from adapters.evidence.verifying import Verdict, verify_on
from domain.errors import Busy, Invalid, Unavailable
from domain.merkle import leaf, root_of
from tests.support.patience import PATIENCE
from tests.support.postgres import Database

EVENTS = 600
SEALED = (100, 256, 500, EVENTS)
RECOMPUTED = """
    UPDATE magnet.magnet_events e SET hash = sha256(record_send(ROW(e.notification_id,
        (extract(epoch FROM e.recorded_at) * 1000000)::bigint, e.originator_id, e.originator_version, e.topic,
        e.command_id, e.actor_type, e.actor_id, e.actor_name, e.credential, e.correlation_id, e.causation_id,
        e.idempotency_key, e.trace_id, e.reason, e.state)))
"""
Attack = Callable[[psycopg.Connection[Any], random.Random], int]
"""Does something as the database's owner, and returns the first position that is then wrong."""


@dataclass
class Sealed:
    """A log with checkpoints, and where they are kept."""

    database: Database
    pool: AsyncConnectionPool
    appender: Appender
    signer: Signer
    directory: EvidenceDirectory

    @property
    def sealing(self) -> Sealing:
        return Sealing(self.pool, self.signer, self.directory)

    async def grow(self, upto: int) -> None:
        """Record events of three streams, until the log has so many."""
        async with self.pool.connection() as connection:
            rows = await (await connection.execute("SELECT count(*) FROM magnet.magnet_events")).fetchall()
        events = [
            StoredEvent(
                originator_id=UUID(int=number % 3 + 1),
                originator_version=number // 3 + 1,
                topic="t.happened",
                state=b'{"n":%d}' % number,
            )
            for number in range(rows[0][0], upto)
        ]
        assert (await self.appender.append(Request(events=events))).outcome == "recorded"

    def verify(self, connection: psycopg.Connection[Any], directory: EvidenceDirectory | None = None) -> Verdict:
        return verify_on(connection, self.signer, self.directory.notes(), directory or self.directory)

    def owner(self) -> psycopg.Connection[Any]:
        """Connect as the owner, for whom no trigger counts."""
        connection = psycopg.connect(self.database.owner_dsn)
        connection.execute("SET session_replication_role = replica")
        return connection


@pytest.fixture
async def empty(database: Database, tmp_path: Path) -> AsyncIterator[Sealed]:
    async with AsyncConnectionPool(
        database.app_dsn, min_size=2, max_size=4, open=False, kwargs={"autocommit": True}
    ) as pool:
        appender = Appender(pool)
        yield Sealed(database, pool, appender, Signer(bytes(32), "test"), EvidenceDirectory(tmp_path / "evidence"))
        await appender.close()


@pytest.fixture
async def sealed(empty: Sealed) -> Sealed:
    for size in SEALED:
        await empty.grow(size)
        assert await empty.sealing.seal() is not None
    return empty


FLIPPED = {
    "originator_id": "gen_random_uuid()",
    "originator_version": "originator_version + 1000",
    "topic": "'t.other'",
    "state": "'{\"n\":-1}'",
    "recorded_at": "recorded_at + interval '1 microsecond'",
    "command_id": "gen_random_uuid()",
    "actor_type": "'someone'",
    "actor_id": "'m'",
    "actor_name": "'mallory'",
    "credential": "''",
    "correlation_id": "''",
    "causation_id": "'c'",
    "idempotency_key": "'k'",
    "trace_id": "'t'",
    "reason": "'because'",
}
"""What each column of an event is changed to, besides its position and its hash."""


def flip(connection: psycopg.Connection[Any], chance: random.Random, columns: Mapping[str, str] = FLIPPED) -> int:
    position, column = chance.randint(1, EVENTS), chance.choice(list(columns))
    connection.execute(
        f"UPDATE magnet.magnet_events SET {column} = {columns[column]} WHERE notification_id = {position}"
    )
    return position


def flip_hash(connection: psycopg.Connection[Any], chance: random.Random) -> int:
    return flip(connection, chance, {"hash": "sha256(hash)"})


def flip_and_recompute(connection: psycopg.Connection[Any], chance: random.Random) -> int:
    position = flip(connection, chance)
    connection.execute(f"{RECOMPUTED} WHERE notification_id = {position}")
    return position


def recompute_all_from(connection: psycopg.Connection[Any], chance: random.Random) -> int:
    position = flip(connection, chance)
    connection.execute(f"{RECOMPUTED} WHERE notification_id >= {position}")
    if chance.random() < 0.5:  # with all that the database itself has of evidence
        connection.execute("DELETE FROM magnet.tree_nodes")
        connection.execute("DELETE FROM magnet.checkpoints WHERE size >= %s", [position])
    return position


def delete(connection: psycopg.Connection[Any], chance: random.Random) -> int:
    position = chance.randint(1, EVENTS)
    connection.execute(f"DELETE FROM magnet.magnet_events WHERE notification_id = {position}")
    return position


def delete_and_close_the_gap(connection: psycopg.Connection[Any], chance: random.Random) -> int:
    position = delete(connection, chance)
    connection.execute(
        f"UPDATE magnet.magnet_events SET notification_id = -notification_id WHERE notification_id > {position}"
    )
    connection.execute(
        "UPDATE magnet.magnet_events SET notification_id = -notification_id - 1 WHERE notification_id < 0"
    )
    connection.execute(f"{RECOMPUTED} WHERE notification_id >= {position}")
    return position


def insert(connection: psycopg.Connection[Any], chance: random.Random) -> int:
    position = chance.randint(1, EVENTS)
    connection.execute(
        f"UPDATE magnet.magnet_events SET notification_id = -notification_id WHERE notification_id >= {position}"
    )
    connection.execute(
        "UPDATE magnet.magnet_events SET notification_id = -notification_id + 1 WHERE notification_id < 0"
    )
    connection.execute(
        "INSERT INTO magnet.magnet_events SELECT gen_random_uuid(), 1, topic, state, %s, recorded_at, command_id,"
        " actor_type, actor_id, actor_name, credential, correlation_id, causation_id, idempotency_key, trace_id,"
        " reason, hash FROM magnet.magnet_events WHERE notification_id = %s",
        [position, position + 1],
    )
    connection.execute(f"{RECOMPUTED} WHERE notification_id >= {position}")
    return position


def swap(connection: psycopg.Connection[Any], chance: random.Random) -> int:
    first, second = sorted(chance.sample(range(1, EVENTS + 1), 2))
    for old, new in ((first, -1), (second, first), (-1, second)):
        connection.execute(f"UPDATE magnet.magnet_events SET notification_id = {new} WHERE notification_id = {old}")
    if chance.random() < 0.5:
        connection.execute(RECOMPUTED)
    return first


def truncate(connection: psycopg.Connection[Any], chance: random.Random) -> int:
    position = chance.randint(1, EVENTS)
    connection.execute(f"DELETE FROM magnet.magnet_events WHERE notification_id >= {position}")
    return position


ATTACKS: tuple[Attack, ...] = (
    flip,
    flip_hash,
    flip_and_recompute,
    recompute_all_from,
    delete,
    delete_and_close_the_gap,
    insert,
    swap,
    truncate,
)


async def test_a_log_that_nobody_touched_fits_all_its_checkpoints(sealed: Sealed):
    with sealed.owner() as connection:
        assert sealed.verify(connection) == Verdict(ok=True, checked_to=EVENTS, checkpoints=len(SEALED))


async def test_each_column_of_an_event_is_part_of_what_is_proven(sealed: Sealed):
    with sealed.owner() as connection:
        rows = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'magnet.magnet_events'::regclass AND attnum > 0"
        ).fetchall()
        assert {name for (name,) in rows} == {*FLIPPED, "hash", "notification_id"}
        for column, value in FLIPPED.items():
            position = flip(connection, random.Random(column), {column: value})
            verdict = sealed.verify(connection)
            connection.rollback()
            connection.execute("SET session_replication_role = replica")
            assert (verdict.ok, verdict.first_bad) == (False, position), column


async def test_a_thousand_random_tamperings_are_each_found_at_the_right_position(sealed: Sealed):
    chance = random.Random(20261125)
    with sealed.owner() as connection:
        for number in range(1000):
            attack = ATTACKS[number % len(ATTACKS)]
            expected = attack(connection, chance)
            verdict = sealed.verify(connection)
            connection.rollback()
            connection.execute("SET session_replication_role = replica")
            assert (verdict.ok, verdict.first_bad) == (False, expected), (attack.__name__, verdict)
        assert sealed.verify(connection).ok


async def test_with_checkpoints_alone_a_recomputed_log_is_found_between_two_of_them(sealed: Sealed, tmp_path: Path):
    with sealed.owner() as connection:
        connection.execute("UPDATE magnet.magnet_events SET state = '{\"n\":-1}' WHERE notification_id = 300")
        connection.execute(RECOMPUTED)
        verdict = sealed.verify(connection, EvidenceDirectory(tmp_path / "elsewhere"))
    assert (verdict.ok, verdict.first_bad, verdict.checkpoints) == (False, 257, 3)
    assert verdict.reason is not None and "from position 257 to 500" in verdict.reason


async def test_yesterdays_log_put_back_is_too_short_and_nothing_is_sealed_on_it(sealed: Sealed):
    with sealed.owner() as connection:
        connection.execute("DELETE FROM magnet.magnet_events WHERE notification_id > 500")
        connection.execute("DELETE FROM magnet.checkpoints WHERE size > 500")
    before = sealed.directory.notes()
    with pytest.raises(Tampered):
        await sealed.sealing.seal()
    assert sealed.directory.notes() == before
    with sealed.owner() as connection:
        verdict = sealed.verify(connection)
    assert (verdict.ok, verdict.first_bad) == (False, 501)


async def test_a_forged_checkpoint_is_not_believed(sealed: Sealed):
    forger = Signer(b"x" * 32, "test")
    with sealed.owner() as connection:
        verdict = verify_on(connection, sealed.signer, [forger.sign(5, bytes(32))], sealed.directory)
    assert (verdict.ok, verdict.first_bad) == (False, None)
    note = sealed.directory.notes()[0].replace("\n100\n", "\n101\n")
    with pytest.raises(BadNote):
        sealed.signer.read(note)


async def test_nothing_new_makes_no_checkpoint_and_what_was_not_written_outside_comes_along_later(sealed: Sealed):
    assert await sealed.sealing.seal() is None
    assert len(sealed.directory.notes()) == len(SEALED)
    shutil.rmtree(sealed.directory.path)
    await sealed.grow(EVENTS + 1)
    checkpoint = await sealed.sealing.seal()
    assert checkpoint is not None and checkpoint.size == EVENTS + 1
    assert sealed.directory.sealed() == EVENTS + 1


async def test_kept_subtrees_give_the_same_root_as_all_leaves(empty: Sealed):
    for size in (1, 255, 256, 257, 70_000):
        await empty.grow(size)
        checkpoint = await empty.sealing.seal()
        hashes = empty.directory.hashes(0, size)
        assert checkpoint is not None
        assert checkpoint.root == root_of([leaf(hashes[place : place + 32]) for place in range(0, len(hashes), 32)])


async def test_a_kept_root_that_is_lost_is_worked_out_again_and_kept(empty: Sealed):
    await empty.grow(2000)
    assert await empty.sealing.seal() is not None
    with empty.owner() as connection:
        connection.execute("DELETE FROM magnet.tree_nodes WHERE level = 8 AND index = 3")
    await empty.grow(2600)
    checkpoint = await empty.sealing.seal()
    hashes = empty.directory.hashes(0, 2600)
    assert checkpoint is not None
    assert checkpoint.root == root_of([leaf(hashes[place : place + 32]) for place in range(0, len(hashes), 32)])
    with empty.owner() as connection:
        kept = connection.execute("SELECT index FROM magnet.tree_nodes WHERE level = 8 ORDER BY index").fetchall()
    assert [index for (index,) in kept] == list(range(2600 // 256))


async def test_notes_are_read_back_from_a_file_as_they_were_written(sealed: Sealed):
    notes = sealed.directory.notes()
    assert notes_in("\n".join(notes)) == notes
    sizes = [read(note, sealed.signer.origin, sealed.signer.public_key).size for note in notes]
    assert sizes == list(SEALED)


async def test_the_newest_note_is_read_without_those_before_it(sealed: Sealed, monkeypatch: pytest.MonkeyPatch):
    notes = sealed.directory.notes()
    assert sealed.directory.newest_note() == notes[-1]
    for more in range(len("\u2014".encode())):  # wherever in a character the reading begins
        monkeypatch.setattr(evidence_directory, "TWO_NOTES", len("\n".join(notes[-2:]).encode()) + more)
        assert sealed.directory.newest_note() == notes[-1]
    shutil.rmtree(sealed.directory.path)
    assert sealed.directory.newest_note() is None


async def test_a_refusal_does_not_end_sealing_and_what_was_not_told_is_told_in_the_next_round(empty: Sealed):
    await empty.grow(3)
    refusals, told = iter([Busy(), Invalid(), Unavailable()]), asyncio.Queue[int]()

    async def tell(size: int, _root: str, _note: str) -> None:
        if refusal := next(refusals, None):
            raise refusal
        await told.put(size)

    sealing = Sealing(empty.pool, empty.signer, empty.directory, every=0.01)
    sealing.tell = tell
    await sealing.open()
    try:
        async with asyncio.timeout(PATIENCE):
            assert await told.get() == 3
    finally:
        await sealing.close()


async def test_nothing_is_told_of_a_log_that_is_not_what_was_sealed(sealed: Sealed):
    with sealed.owner() as connection:
        connection.execute("DELETE FROM magnet.magnet_events WHERE notification_id > 500")
    told: list[int] = []

    async def tell(size: int, _root: str, _note: str) -> None:
        told.append(size)

    sealing = sealed.sealing
    sealing.tell = tell
    with pytest.raises(Tampered):
        await sealing.seal()
    assert told == []
