"""Backups: made while others write, restored elsewhere as they were, refused where damaged."""

import asyncio
import base64
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from psycopg_pool import AsyncConnectionPool

from adapters.backup.dump import BackupRefused, back_up
from adapters.backup.file import BackupDamaged, opened
from adapters.backup.load import RestoreRefused, Target, restore
from adapters.event_store.appender import Appender
from adapters.event_store.requests import Request
from adapters.keyring import Keyring
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.log_check import check_log
from tests.support.postgres import APP, Database, fresh_database

KEY = "ab" * 32
OTHER_KEY = "cd" * 32
AAD = b"whose"


def request(number: int = 1) -> Request:
    stream = uuid4()
    events = [
        StoredEvent(originator_id=stream, originator_version=n, topic="t.happened", state=b'{"n":%d}' % n)
        for n in range(1, number + 1)
    ]
    sealed = base64.b64encode(Keyring(bytes.fromhex(KEY)).seal(b"sk-secret", AAD)).decode()
    effect = {"op": "secret", "id": str(stream), "field": "api_key", "sealed": sealed}
    return Request(events=events, effects=[effect])


async def written(database: Database, requests: int, until: asyncio.Event | None = None) -> int:
    """Append so many requests; with an event, go on until it is set. Return how many were recorded."""
    count = 0
    async with AsyncConnectionPool(database.app_dsn, min_size=1, open=False, kwargs={"autocommit": True}) as pool:
        appender = Appender(pool)
        while count < requests or (until is not None and not until.is_set()):
            await appender.append(request(3))
            count += 1
        await appender.close()
    return count


@contextmanager
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn) as made:
        yield made


def install(database: Database, key: str = KEY) -> None:
    with connection(database.owner_dsn) as made:
        made.execute(
            "INSERT INTO magnet.installation (key_fingerprint) VALUES (%s)", [Keyring(bytes.fromhex(key)).fingerprint]
        )


def contents(dsn: str) -> list[tuple[object, ...]]:
    with connection(dsn) as made:
        return made.execute("SELECT * FROM magnet.magnet_events ORDER BY notification_id").fetchall()


def target(database: Database, home: Path, configured_key: str | None = None) -> Target:
    return Target(
        owner_dsn=database.owner_dsn,
        app_dsn=database.app_dsn,
        app_role=APP,
        create_role=False,
        home=home,
        configured_key=configured_key,
        read_models=["configurations_v1"],
    )


@pytest.fixture
def other(postgres: EmbeddedPostgres) -> Iterator[Database]:
    with fresh_database(postgres) as made:
        yield made


@pytest.fixture
async def backup(database: Database, tmp_path: Path) -> Path:
    install(database)
    await written(database, 20)
    path = tmp_path / "magnet.backup"
    back_up(database.app_dsn, KEY, path)
    return path


async def test_a_backup_made_while_others_write_is_one_consistent_moment(database, other, tmp_path):
    install(database)
    await written(database, 5)
    done = asyncio.Event()
    writing = asyncio.create_task(written(database, 5, done))
    path = tmp_path / "magnet.backup"
    manifest = await asyncio.to_thread(back_up, database.app_dsn, KEY, path)
    done.set()
    await writing
    with path.open("rb") as file:
        restored = restore(file, target(other, tmp_path / "home"), replace=False)
    assert restored.manifest == manifest and manifest.head >= 15
    assert contents(other.owner_dsn) == contents(database.owner_dsn)[: manifest.head]
    with connection(other.owner_dsn) as made:
        secrets = made.execute("SELECT count(*) FROM magnet.secrets").fetchone()
    assert secrets == (manifest.head // 3,), "each secret belongs to events that are there too"


async def test_what_was_restored_has_the_same_hashes_readable_secrets_and_goes_on(database, other, backup, tmp_path):
    home = tmp_path / "home"
    with backup.open("rb") as file:
        restore(file, target(other, home), replace=False)
    assert contents(other.app_dsn) == contents(database.app_dsn)
    keyring = Keyring.load(home, None)
    with connection(other.app_dsn) as made:
        sealed = made.execute("SELECT sealed FROM magnet.secrets LIMIT 1").fetchone()
        assert check_log(made).ok
    assert keyring.open(bytes(sealed[0]), AAD) == b"sk-secret"
    assert stat.S_IMODE((home / "secret.key").stat().st_mode) == 0o600
    await written(other, 1)
    assert len(contents(other.app_dsn)) == 63


async def test_another_store_of_vectors_is_filled_anew_after_a_restore(database, other, tmp_path):
    install(database)
    with connection(database.owner_dsn) as made:
        made.execute("INSERT INTO magnet.vector_stores (store) VALUES ('qdrant:1')")
    path = tmp_path / "magnet.backup"
    back_up(database.app_dsn, KEY, path)
    with path.open("rb") as file:
        restore(file, target(other, tmp_path / "home"), replace=False)
    with connection(other.app_dsn) as made:
        assert made.execute("SELECT store, filling FROM magnet.vector_stores").fetchall() == [("qdrant:1", 2)]


async def test_a_backup_is_for_its_owners_eyes_and_leaves_nothing_beside(backup):
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert [path.name for path in backup.parent.iterdir()] == [backup.name]


def test_a_backup_with_another_key_is_refused_and_writes_nothing(database, tmp_path):
    install(database)
    with pytest.raises(BackupRefused, match="SECRET_ENCRYPTION_KEY"):
        back_up(database.app_dsn, OTHER_KEY, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", [0.0, 0.01, 0.1, 0.5, 0.9, 1.0])
async def test_a_backup_that_was_cut_off_is_refused(backup, other, tmp_path, part):
    with tarfile.open(backup) as tar:
        end = max(member.offset_data + member.size for member in tar.getmembers())
    content = backup.read_bytes()[: int(part * (end - 1))]
    with pytest.raises(BackupDamaged):
        restore(io.BytesIO(content), target(other, tmp_path / "home"), replace=False)
    assert contents(other.app_dsn) == [] and not (tmp_path / "home").exists()


async def test_a_changed_byte_anywhere_in_a_member_is_found(backup, tmp_path):
    with tarfile.open(backup) as tar:
        places = [(member.offset_data, member.size) for member in tar.getmembers()]
    for start, size in places[1:]:
        if size:
            content = bytearray(backup.read_bytes())
            content[start + size // 2] ^= 1
            with pytest.raises(BackupDamaged), opened(io.BytesIO(bytes(content))):
                pass


async def test_a_backup_whose_events_were_changed_with_their_checksums_is_refused_and_undone(
    database, backup, other, tmp_path
):
    """Whoever changes the table and the manifest still has to answer for each event's hash."""
    with connection(database.owner_dsn) as made:
        made.execute("ALTER TABLE magnet.magnet_events DISABLE TRIGGER USER")
        made.execute("UPDATE magnet.magnet_events SET actor_name = 'somebody else' WHERE notification_id = 7")
    forged = tmp_path / "forged"
    back_up(database.owner_dsn, KEY, forged)
    with forged.open("rb") as file, pytest.raises(BackupDamaged, match="position 7"):
        restore(file, target(other, tmp_path / "home"), replace=False)
    assert contents(other.app_dsn) == []
    await written(other, 1)


async def test_an_installation_with_events_is_not_overwritten(backup, other, tmp_path):
    await written(other, 1)
    with backup.open("rb") as file, pytest.raises(RestoreRefused, match="--replace"):
        restore(file, target(other, tmp_path / "home"), replace=False)
    assert len(contents(other.app_dsn)) == 3


async def test_replacing_keeps_the_old_log_and_key_beside(backup, other, tmp_path):
    install(other, OTHER_KEY)
    await written(other, 1)
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret.key").write_text(OTHER_KEY)
    before = contents(other.owner_dsn)
    with backup.open("rb") as file:
        restored = restore(file, target(other, home), replace=True)
    assert len(contents(other.app_dsn)) == 60
    [schema] = [each.removeprefix("schema ") for each in restored.aside if each.startswith("schema magnet_before")]
    with connection(other.owner_dsn) as made:
        kept = made.execute(f"SELECT * FROM {schema}.magnet_events ORDER BY notification_id").fetchall()
    assert kept == before
    [old_key] = [path for path in home.iterdir() if "before" in path.name]
    assert old_key.read_text() == OTHER_KEY and str(old_key) in restored.aside


async def test_read_models_of_rebuilds_and_of_groups_begin_anew_too(backup, other, tmp_path):
    await written(other, 1)
    earlier = "configurations_v1__next_before_20260101_000000"
    beside = {"configurations_v1", "configurations_v1__next", "configurations_v1__readers"}
    with connection(other.app_dsn) as made:
        for schema in {*beside, earlier}:
            made.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    with backup.open("rb") as file:
        restored = restore(file, target(other, tmp_path / "home"), replace=True)
    with connection(other.owner_dsn) as made:
        there = {name for (name,) in made.execute("SELECT nspname FROM pg_namespace").fetchall()}
    assert not there & beside
    assert {f"schema {each}" for each in there if "_before_" in each and each != earlier} == set(restored.aside)
    assert earlier in there


async def test_a_restore_that_fails_leaves_the_old_installation_as_it_was(database, backup, other, tmp_path):
    await written(other, 1)
    before = contents(other.owner_dsn)
    with connection(database.owner_dsn) as made:
        made.execute("ALTER TABLE magnet.magnet_events DISABLE TRIGGER USER")
        made.execute("DELETE FROM magnet.magnet_events WHERE notification_id = 9")
    back_up(database.owner_dsn, KEY, tmp_path / "gap")
    with (tmp_path / "gap").open("rb") as file, pytest.raises(BackupDamaged, match="position 9"):
        restore(file, target(other, tmp_path / "home"), replace=True)
    assert contents(other.app_dsn) == before
    await written(other, 1)


async def test_a_restore_under_another_configured_key_is_refused(backup, other, tmp_path):
    with backup.open("rb") as file, pytest.raises(RestoreRefused, match="SECRET_ENCRYPTION_KEY"):
        restore(file, target(other, tmp_path / "home", OTHER_KEY), replace=False)


async def test_a_restore_is_refused_while_another_process_uses_the_database(backup, other, tmp_path):
    with (
        connection(other.app_dsn),
        backup.open("rb") as file,
        pytest.raises(RestoreRefused, match="magnet serve"),
    ):
        restore(file, target(other, tmp_path / "home"), replace=False)


def test_a_file_that_is_no_backup_is_refused():
    with pytest.raises(BackupDamaged), opened(io.BytesIO(os.urandom(20_000))):
        pass
