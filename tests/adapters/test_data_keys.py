"""Data keys: what persons said can be erased by subject, and by nothing else."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.data_keys import CHANNEL, ERASED, DataKeys, KeyNotLoaded, Row, SubjectErased, aad, rows_of
from adapters.event_store.personal import keys_in, period_of, protect, reveal, subject_of
from adapters.keyring import Keyring, SealBroken
from domain.errors import Unavailable
from domain.run import Run
from tests.support.postgres import Database

KEY = bytes(32)
STREAM = uuid4()
WHERE = aad(STREAM, 3, "conversation.message_posted")
KINDS: list[Any] = [
    "hi",
    "",
    "5",
    "null",
    "[erased]",
    5,
    1e22,
    -0.0,
    True,
    ["a", None],
    {"$sealed": 1, "key": "x"},
    "é😀\r\n",
]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Posted:
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"text", "variables"})


class Closed:
    pass


@pytest.fixture
async def pool(database: Any) -> AsyncIterator[AsyncConnectionPool]:
    async with AsyncConnectionPool(database.app_dsn, min_size=1, max_size=4, open=False) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(pool: AsyncConnectionPool, clock: Clock) -> DataKeys:
    return DataKeys(pool, Keyring(KEY), clock=clock)


def another(pool: AsyncConnectionPool, **settings: Any) -> DataKeys:
    """The same in another process."""
    return DataKeys(pool, Keyring(KEY), **settings)


def subject() -> str:
    return f"person-{uuid4()}"


async def test_what_was_sealed_is_unsealed_in_another_process(pool: AsyncConnectionPool, keys: DataKeys) -> None:
    who = subject()
    await keys.ensure([who])
    sealed = keys.seal(who, "10:30 é😀", WHERE)
    assert sealed["$sealed"] == 1
    assert sealed.keys() == {"$sealed", "key", "nonce", "text"}
    assert keys.unseal(sealed, WHERE) == "10:30 é😀"
    other = another(pool)
    await other.fetch([sealed["key"]])
    assert other.unseal(sealed, WHERE) == "10:30 é😀"


async def test_a_sealed_text_opens_only_in_its_own_place(keys: DataKeys) -> None:
    who, other = subject(), subject()
    await keys.ensure([who, other])
    sealed = keys.seal(who, "text", WHERE)
    topic = "conversation.message_posted"
    for elsewhere in (aad(uuid4(), 3, topic), aad(STREAM, 4, topic), aad(STREAM, 3, "other"), b""):
        with pytest.raises(SealBroken):
            keys.unseal(sealed, elsewhere)
    for changed in (
        sealed | {"key": keys.seal(other, "", b"")["key"]},
        sealed | {"nonce": keys.seal(who, "", b"")["nonce"]},
        sealed | {"text": "AAAA"},
        sealed | {"text": "é"},
        sealed | {"key": 5},
        sealed | {"nonce": None},
        {},
    ):
        with pytest.raises(SealBroken):
            keys.unseal(changed, WHERE)


async def test_processes_at_once_make_one_key_for_a_subject(pool: AsyncConnectionPool) -> None:
    subjects = [subject() for _ in range(20)]
    processes = [another(pool) for _ in range(4)]
    await asyncio.gather(
        *(each.ensure(subjects if number % 2 else subjects[::-1]) for number, each in enumerate(processes))
    )
    for who in subjects:
        assert len({each.seal(who, "", b"")["key"] for each in processes}) == 1


async def test_a_destroyed_key_erases_the_text_of_its_subject_and_no_other(
    pool: AsyncConnectionPool, keys: DataKeys
) -> None:
    who, other = subject(), subject()
    await keys.ensure([who, other])
    gone, kept = keys.seal(who, "gone", WHERE), keys.seal(other, "kept", WHERE)
    assert await keys.destroy(who) is True
    for each in (keys, another(pool)):
        await each.fetch([gone["key"], kept["key"]])
        assert each.unseal(gone, WHERE) == ERASED
        assert each.unseal(kept, WHERE) == "kept"
    async with pool.connection() as connection:
        row = await (
            await connection.execute(
                "SELECT wrapped_key, destroyed_at IS NOT NULL FROM magnet.data_keys WHERE key_id = %s",
                [UUID(gone["key"])],
            )
        ).fetchone()
    assert row == (None, True)


async def test_a_destroyed_subject_gets_no_new_key(pool: AsyncConnectionPool, keys: DataKeys) -> None:
    who = subject()
    await keys.ensure([who])
    await keys.destroy(who)
    for each in (keys, keys, another(pool)):
        with pytest.raises(SubjectErased) as raised:
            await each.ensure([subject(), who])
        assert raised.value.error_code == "subject_erased"
        with pytest.raises(SubjectErased):
            each.seal(who, "", WHERE)


async def test_destroying_says_whether_there_was_a_key(keys: DataKeys) -> None:
    who = subject()
    assert await keys.destroy(who) is False
    await keys.ensure([who])
    assert [await keys.destroy(who), await keys.destroy(who)] == [True, False]


async def test_other_processes_are_told_of_a_destroyed_key(
    pool: AsyncConnectionPool, keys: DataKeys, database: Any
) -> None:
    who = subject()
    listener = another(pool)
    await listener.ensure([who])
    sealed = listener.seal(who, "text", WHERE)
    async with await psycopg.AsyncConnection.connect(database.app_dsn, autocommit=True) as connection:
        await connection.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(CHANNEL)))
        await keys.destroy(who)
        async for notification in connection.notifies(timeout=10, stop_after=1):
            assert notification.payload == sealed["key"]
            listener.forget(notification.payload)
    with pytest.raises(KeyNotLoaded):
        listener.unseal(sealed, WHERE)
    await listener.fetch([sealed["key"]])
    assert listener.unseal(sealed, WHERE) == ERASED


async def test_a_missed_notification_lets_a_key_live_a_minute_at_most(
    pool: AsyncConnectionPool, keys: DataKeys, clock: Clock
) -> None:
    who = subject()
    deaf = another(pool, clock=clock)
    await deaf.ensure([who])
    sealed = deaf.seal(who, "text", WHERE)
    await keys.ensure([who])
    await keys.destroy(who)
    clock.now += 59
    assert deaf.unseal(sealed, WHERE) == "text"
    clock.now += 1
    with pytest.raises(KeyNotLoaded):
        deaf.unseal(sealed, WHERE)
    await deaf.fetch([sealed["key"]])
    assert deaf.unseal(sealed, WHERE) == ERASED
    with pytest.raises(SubjectErased):
        await deaf.ensure([who])


async def test_a_key_in_use_is_looked_up_again_before_it_is_too_old(keys: DataKeys, clock: Clock) -> None:
    who = subject()
    await keys.ensure([who])
    sealed = keys.seal(who, "text", WHERE)
    for _ in range(5):
        clock.now += 31
        await keys.fetch([sealed["key"]])
        clock.now += 28
        assert keys.unseal(sealed, WHERE) == "text"
        await keys.ensure([who])
        assert keys.unseal(keys.seal(who, "more", WHERE), WHERE) == "more"


async def test_keys_that_many_want_at_once_are_asked_for_together_and_known_ones_are_not_made_again(
    keys: DataKeys, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int, int]] = []

    async def noting(connection: AsyncConnection[Any], query: str, values: Mapping[str, Any]) -> list[Row]:
        asked.append((query, len(values["macs"]), len(values.get("new", ()))))
        return await rows_of(connection, query, values)

    monkeypatch.setattr("adapters.event_store.data_keys.rows_of", noting)
    first, *others = subjects = [subject() for _ in range(4)]
    await keys.ensure([first])
    clock.now += 31
    await asyncio.gather(*(keys.ensure([who]) for who in subjects))
    clock.now += 31
    await asyncio.gather(*(keys.ensure([who]) for who in subjects))
    assert asked == [("make_or_find", 1, 1), ("make_or_find", 4, 3), ("of_subjects", 4, 0)]
    assert len({keys.seal(who, "", WHERE)["key"] for who in [first, *others]}) == 4


async def test_a_key_that_is_known_and_not_there_any_more_is_made_anew(
    database: Database, keys: DataKeys, clock: Clock
) -> None:
    who = subject()
    await keys.ensure([who])
    gone = keys.seal(who, "", WHERE)["key"]
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute("DELETE FROM magnet.data_keys WHERE key_id = %s", [gone])
    clock.now += 31
    await keys.ensure([who])
    assert keys.seal(who, "", WHERE)["key"] != gone


async def test_a_key_destroyed_while_it_is_looked_up_is_not_kept(pool: AsyncConnectionPool, keys: DataKeys) -> None:
    who = subject()
    await keys.ensure([who])
    sealed = keys.seal(who, "text", WHERE)
    slow = another(pool)
    await asyncio.gather(slow.fetch([sealed["key"]]), keys.destroy(who))
    slow.forget(sealed["key"])
    await slow.fetch([sealed["key"]])
    assert slow.unseal(sealed, WHERE) == ERASED


async def test_a_key_that_is_forgotten_while_another_is_brought_is_brought_again(
    pool: AsyncConnectionPool, keys: DataKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    unwrapped, heard = DataKeys._unwrapped, list[DataKeys]()

    def listener_reconnects(self: DataKeys, mac: bytes, key_id: UUID, wrapped: bytes) -> bytes:
        if self not in heard:
            heard.append(self)
            self.forget_all()
        return unwrapped(self, mac, key_id, wrapped)

    await keys.ensure(["ada"])
    monkeypatch.setattr(DataKeys, "_unwrapped", listener_reconnects)
    await keys.ensure(["ada", "bob"])
    sealed = {subject: keys.seal(subject, subject, WHERE) for subject in ("ada", "bob")}
    reader = another(pool)
    heard.append(reader)
    await reader.fetch([sealed["ada"]["key"]])
    heard.remove(reader)
    await reader.fetch([box["key"] for box in sealed.values()])
    assert [reader.unseal(box, WHERE) for box in sealed.values()] == ["ada", "bob"]


async def test_a_key_that_is_not_in_memory_or_nowhere_is_an_error(keys: DataKeys) -> None:
    who = subject()
    with pytest.raises(KeyNotLoaded):
        keys.seal(who, "", WHERE)
    await keys.ensure([who])
    sealed = keys.seal(who, "", WHERE)
    keys.forget_all()
    with pytest.raises(KeyNotLoaded):
        keys.unseal(sealed, WHERE)
    lost = sealed | {"key": str(uuid4())}
    await keys.fetch([lost["key"]])
    with pytest.raises(KeyNotLoaded):
        keys.unseal(lost, WHERE)


async def test_memory_is_bounded_and_keys_come_back(pool: AsyncConnectionPool) -> None:
    keys = another(pool, keys_kept=5)
    subjects = [subject() for _ in range(12)]
    await keys.ensure(subjects)
    sealed = [keys.seal(who, who, WHERE) for who in subjects]
    await keys.ensure([*subjects, subject()])
    assert {keys.seal(who, "", WHERE)["key"] for who in subjects} == {each["key"] for each in sealed}
    await keys.ensure([subject()])
    with pytest.raises(KeyNotLoaded):
        keys.seal(subjects[0], "", WHERE)
    for who, each in zip(subjects, sealed, strict=True):
        await keys.fetch([each["key"]])
        assert keys.unseal(each, WHERE) == who
        await keys.ensure([who])
        assert keys.seal(who, "", WHERE)["key"] == each["key"]


async def test_another_installation_s_keyring_opens_no_key(pool: AsyncConnectionPool, keys: DataKeys) -> None:
    who = subject()
    await keys.ensure([who])
    sealed = keys.seal(who, "text", WHERE)
    stranger = DataKeys(pool, Keyring(b"x" * 32))
    with pytest.raises(SealBroken):
        await stranger.fetch([sealed["key"]])


async def test_a_database_that_is_away_is_told_as_such() -> None:
    async with AsyncConnectionPool("host=/nowhere", min_size=0, max_size=1, timeout=0.01, open=False) as away:
        keys = DataKeys(away, Keyring(KEY))
        with pytest.raises(Unavailable):
            await keys.ensure(["x"])


# Events ------------------------------------------------------------------------


@pytest.mark.parametrize("value", KINDS, ids=repr)
async def test_a_personal_field_comes_back_as_it_was_or_as_erased(keys: DataKeys, value: Any) -> None:
    who = subject()
    state = {"subject": who, "text": "said", "variables": value, "other": value, "timestamp": "2026-01-01T00:00:00Z"}
    needed = subject_of(Posted, state, STREAM)
    assert needed == who
    await keys.ensure([who])
    stored = protect(Posted, state, keys=keys, stream_id=STREAM, aad=WHERE)
    assert "said" not in str(stored)
    assert stored["other"] == value
    assert stored["text"].keys() >= {"$sealed", "key", "nonce", "text"}
    assert len(keys_in(Posted, stored)) == 1
    shown = reveal(Posted, stored, keys=keys, aad=WHERE)
    assert shown == state
    assert repr(shown["variables"]) == repr(value)
    await keys.destroy(who)
    await keys.fetch(keys_in(Posted, stored))
    assert reveal(Posted, stored, keys=keys, aad=WHERE) == state | {"text": ERASED, "variables": ERASED}


async def test_sealed_fields_of_an_event_can_not_be_exchanged(keys: DataKeys) -> None:
    who = subject()
    await keys.ensure([who])
    stored = protect(Posted, {"subject": who, "text": "a", "variables": "b"}, keys=keys, stream_id=STREAM, aad=WHERE)
    for changed in (
        stored | {"text": stored["variables"], "variables": stored["text"]},
        stored | {"text": stored["text"] | {"json": True}},
    ):
        with pytest.raises(SealBroken):
            reveal(Posted, changed, keys=keys, aad=WHERE)


async def test_an_event_with_nothing_personal_stays_as_it_is(keys: DataKeys) -> None:
    looks_sealed = {"$sealed": 1, "key": "x", "nonce": "", "text": ""}
    for event, state in (
        (Closed, {"text": "plain", "subject": "x", "variables": looks_sealed}),
        (Posted, {"subject": "x", "text": None, "variables": None, "other": looks_sealed}),
        (Posted, {}),
    ):
        assert subject_of(event, state, STREAM) is None
        assert protect(event, state, keys=keys, stream_id=STREAM, aad=WHERE) == state
        assert keys_in(event, state) == set()
        assert reveal(event, state, keys=keys, aad=WHERE) == state


async def test_words_of_nobody_in_particular_have_the_key_of_their_stream(keys: DataKeys) -> None:
    for nobody in ({}, {"subject": None}, {"subject": ""}):
        state = {"text": "said", **nobody}
        needed = subject_of(Posted, state, STREAM)
        assert needed is not None
        assert needed != subject_of(Posted, state, uuid4())
        await keys.ensure([needed])
        stored = protect(Posted, state, keys=keys, stream_id=STREAM, aad=WHERE)
        assert reveal(Posted, stored, keys=keys, aad=WHERE) == state


async def test_texts_that_end_by_their_age_and_are_nobody_s_have_the_key_of_their_day_alone(keys: DataKeys) -> None:
    state = {"input": "said", "subject": None, "timestamp": "2026-05-04T10:00:00+00:00"}
    needed = subject_of(Run.Created, state, STREAM)
    assert needed == period_of(Run.Created, state) == subject_of(Run.Created, state, uuid4())
    await keys.ensure([needed])
    stored = protect(Run.Created, state, keys=keys, stream_id=STREAM, aad=WHERE)
    assert len(keys_in(Run.Created, stored)) == 1
    assert reveal(Run.Created, stored, keys=keys, aad=WHERE) == state
    await keys.destroy(needed)
    await keys.fetch(keys_in(Run.Created, stored))
    assert reveal(Run.Created, stored, keys=keys, aad=WHERE)["input"] == ERASED
