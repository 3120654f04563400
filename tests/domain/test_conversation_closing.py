"""How conversations end: by whom, when, and what is noted of them afterwards."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.agent import Agent
from domain.conversation import Conversation
from domain.conversation_closing import close_idle, last_said, note_processed, note_processing_failed
from domain.conversation_forks import Cut, fork
from domain.conversation_queue import take
from domain.errors import Invalid
from domain.turn import Reply
from tests.domain.test_conversation import AGENT, a_conversation, asked, happened, waiting
from tests.scenario import given

FOUND = {"sentiment": "neutral", "resolution": "resolved", "language": "en", "summary": "All is well."}


def answered() -> Conversation:
    conversation, turn = asked()
    conversation.complete(turn, Reply(content="Hi."))
    return conversation


def test_it_is_closed_by_a_person_by_its_agent_or_by_time_and_says_by_which():
    conversation = answered()
    given(conversation).when(lambda it: it.close()).then(*happened(Conversation.Closed))
    assert conversation.closed_by == "person"
    for by in ("agent", "idle"):
        conversation = answered()
        given(conversation).when(lambda it, by=by: it.close(by=by)).then(
            (Conversation.CloseDecided, {"by": by}), (Conversation.Closed, {})
        )
        assert conversation.closed_by == by


def test_time_counts_from_the_last_message_of_either_side():
    conversation, turn = asked()
    said = last_said(conversation)
    assert said > conversation.created_on
    conversation.complete(turn, Reply(content="Hi."))
    answer = last_said(conversation)
    assert answer > said
    conversation.give_feedback(conversation.turn(turn)["reply"]["id"], rating="up", reason=None, comment=None)
    assert last_said(conversation) == answer, "feedback is no message"
    given(conversation).when(lambda it: close_idle(it, since=said)).then_nothing()
    given(conversation).when(lambda it: close_idle(it, since=answer)).then(
        (Conversation.CloseDecided, {"by": "idle"}), (Conversation.Closed, {})
    )


def test_a_conversation_in_which_nothing_was_said_yet_is_closed_too_and_a_fork_counts_anew():
    conversation = a_conversation()
    given(conversation).when(lambda it: close_idle(it, since=it.created_on)).then(
        *happened(Conversation.CloseDecided, Conversation.Closed)
    )
    origin = answered()
    made = fork(origin, Cut.after(origin, None), id=uuid4(), subject=None, principal=origin.principal)
    assert last_said(made) == made.created_on > last_said(origin)


def test_what_runs_or_waits_to_be_answered_is_not_closed_by_time_what_waits_for_a_person_is():
    much_later = timedelta(days=1)
    conversation, _ = asked()
    given(conversation).when(lambda it: close_idle(it, since=last_said(it) + much_later)).then_nothing()
    take(conversation, "More?", agent=AGENT, on_busy="enqueue", channel="api", attributes={})
    conversation.interrupt(next(iter(conversation.turns)))
    given(conversation).when(lambda it: close_idle(it, since=last_said(it) + much_later)).then_nothing()
    conversation, _, confirmation = waiting()
    close_idle(conversation, since=last_said(conversation))
    assert conversation.closed and conversation.confirmations[confirmation]["approved"] is False


def test_what_was_found_is_noted_once_or_why_nothing_was():
    conversation = answered()
    conversation.close()
    given(conversation).when(lambda it: note_processed(it, run="r", found=FOUND)).then(
        (Conversation.Processed, {"run": "r", **FOUND})
    )
    given(conversation).when(lambda it: note_processing_failed(it, run="s", code="x", reason="y")).then_nothing()
    conversation = answered()
    conversation.close()
    given(conversation).when(lambda it: note_processing_failed(it, run="r", code="no_model", reason="None.")).then(
        (Conversation.ProcessingFailed, {"code": "no_model"})
    )
    assert conversation.processing is not None and conversation.processing["error"]["code"] == "no_model"
    given(conversation).when(lambda it: note_processed(it, run="s", found=FOUND)).then_nothing()


@pytest.mark.parametrize("where", ["actions", "topics"])
def test_an_agent_that_may_close_has_no_action_of_that_name(where: str):
    action = {"type": "rag_tool", "tool": str(uuid4()), "function": "close_conversation"}
    topic = {"name": "leave", "description": "Leave.", "actions": [action]}
    definition: dict[str, Any] = {"instructions": "Help.", where: [action] if where == "actions" else [topic]}
    Agent.normal(definition)
    with pytest.raises(Invalid):
        Agent.normal({**definition, "may_close": True})
