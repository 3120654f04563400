"""What is said while a turn runs: refused, answered after it, or instead; never lost, and in its order."""

from typing import Any

import pytest

from domain.conversation import Conversation
from domain.conversation_queue import MOST_QUEUED, QueueFull, begin_queued, next_queued, queued, take, withdraw
from domain.turn import ConversationClosed, NothingToRetry, Pause, Reply, TurnEnded, TurnInProgress
from tests.domain.test_conversation import AGENT, CALL, a_conversation, asked, waiting
from tests.scenario import given


def say(conversation: Conversation, content: str, on_busy: Any = "enqueue") -> tuple[str, str | None]:
    return take(conversation, content, agent=AGENT, on_busy=on_busy, channel="api", attributes={})


def states(conversation: Conversation) -> list[tuple[str, str]]:
    return [(turn["content"], turn["state"]) for turn in conversation.turns.values()]


def busy() -> tuple[Conversation, str]:
    return asked("First?")


@pytest.mark.parametrize("on_busy", ["reject", "enqueue", "interrupt"])
def test_where_nothing_runs_a_turn_begins_at_once(on_busy: Any):
    conversation = a_conversation()
    turn, interrupted = say(conversation, "Hello?", on_busy)
    assert (conversation.turn(turn)["state"], interrupted) == ("running", None)


def test_a_message_that_is_refused_leaves_nothing():
    given(busy()[0]).when(lambda it: say(it, "More?", "reject")).then_refused(TurnInProgress)


def test_a_message_that_waits_is_recorded_and_its_turn_begins_when_the_one_before_has_ended():
    conversation, first = busy()
    given(conversation).when(lambda it: say(it, "Second?")).then((Conversation.MessageQueued, {"content": "Second?"}))
    second = list(conversation.turns)[-1]
    assert next_queued(conversation) is None
    given(conversation).when(lambda it: begin_queued(it, second, agent=AGENT)).then_refused(TurnInProgress)
    conversation.complete(first, Reply(content="One.", history=[{"role": "assistant", "content": "One."}]))
    assert next_queued(conversation) == conversation.turn(second)
    given(conversation).when(lambda it: begin_queued(it, second, agent=AGENT)).then(
        (Conversation.TurnStarted, {"turn": second, "number": 2, "content": "Second?"})
    )
    given(conversation).when(lambda it: begin_queued(it, second, agent=AGENT)).then_refused(TurnEnded)
    assert [each["content"] for each in conversation.history(second)] == ["First?", "One."]


def test_messages_that_wait_begin_in_their_order_whatever_becomes_of_those_before():
    conversation, first = busy()
    second, third, fourth = (say(conversation, content)[0] for content in ("Second?", "Third?", "Fourth?"))
    withdraw(conversation, third)
    conversation.interrupt(first)
    given(conversation).when(lambda it: begin_queued(it, fourth, agent=AGENT)).then_refused(TurnInProgress)
    begin_queued(conversation, second, agent=AGENT)
    conversation.fail(second, code="x", message="y", reply=Reply(content=""))
    following = next_queued(conversation)
    assert following is not None and following["id"] == fourth
    assert [each["state"] for each in conversation.turns.values()] == ["interrupted", "failed", "cancelled", "queued"]


def test_while_something_waits_nothing_else_is_put_before_it():
    conversation, first = busy()
    say(conversation, "Second?")
    conversation.interrupt(first)
    given(conversation).when(lambda it: say(it, "Third?", "reject")).then_refused(TurnInProgress)
    given(conversation).when(lambda it: it.retry(first, agent=AGENT)).then_refused(TurnInProgress)
    given(conversation).when(lambda it: it.close()).then_refused(TurnInProgress)
    say(conversation, "Third?")
    assert [turn["content"] for turn in queued(conversation)] == ["Second?", "Third?"]


def test_what_interrupts_ends_what_runs_and_what_waited_before_it():
    conversation, first = busy()
    say(conversation, "Second?")
    third, interrupted = say(conversation, "Third?", "interrupt")
    assert interrupted == first
    assert states(conversation) == [("First?", "running"), ("Second?", "cancelled"), ("Third?", "queued")]
    conversation.cancel(first, Reply(content="One, t"))
    begin_queued(conversation, third, agent=AGENT)
    assert conversation.turn(first)["partial"] == "One, t"
    assert [each["content"] for each in conversation.history(third)] == ["First?", "Second?"]


def test_what_waits_for_a_person_is_declined_by_what_they_say_and_before_it_comes_what_they_said_earlier():
    conversation, *_ = waiting()
    assert conversation.turn(say(conversation, "Never mind.")[0])["state"] == "running"
    conversation, turn = asked("First?")
    second, _ = say(conversation, "Second?")
    conversation.request_confirmation(turn, Pause(reply=Reply(content="Shall I?"), calls=[CALL]))
    assert next_queued(conversation) is None, "what was said before it was asked is no answer to it"
    say(conversation, "Third?")
    following = next_queued(conversation)
    assert following is not None and following["id"] == second
    assert states(conversation)[0] == ("First?", "cancelled")


def test_what_was_taken_back_is_tried_again_and_declines_what_waits_before_it():
    conversation, first = busy()
    second, _ = say(conversation, "Second?")
    withdraw(conversation, second)
    given(conversation).when(lambda it: it.retry(second, agent=AGENT)).then_refused(TurnInProgress)
    conversation.request_confirmation(first, Pause(reply=Reply(content="Shall I?"), calls=[CALL]))
    conversation.retry(second, agent=AGENT)
    assert [state for _, state in states(conversation)] == ["cancelled", "cancelled", "running"]


def test_a_message_that_can_not_be_answered_ends_with_its_reason():
    conversation, _ = busy()
    second, _ = say(conversation, "Second?")
    given(conversation).when(lambda it: withdraw(it, second, error={"code": "archived", "message": "Gone."})).then(
        (Conversation.MessageWithdrawn, {"turn": second, "code": "archived"})
    )
    assert conversation.turn(second)["state"] == "failed"
    given(conversation).when(lambda it: withdraw(it, second)).then_nothing()


def test_only_so_many_wait_and_none_where_it_is_closed():
    conversation, turn = busy()
    for number in range(MOST_QUEUED):
        say(conversation, f"{number}")
    given(conversation).when(lambda it: say(it, "One more?")).then_refused(QueueFull)
    conversation = a_conversation()
    conversation.close()
    given(conversation).when(lambda it: say(it, "More?")).then_refused(ConversationClosed)
    conversation, turn = busy()
    conversation.complete(turn, Reply(content="One."))
    given(conversation).when(lambda it: it.retry(turn, agent=AGENT)).then_refused(NothingToRetry)
