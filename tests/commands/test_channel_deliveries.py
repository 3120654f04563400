"""Deliveries that are killed or refused on their way: nothing is lost, and nothing told twice that can be looked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import AsyncMock
from uuid import UUID, uuid4

import pytest

from commands.channels.channel_deliveries import DeliverAnswers, NotDelivered, NoteDelivery, Outgoing, delivery_noted
from commands.jobs import Failed, Finished, Job, Outcome, Postponed
from domain.channel import Channel
from domain.conversation import Conversation
from domain.turn import Reply
from tests.domain.test_conversation_deliveries import asked


class Killed(Exception):
    """The process is gone."""


@dataclass
class Thread:
    """A channel's other end; `tells_twice` as Slack. `dies` says at which call the process is killed, before or after it."""

    tells_twice: bool = True
    longest: int = 10
    arrived: list[tuple[UUID, str]] = field(default_factory=list)
    dies: str = ""
    refusal: NotDelivered | None = None

    async def send(self, channel: Channel, outgoing: Outgoing) -> str:
        if self.dies == "before":
            raise Killed
        if self.refusal is not None:
            raise self.refusal
        self.arrived.append((outgoing.part.id, outgoing.part.text))
        if self.dies == "after":
            raise Killed
        return f"ref-{len(self.arrived)}"

    async def find(self, channel: Channel, outgoing: Outgoing) -> str | None:
        return next((f"found-{id}" for id, _ in self.arrived if id == outgoing.part.id), None)


@dataclass
class World:
    """One conversation that is held in a thread, its channel, and the work."""

    conversation: Conversation
    thread: Thread
    channel: Channel

    async def newest(self, kind: type[Any], id: UUID) -> Any:
        return self.channel if kind is Channel else self.conversation

    async def dispatch(self, command: NoteDelivery, context: Any) -> None:
        unit = AsyncMock()
        unit.load.return_value = self.conversation
        unit.save = lambda *_: None
        await delivery_noted(command, unit)

    async def work(self) -> Outcome:
        work = DeliverAnswers(bus=self, things=self, adapters={"slack": self.thread})  # type: ignore[arg-type]
        job = Job(id=uuid4(), kind=work.kind, key=str(self.conversation.id))
        outcomes: Mapping[UUID, Outcome] = await work.carry_out([job])
        return outcomes[job.id]

    @property
    def told(self) -> list[str]:
        return [text for _, text in self.thread.arrived]


@pytest.fixture
def world() -> World:
    conversation, turn = asked()
    conversation.complete(turn, Reply(content="Thirty days a year."))
    channel = Channel.create(name="c", definition={"type": "slack", "agent": str(uuid4())})
    return World(conversation, Thread(), channel)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_kill_on_the_way_loses_no_piece_and_tells_none_twice(world: World, moment: str):
    world.thread.dies = moment
    with pytest.raises(Killed):
        await world.work()
    world.thread.dies = ""
    assert await world.work() == Finished()
    assert world.told == ["Thirty", "days a", "year."]
    assert await world.work() == Finished()
    assert len(world.told) == 3
    assert {each["state"] for each in world.conversation.deliveries.values()} == {"delivered"}


async def test_a_channel_that_knows_repeats_by_their_id_is_told_again_and_nothing_is_noted_beforehand(world: World):
    world.thread.tells_twice, world.thread.dies = False, "after"
    with pytest.raises(Killed):
        await world.work()
    assert world.conversation.deliveries == {}
    world.thread.dies = ""
    await world.work()
    assert world.told == ["Thirty", "Thirty", "days a", "year."]
    assert len({id for id, _ in world.thread.arrived}) == 3


async def test_what_is_refused_waits_with_all_that_follows(world: World):
    world.thread.refusal = NotDelivered("Slack refused it.")
    assert await world.work() == Failed(error="Slack refused it.")
    world.thread.refusal = NotDelivered("Slack asks to wait.", wait=30.0)
    assert await world.work() == Postponed(delay=30.0, payload={})
    world.thread.refusal = None
    assert await world.work() == Finished()
    assert world.told == ["Thirty", "days a", "year."]


async def test_a_channel_that_asks_for_ages_is_asked_again_in_an_hour(world: World):
    world.thread.refusal = NotDelivered("Slack asks to wait.", wait=999_999_999_999_999.0)
    assert await world.work() == Postponed(delay=3600.0, payload={})


async def test_by_a_channel_that_is_archived_nothing_is_told_and_all_of_it_once_it_is_back(world: World):
    world.channel.archive()
    assert await world.work() == Finished()
    assert world.told == []
    world.channel.restore()
    await world.work()
    assert len(world.told) == 3
