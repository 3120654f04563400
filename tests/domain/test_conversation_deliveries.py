"""What is told in a thread elsewhere: each part once, in its order, and what was decided in the place of what was asked."""

from uuid import uuid4

import pytest

from domain.conversation import Conversation
from domain.conversation_deliveries import (
    Part,
    cut,
    due,
    name_thread,
    note_begun,
    note_delivered,
    note_failed,
)
from domain.turn import Pause, Reply
from tests.domain.test_conversation import AGENT, CALL, a_conversation
from tests.scenario import given

LONGEST = 1000
CITED = [{"marker": "[1]", "title": "Leave"}]


def in_a_thread() -> Conversation:
    conversation = a_conversation()
    name_thread(conversation, channel=uuid4(), thread="C1/17.5")
    return conversation


def asked() -> tuple[Conversation, str]:
    conversation = in_a_thread()
    return conversation, conversation.post(content="Hello?", agent=AGENT)


def waiting() -> tuple[Conversation, str]:
    conversation, turn = asked()
    call = {**CALL, "message": "Shout hey?"}
    conversation.request_confirmation(turn, Pause(reply=Reply(content="Shall I?"), calls=[call]))
    return conversation, turn


def kinds(conversation: Conversation, longest: int = LONGEST) -> list[tuple[str, str]]:
    return [(part.kind, part.text) for part in due(conversation, longest)]


def arrived(conversation: Conversation) -> None:
    for part in due(conversation, LONGEST):
        note_delivered(conversation, part, f"ref:{part.name}")


def test_an_answer_is_told_once_with_what_it_cites():
    conversation, turn = asked()
    assert due(conversation, LONGEST) == []
    conversation.complete(turn, Reply(content="Thirty [1].", citations=CITED))
    [part] = due(conversation, LONGEST)
    assert (part.kind, part.text, part.citations) == ("text", "Thirty [1].", CITED)
    given(conversation).when(lambda c: note_begun(c, part)).then((Conversation.DeliveryBegun, {"part": "text:1"}))
    given(conversation).when(lambda c: note_begun(c, part)).then_nothing()
    assert due(conversation, LONGEST) == [part]
    given(conversation).when(lambda c: note_delivered(c, part, "17.6")).then(
        (Conversation.Delivered, {"turn": turn, "part": "text:1", "reference": "17.6"})
    )
    given(conversation).when(lambda c: note_delivered(c, part, "17.7")).then_nothing()
    given(conversation).when(lambda c: note_failed(c, part, "late")).then_nothing()
    assert due(conversation, LONGEST) == []


def test_a_conversation_without_a_thread_tells_nothing_elsewhere():
    conversation = a_conversation()
    conversation.complete(conversation.post(content="Hello?", agent=AGENT), Reply(content="Hi."))
    assert due(conversation, LONGEST) == []


def test_what_is_asked_is_told_then_what_was_decided_then_only_the_rest_of_the_answer():
    conversation, turn = waiting()
    assert kinds(conversation) == [("text", "Shall I?"), ("confirmation", "")]
    assert due(conversation, LONGEST)[1].confirmations[0]["message"] == "Shout hey?"
    arrived(conversation)
    [confirmation] = conversation.confirmations
    conversation.decide(confirmation, approved=True)
    [decision] = due(conversation, LONGEST)
    assert (decision.kind, decision.of) == ("decision", f"{turn}:confirmation:1")
    assert [each["approved"] for each in decision.confirmations] == [True]
    conversation.complete(turn, Reply(content="Shall I?\n\nDone."))
    assert kinds(conversation) == [("decision", ""), ("text", "Done.")]


def test_many_decisions_are_asked_for_some_at_a_time():
    conversation, turn = asked()
    calls = [{**CALL, "call": f"c{number}", "message": f"Shout {number}?"} for number in range(45)]
    conversation.request_confirmation(turn, Pause(reply=Reply(content=""), calls=calls))
    parts = due(conversation, LONGEST)
    assert [(part.name, len(part.confirmations)) for part in parts] == [
        ("confirmation:1", 20),
        ("confirmation:1.2", 20),
        ("confirmation:1.3", 5),
    ]
    arrived(conversation)
    conversation.decline()
    assert [part.of for part in due(conversation, LONGEST)] == [part.key for part in parts]


def test_what_was_decided_before_it_was_told_is_not_asked_any_more_and_no_word_is_lost():
    conversation, turn = waiting()
    [confirmation] = conversation.confirmations
    conversation.decide(confirmation, approved=True)
    assert due(conversation, LONGEST) == []
    conversation.complete(turn, Reply(content="Shall I?\n\nDone."))
    assert kinds(conversation) == [("text", "Shall I?\n\nDone.")]


def test_what_had_begun_to_be_told_is_told_to_its_end_also_where_it_was_decided_meanwhile():
    conversation, turn = waiting()
    first, *_ = due(conversation, 5)
    note_begun(conversation, first)
    note_delivered(conversation, first, "17.6")
    [confirmation] = conversation.confirmations
    conversation.decide(confirmation, approved=True)
    conversation.complete(turn, Reply(content="Shall I?\n\nDone."))
    assert [first.text, *[text for _, text in kinds(conversation, 5)]] == ["Shall", "I?", "Done."]


def test_typing_instead_of_deciding_takes_the_buttons_away():
    conversation, _ = waiting()
    arrived(conversation)
    second = conversation.post(content="Never mind.", agent=AGENT)
    conversation.complete(second, Reply(content="All right."))
    assert kinds(conversation) == [("decision", ""), ("text", "All right.")]


@pytest.mark.parametrize("end", ["fail", "interrupt"])
def test_that_there_is_no_answer_is_told_without_the_reason(end: str):
    conversation, turn = asked()
    if end == "fail":
        conversation.fail(turn, code="provider_error", message="sk-secret", reply=Reply(content="Half"))
    else:
        conversation.interrupt(turn)
    assert kinds(conversation) == [("failure", "")]


def test_what_somebody_stopped_is_not_told():
    conversation, turn = asked()
    conversation.cancel(turn, Reply(content="Half"))
    assert due(conversation, LONGEST) == []


def test_what_is_given_up_is_not_tried_again():
    conversation, turn = asked()
    conversation.complete(turn, Reply(content="Hi."))
    [part] = due(conversation, LONGEST)
    given(conversation).when(lambda c: note_failed(c, part, "channel_not_found")).then(
        (Conversation.DeliveryFailed, {"reason": "channel_not_found"})
    )
    assert due(conversation, LONGEST) == []


def test_a_long_answer_comes_in_pieces_of_which_none_is_lost():
    conversation, turn = asked()
    text = "\n\n".join(f"Paragraph {number} " + "word " * 30 for number in range(20)).strip()
    conversation.complete(turn, Reply(content=text, citations=CITED))
    parts = due(conversation, 500)
    assert all(0 < len(part.text) <= 500 for part in parts)
    assert "".join("".join(part.text.split()) for part in parts) == "".join(text.split())
    assert [bool(part.citations) for part in parts] == [False] * (len(parts) - 1) + [True]
    assert len({part.id for part in parts}) == len(parts)


def test_a_part_has_the_same_id_whenever_it_is_told():
    turn = str(uuid4())
    assert Part(turn=turn, name="text:1", kind="text").id == Part(turn=turn, name="text:1", kind="text", text="x").id


@pytest.mark.parametrize("text", ["", "a" * 25, "word " * 9, "one\n\ntwo three four five"])
def test_pieces_are_never_longer_and_never_empty(text: str):
    pieces = cut(text, 10)
    assert all(0 < len(piece) <= 10 for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())
