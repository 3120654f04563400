"""The one door to the log: what it records, in which order, and what it refuses."""

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from psycopg_pool import AsyncConnectionPool

from adapters import failpoints
from adapters.event_store.appender import Appender
from adapters.event_store.requests import APPEND, Metadata, Outcome, Request, outcomes, parameters
from domain.errors import DiskFull
from tests.conftest import Database


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[AsyncConnectionPool]:
    async with AsyncConnectionPool(
        database.app_dsn, min_size=2, max_size=4, open=False, kwargs={"autocommit": True}
    ) as opened:
        yield opened


@pytest.fixture
async def appender(pool: AsyncConnectionPool) -> AsyncIterator[Appender]:
    made = Appender(pool)
    yield made
    await made.close()


def event(stream: UUID, version: int, state: bytes = b"{}") -> StoredEvent:
    return StoredEvent(originator_id=stream, originator_version=version, topic="t.happened", state=state)


def one(stream: UUID | None = None, version: int = 1, **more: Any) -> Request:
    return Request(events=[event(stream or uuid4(), version)], **more)


async def rows(pool: AsyncConnectionPool, query: str) -> list[Any]:
    async with pool.connection() as connection:
        return await (await connection.execute(query)).fetchall()  # type: ignore[call-overload]


async def test_positions_are_gapless_and_in_order_within_and_between_requests(appender, pool):
    stream = uuid4()
    first = await appender.append(Request(events=[event(stream, n) for n in (1, 2, 3)]))
    refused = await appender.append(one(stream, 3))
    second = await appender.append(one())
    assert (first.first_position, second.first_position) == (1, 4)
    assert refused == Outcome(outcome="version_conflict")
    assert [r[0] for r in await rows(pool, "SELECT notification_id FROM magnet.magnet_events ORDER BY 1")] == [
        1,
        2,
        3,
        4,
    ]


async def test_a_conflict_in_a_group_fails_only_itself(appender, pool):
    taken = uuid4()
    await appender.append(one(taken))
    outcomes = await asyncio.gather(*(appender.append(one(taken if n % 10 == 0 else None)) for n in range(50)))
    assert [o.outcome for o in outcomes].count("version_conflict") == 5
    positions = sorted(o.first_position for o in outcomes if o.first_position)
    assert positions == list(range(2, 47))
    assert (await rows(pool, "SELECT count(*), max(notification_id) FROM magnet.magnet_events"))[0] == (46, 46)


async def test_fifty_at_once_on_one_place_of_a_stream_give_one_event(appender):
    stream = uuid4()
    outcomes = await asyncio.gather(*(appender.append(one(stream)) for _ in range(50)))
    assert sorted(o.outcome for o in outcomes) == ["recorded"] + ["version_conflict"] * 49


async def test_a_request_that_is_sent_again_is_recorded_once(appender):
    request = one()
    first = await appender.append(request)
    assert await appender.append(request) == Outcome(outcome="repeated", first_position=first.first_position)


async def test_a_lost_reply_is_settled_by_the_commands_id(appender, pool):
    failpoints.arm("append.after=lost")
    assert await appender.append(one()) == Outcome(outcome="repeated", first_position=1)
    assert (await rows(pool, "SELECT count(*) FROM magnet.magnet_events"))[0] == (1,)


async def test_a_lost_reply_to_a_keyed_command_is_no_replay(appender, pool):
    failpoints.arm("append.after=lost")
    outcome = await appender.append(one(scope=b"s", body_hash=b"b", answer=b"a"))
    assert outcome == Outcome(outcome="repeated", first_position=1)


async def test_a_lost_reply_is_settled_before_its_own_effects_are_looked_at(appender, pool):
    target, owner = uuid4(), uuid4()
    made = [StoredEvent(originator_id=target, originator_version=1, topic="t.created", state=b"{}")]
    await appender.append(Request(events=made))
    needs = {"op": "needs", "kind": "t", "id": str(target), "pointer": "/t"}
    request = Request(events=[event(owner, 1)], effects=[needs])
    assert (await appender.append(request)).outcome == "recorded"
    await appender.append(Request(events=[event(target, 2)], effects=[{"op": "archives", "id": str(target)}]))
    async with pool.connection() as connection:
        cursor = await connection.execute(APPEND, parameters([request], resent=True))
        row = await cursor.fetchone()
    assert outcomes([request], *row)[0].outcome == "repeated"


async def test_an_append_reaches_the_disk_whatever_the_session_says(pool, appender):
    async with pool.connection() as connection:
        await connection.execute("SET synchronous_commit = off")
        async with connection.transaction():
            await connection.execute(APPEND, parameters([one()]))
            row = await (await connection.execute("SHOW synchronous_commit")).fetchone()
        await connection.execute("RESET synchronous_commit")
    assert row == ("on",)


async def test_a_full_disk_is_told_and_service_returns_by_itself(appender):
    failpoints.arm("append.before=disk_full")
    with pytest.raises(DiskFull):
        await appender.append(one())
    failpoints.arm("")
    assert (await appender.append(one())).first_position == 1


async def test_terminated_backends_lose_nothing(appender, pool, database):
    writers = [asyncio.create_task(appender.append(one())) for _ in range(200)]
    async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as owner:
        for _ in range(3):
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0)
    outcomes = await asyncio.gather(*writers)
    assert {o.outcome for o in outcomes} <= {"recorded", "repeated"}
    assert sorted(o.first_position for o in outcomes) == list(range(1, 201))


async def test_the_idempotency_record_goes_with_the_events(appender, pool):
    key: dict[str, Any] = {"scope": b"s", "body_hash": b"b", "answer": b"a"}
    stream = uuid4()
    assert (await appender.append(Request(events=[event(stream, 1), event(stream, 2)], **key))).outcome == "recorded"
    again = await appender.append(one(**key))
    other = await appender.append(one(**key | {"body_hash": b"c"}))
    assert (again.outcome, again.detail) == ("key_used", True)
    assert (other.outcome, other.detail) == ("key_used", False)
    assert await rows(pool, "SELECT position FROM magnet.idempotency") == [(2,)]
    assert (await rows(pool, "SELECT count(*) FROM magnet.magnet_events"))[0] == (2,)


async def test_a_refused_request_leaves_no_idempotency_record(appender, pool):
    stream = uuid4()
    await appender.append(one(stream))
    await appender.append(one(stream, scope=b"s", body_hash=b"b", answer=b"a"))
    assert await rows(pool, "SELECT * FROM magnet.idempotency") == []


async def test_a_key_without_events_remembers_the_position_it_was_given(appender, pool):
    await appender.append(Request(events=[], scope=b"s", body_hash=b"b", answer=b"a", known_position=7))
    assert await rows(pool, "SELECT position FROM magnet.idempotency") == [(7,)]


async def test_every_event_carries_the_hash_of_what_is_stored(appender, pool):
    metadata = Metadata(
        actor_type="api_key", actor_id="k", actor_name="Zoë", correlation_id="c", reason="because \u202e"
    )
    await appender.append(Request(events=[event(uuid4(), 1, b'{"x":1e22}')], metadata=metadata))
    [row] = await rows(
        pool,
        "SELECT notification_id, (extract(epoch FROM recorded_at) * 1000000)::bigint, originator_id, "
        "originator_version, topic, command_id, actor_type, actor_id, actor_name, credential, "
        "correlation_id, causation_id, idempotency_key, trace_id, reason, state, hash "
        "FROM magnet.magnet_events",
    )
    *fields, stored = row
    oids = [20, 20, 2950, 20, 25, 2950] + [25] * 9 + [17]
    assert hashlib.sha256(struct.pack(">i", len(fields)) + b"".join(map(framed, oids, fields))).digest() == stored


def framed(oid: int, value: Any) -> bytes:
    if value is None:
        return struct.pack(">Ii", oid, -1)
    data = {int: lambda: struct.pack(">q", value), UUID: lambda: value.bytes, str: lambda: value.encode()}.get(
        type(value), lambda: bytes(value)
    )()
    return struct.pack(">Ii", oid, len(data)) + data


async def test_recorded_at_never_goes_back(appender, pool):
    await asyncio.gather(*(appender.append(one()) for _ in range(100)))
    times = [r[0] for r in await rows(pool, "SELECT recorded_at FROM magnet.magnet_events ORDER BY notification_id")]
    assert times == sorted(times)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE magnet.magnet_events SET reason = 'x'",
        "DELETE FROM magnet.magnet_events",
        "TRUNCATE magnet.magnet_events",
    ],
)
async def test_the_log_can_not_be_changed_by_anyone(appender, database, statement):
    await appender.append(one())
    for dsn in (database.app_dsn, database.owner_dsn):
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)


async def test_the_applications_role_writes_the_log_by_the_function_only(database):
    async with await psycopg.AsyncConnection.connect(database.app_dsn) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("INSERT INTO magnet.magnet_events SELECT * FROM magnet.magnet_events")


async def test_appends_of_four_processes_worth_of_appenders_keep_one_order(database):
    async with AsyncConnectionPool(
        database.app_dsn, min_size=4, max_size=8, open=False, kwargs={"autocommit": True}
    ) as shared:
        doors = [Appender(shared) for _ in range(4)]
        outcomes = await asyncio.gather(*(door.append(one()) for _ in range(50) for door in doors))
        assert sorted(o.first_position for o in outcomes) == list(range(1, 201))
