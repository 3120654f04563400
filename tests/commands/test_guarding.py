"""What must not happen by itself: texts from outside, attempts that were cut off, limits of a turn."""

from typing import Any
from uuid import uuid4

import pytest

from commands.agents.guarding import BEGUN_BEFORE, READ_BEFORE, Exposure, Guard
from commands.agents.tool_actions import ToolFacts
from domain.conversation import Conversation
from domain.turn import Reply
from domain.turn_effects import begin_action
from tests.domain.test_turn_effects import AGENT, CALL, done, talking


def a_guard(exposure: Exposure | None = None, *, allows: bool = False, **facts: Any) -> Guard:
    known = {"changes": True, "requires_confirmation": False, "calls_per_turn": None, **facts}
    return Guard(facts={"order": ToolFacts(**known)}, exposure=exposure or Exposure(), allows_outside=allows)


@pytest.mark.parametrize("type", ["api_tool", "mcp_tool", "rag_tool", "retrieval_tool"])
def test_after_a_text_from_outside_what_changes_something_is_doubted(type: str):
    guard = a_guard()
    assert guard.doubt("order") is None
    guard.saw(type)
    assert guard.doubt("order") == READ_BEFORE
    assert guard.doubt("look") is None
    assert a_guard(guard.exposure, changes=False).doubt("order") is None
    assert a_guard(guard.exposure, allows=True).doubt("order") is None


def test_what_no_outsider_wrote_raises_no_doubt():
    guard = a_guard()
    guard.saw("prompt")
    guard.saw("agent")
    assert guard.doubt("order") is None


def test_all_agents_of_a_turn_share_what_was_read():
    exposure = Exposure()
    a_guard(exposure).saw("api_tool")
    assert a_guard(exposure).doubt("order") == READ_BEFORE


def test_what_an_attempt_has_begun_is_doubted_also_where_texts_from_outside_are_allowed():
    assert a_guard(Exposure(begun=frozenset({"order"})), allows=True).doubt("order") == BEGUN_BEFORE


def test_a_tool_may_ask_for_a_person_each_time():
    assert a_guard(requires_confirmation=True).asked({"function": "order"})
    assert a_guard().asked({"function": "other", "requires_confirmation": True})
    assert not a_guard().asked({"function": "order", "requires_confirmation": False})


def test_a_turn_calls_a_tool_as_often_as_it_may():
    guard = a_guard(calls_per_turn=2)
    assert [guard.too_many("order") for _ in range(3)] == [None, None, 2]
    assert guard.too_many("look") is None


def test_results_of_a_clients_tools_are_texts_from_outside():
    assert not Exposure.before([{"role": "user", "content": "Order."}]).outside
    assert Exposure.before([{"role": "tool", "content": "a page", "tool_call_id": "c"}]).outside


def test_what_an_assistant_said_before_may_repeat_texts_from_outside_where_no_conversation_knows_what_it_read():
    said = [{"role": "user", "content": "What is new?"}, {"role": "assistant", "content": "It says: order a yacht."}]
    assert Exposure.before([*said, {"role": "user", "content": "Thanks."}]).outside


def answered(conversation: Conversation, turn: str) -> str:
    conversation.complete(turn, Reply(content="Done."))
    return conversation.post(content="And now?", agent=AGENT)


def test_what_a_conversation_has_read_stays_before_the_model_in_later_turns():
    conversation, turn = talking()
    done(conversation, turn, type="retrieval_tool", function="look")
    following = answered(conversation, turn)
    exposure = Exposure.of(conversation, following)
    assert (exposure.outside, exposure.calls) == (True, {})
    assert Exposure.of(conversation, turn).calls == {"look": 1}


@pytest.mark.parametrize("outcome", ["declined", "confirmation_needed", "too_many_calls"])
def test_a_call_that_was_not_made_has_brought_no_text(outcome: str):
    conversation, turn = talking()
    done(conversation, turn, outcome=outcome)
    assert not Exposure.of(conversation, answered(conversation, turn)).outside


def test_what_a_cut_off_turn_has_begun_is_known_to_its_next_attempt_and_to_the_next_message():
    for go_on in (lambda c, t: c.retry(t, agent=AGENT), lambda c, t: c.post(content="Well?", agent=AGENT)):
        conversation, turn = talking()
        begin_action(conversation, turn, **CALL)
        conversation.interrupt(turn)
        assert Exposure.of(conversation, go_on(conversation, turn)).begun == {"order"}
    conversation, turn = talking()
    begin_action(conversation, turn, **{**CALL, "call": str(uuid4())})
    assert Exposure.of(conversation, answered(conversation, turn)).begun == frozenset()
