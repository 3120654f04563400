"""What a turn changes outside is on record before it is done, and told to whoever tries the turn again."""

from typing import Any
from uuid import uuid4

import pytest

from domain.conversation import Conversation
from domain.turn import Reply, TurnEnded
from domain.turn_effects import STARTED, UNKNOWN, attempts_before, begin_action, cut_off_before, told_of
from tests.scenario import given

AGENT = {"id": str(uuid4()), "name": "helper", "version": 1, "variant": "default"}
PRINCIPAL = {"type": "local", "id": "local", "name": "local"}
CALL: dict[str, Any] = {"call": "c1", "function": "order", "type": "api_tool", "arguments": "{}"}


def talking() -> tuple[Conversation, str]:
    conversation = Conversation.begin(
        id=uuid4(), agent=uuid4(), subject=None, principal=PRINCIPAL, variables={}, welcome=""
    )
    return conversation, conversation.post(content="Order a pen.", agent=AGENT)


def done(conversation: Conversation, turn: str, **more: Any) -> None:
    conversation.note_action(turn, **{**CALL, "result": "ordered", "outcome": "completed", "ms": 1.0, **more})


def test_what_is_begun_is_on_record_and_its_end_takes_its_place():
    conversation, turn = talking()
    given(conversation).when(lambda c: begin_action(c, turn, **CALL)).then(
        (Conversation.ActionBegun, {"call": "c1", "function": "order"})
    )
    [begun] = conversation.turns[turn]["actions"]
    assert (begun["outcome"], begun["result"], begun["changes"]) == (STARTED, UNKNOWN, True)
    done(conversation, turn)
    [action] = conversation.turns[turn]["actions"]
    assert (action["outcome"], action["result"], action["changes"]) == ("completed", "ordered", True)


def test_the_same_call_again_is_another_action():
    conversation, turn = talking()
    for _ in range(2):
        begin_action(conversation, turn, **CALL)
        done(conversation, turn)
    done(conversation, turn, function="look", type="retrieval_tool")
    outcomes = [(each["function"], each["outcome"]) for each in conversation.turns[turn]["actions"]]
    assert outcomes == [("order", "completed"), ("order", "completed"), ("look", "completed")]


def test_what_a_killed_turn_has_begun_is_told_to_its_next_attempt_as_unknown():
    conversation, turn = talking()
    begin_action(conversation, turn, **CALL)
    conversation.interrupt(turn)
    again = conversation.retry(turn, agent=AGENT)
    [told] = told_of(attempts_before(conversation, again))
    assert told["role"] == "system"
    assert f"order({{}}): started. {UNKNOWN}" in told["content"]
    assert conversation.history(again) == []
    conversation.interrupt(again)
    third = conversation.retry(again, agent=AGENT)
    assert [each["id"] for each in attempts_before(conversation, third)] == [turn, again]


def test_another_message_after_a_killed_turn_is_told_of_it_too():
    conversation, turn = talking()
    begin_action(conversation, turn, **CALL)
    conversation.interrupt(turn)
    following = conversation.post(content="Well?", agent=AGENT)
    assert [each["role"] for each in conversation.history(following)] == ["user", "system"]
    assert [each["id"] for each in cut_off_before(conversation, following)] == [turn]
    conversation.complete(following, Reply(content="I don't know."))
    last = conversation.post(content="And now?", agent=AGENT)
    assert cut_off_before(conversation, last) == []


def test_of_a_turn_that_changed_nothing_nothing_is_told():
    conversation, turn = talking()
    done(conversation, turn, type="retrieval_tool")
    conversation.interrupt(turn)
    again = conversation.retry(turn, agent=AGENT)
    assert told_of(attempts_before(conversation, again)) == []


def test_nothing_is_begun_in_a_turn_that_has_ended():
    conversation, turn = talking()
    conversation.interrupt(turn)
    with pytest.raises(TurnEnded):
        begin_action(conversation, turn, **CALL)
