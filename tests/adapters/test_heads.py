"""What a request sees of streams: as of its first look, asked for together, and never less than was recorded before."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextvars import copy_context
from uuid import UUID, uuid4

import pytest

from adapters.event_store.heads import SQL, Head, Heads, look_anew
from adapters.keyring import Keyring
from adapters.model_catalogue import ModelCatalogue
from adapters.secrets import KeyringSecretBox
from commands.ports import SYSTEM, Context
from domain.model import Model
from domain.prompt import Prompt
from tests.support.log import ReadSide, read_side
from tests.support.postgres import Database

DEFINITION = {"provider": str(uuid4()), "model": "m", "kind": "chat"}
MODEL = Model.create_id("m")
HOME, GARDEN = Prompt.create_id("home"), Prompt.create_id("garden")


class Asked(Heads):
    """Heads that note what is asked of the log."""

    asked: list[set[UUID]]

    async def _ask(self, ids: Sequence[UUID]) -> dict[UUID, Head | None]:
        self.asked.append(set(ids))
        return await super()._ask(ids)


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made:
        await made.record(Prompt.create(name="home", definition={"text": "1"}))
        yield made


@pytest.fixture
def heads(side: ReadSide) -> Asked:
    made = Asked(side.pool)
    made.asked = []
    return made


async def request(heads: Heads, *looks: UUID) -> list[Head | None]:
    """Look at streams one after the other, as a request of its own."""

    async def looking() -> list[Head | None]:
        look_anew()
        return [(await heads.of([id]))[id] for id in looks]

    return await asyncio.create_task(looking(), context=copy_context())


async def test_a_stream_stands_at_its_newest_version_and_says_how_it_began(heads: Asked):
    assert await request(heads, HOME, GARDEN) == [Head(1, "prompt.created"), None]


async def test_what_is_asked_while_the_log_is_small_is_not_planned_as_reading_all_of_it(side: ReadSide):
    async with side.pool.connection() as connection:
        query = "EXPLAIN (GENERIC_PLAN) " + SQL["heads"].replace("%(ids)s", "$1")
        plan = await (await connection.execute(query)).fetchall()
    assert not [line for (line,) in plan if "Seq Scan" in line or "Bitmap" in line]


async def test_what_a_request_looked_at_after_its_first_the_next_one_asks_for_together(heads: Asked):
    await request(heads, HOME, GARDEN)
    await request(heads, HOME, GARDEN)
    assert heads.asked == [{HOME}, {GARDEN}, {HOME, GARDEN}]


async def test_a_request_looks_at_a_thing_once(heads: Asked):
    await request(heads, HOME, HOME, HOME)
    assert heads.asked == [{HOME}]


async def test_outside_of_a_request_each_look_is_one_at_the_log(heads: Asked, side: ReadSide):
    before = await heads.of([GARDEN])
    await side.record(Prompt.create(name="garden", definition={"text": "2"}))
    assert (before, await heads.of([GARDEN])) == ({GARDEN: None}, {GARDEN: Head(1, "prompt.created")})


async def test_a_request_sees_what_was_recorded_before_it_came(heads: Asked, side: ReadSide):
    await request(heads, HOME, GARDEN)
    await side.record(Prompt.create(name="garden", definition={"text": "2"}))
    assert await request(heads, HOME, GARDEN) == [Head(1, "prompt.created"), Head(1, "prompt.created")]


async def test_a_request_sees_what_it_has_recorded_itself(side: ReadSide):
    async def recording() -> Prompt:
        look_anew()
        assert (await side.store.heads.of([GARDEN]))[GARDEN] is None
        unit = side.store.unit(fresh=True)
        unit.save(Prompt.create(name="garden", definition={"text": "2"}))
        await unit.append(Context(actor=SYSTEM), lambda: b"", 0)
        return await side.store.newest(Prompt, GARDEN)

    assert (await asyncio.create_task(recording())).name == "garden"


async def test_what_is_believed_is_asked_for_again_after_a_while(heads: Asked, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("adapters.event_store.heads.BELIEVED", 0.0)
    await request(heads, HOME, HOME)
    assert heads.asked == [{HOME}, {HOME}]


async def test_what_this_process_recorded_is_not_read_again(side: ReadSide):
    unit = side.store.unit(fresh=True)
    unit.save(Prompt.create(name="garden", definition={"text": "2"}))
    await unit.append(Context(actor=SYSTEM), lambda: b"", 0)
    kept = await side.store.since(Prompt, GARDEN, 1)
    assert kept.version == 1
    assert await side.store.since(Prompt, GARDEN, 1) is kept
    assert (await side.store.since(Prompt, HOME, 1)).name == "home"


async def test_what_a_request_recorded_while_it_asked_is_no_surprise_and_nothing_older_is_believed(heads: Asked):
    look_anew()
    await heads.of([HOME])
    asking = asyncio.ensure_future(heads.of([HOME, GARDEN]))
    await asyncio.sleep(0)
    heads.recorded([HOME, GARDEN])
    assert await asking == {HOME: Head(1, "prompt.created"), GARDEN: None}
    await heads.of([GARDEN])
    assert heads.asked[-1] >= {GARDEN}
    assert len(heads.asked) == 3


async def test_what_another_request_has_read_since_is_new_enough(heads: Asked, side: ReadSide):
    catalogue = ModelCatalogue(side.pool, side.store.load, heads, KeyringSecretBox(Keyring(bytes(32))))
    look_anew()
    seen = await heads.of([MODEL])
    await side.record(Model.create(name="m", definition=DEFINITION))
    await asyncio.create_task(asyncio.sleep(0))
    assert seen == {MODEL: None}
    await catalogue._read(MODEL)
    assert await catalogue._newer([MODEL]) == []


async def turn(heads: Heads, talk: UUID, *looks: UUID) -> None:
    """Look at a conversation and then at streams one after the other, as a request of its own."""

    async def looking() -> None:
        look_anew()
        await heads.now(talk)
        for id in looks:
            await heads.of([id])

    await asyncio.create_task(looking(), context=copy_context())


async def test_what_requests_about_a_conversation_look_at_is_asked_for_with_it(heads: Asked):
    talk = uuid4()
    await turn(heads, talk, HOME, GARDEN)
    await turn(heads, talk, HOME, GARDEN)
    assert heads.asked == [{talk}, {HOME}, {GARDEN}, {talk, HOME, GARDEN}]


async def test_a_conversation_that_was_begun_with_an_agent_is_asked_for_with_it(heads: Asked):
    talk = uuid4()

    async def begin() -> None:
        look_anew()
        await heads.of([HOME])
        heads.recorded([talk])

    await asyncio.create_task(begin(), context=copy_context())
    await turn(heads, talk, HOME)
    assert heads.asked == [{HOME}, {talk, HOME}]


async def test_how_a_conversation_stands_in_this_moment_is_asked_each_time(heads: Asked, side: ReadSide):
    look_anew()
    assert await heads.now(GARDEN) is None
    await side.record(Prompt.create(name="garden", definition={"text": "2"}))
    assert await heads.now(GARDEN) == Head(1, "prompt.created")
    await heads.of([HOME])
    assert await heads.now(GARDEN) == Head(1, "prompt.created")
