"""Turns that wait: each begins by itself, or ends with the reason why it can't."""

from typing import Any
from unittest.mock import AsyncMock
from uuid import UUID, uuid4

import pytest

from commands.conversations.conversation_queue import refused
from commands.conversations.queued_turns import NOT_BEGUN, BeginQueuedTurns
from commands.jobs import Job
from commands.ports import Actor
from domain.conversation import Conversation
from domain.conversation_queue import next_queued, queued, take
from domain.errors import Unavailable
from domain.turn import Reply
from tests.domain.test_conversation import AGENT, asked


class World:
    """One conversation in which two messages wait, and turns that can't begin."""

    def __init__(self) -> None:
        self.conversation, running = asked("First?")
        for content in ("Second?", "Third?"):
            take(self.conversation, content, agent=AGENT, on_busy="enqueue", channel="api", attributes={})
        self.conversation.complete(running, Reply(content="Yes."))
        self.jobs: list[Any] = []

    async def newest(self, kind: type[Any], id: UUID) -> Conversation:
        return self.conversation

    async def begin(self, *_: Any) -> None:
        raise Unavailable("The database is away.")

    async def dispatch(self, command: Any, context: Any) -> None:
        unit = AsyncMock()
        unit.load.return_value = self.conversation
        unit.save = lambda *_: None
        unit.effect = lambda name, **values: self.jobs.append((name, values["kind"], values["key"]))
        await refused(command, unit)

    async def standing(self, principal: Any) -> Actor:
        return Actor(type="local", id="local", name="local")

    def work(self) -> tuple[BeginQueuedTurns, Job]:
        work = BeginQueuedTurns(bus=self, things=self, turns=self, asking=self.standing)  # type: ignore[arg-type]
        return work, Job(id=uuid4(), kind=work.kind, key=str(self.conversation.id))


async def test_a_turn_whose_job_is_given_up_fails_by_itself_and_the_next_one_is_asked_for():
    world = World()
    work, job = world.work()
    second = next_queued(world.conversation)
    assert second is not None
    with pytest.raises(Unavailable):
        await work.carry_out([job])
    assert len(queued(world.conversation)) == 2, "it waits as long as it is tried"
    await work.give_up(job, "The database is away.")
    ended = world.conversation.turns[second["id"]]
    assert (ended["state"], ended["error"]["code"]) == ("failed", NOT_BEGUN)
    assert "The database is away." in ended["error"]["message"]
    assert ("job", work.kind, job.key) in world.jobs
    following = next_queued(world.conversation)
    assert following is not None and following["content"] == "Third?"


async def test_where_nothing_waits_any_more_nothing_is_given_up():
    world = World()
    work, job = world.work()
    for _ in range(3):
        await work.give_up(job, "Away.")
    assert queued(world.conversation) == []
    assert [turn["state"] for turn in world.conversation.turns.values()] == ["completed", "failed", "failed"]


def test_what_goes_wrong_in_one_conversation_is_no_attempt_of_others():
    assert World().work()[0].most == 1, "an exception is a failure of all jobs that were taken together"
