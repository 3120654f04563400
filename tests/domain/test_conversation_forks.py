"""Forks: where they are cut, what comes along, and that they are as good as their origin."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.conversation import Conversation
from domain.conversation_course import hand_off, note_topic
from domain.conversation_forks import Cut, NothingToEdit, fork
from domain.conversation_queue import take
from domain.copied_history import MOST_TOGETHER
from domain.errors import DomainError, Invalid, NotFound
from domain.topics import TopicChoice
from domain.turn import DECLINED, ConfirmationDecided, Reply, TurnInProgress, answer_id
from domain.turn_effects import STARTED, UNKNOWN, attempts_before, begin_action, told_of
from tests.domain.test_conversation import AGENT, ASKED, a_conversation, asked, waiting

CITED = {"marker": "[1]", "document_id": "d", "start": 0, "end": 3}


def talked() -> Conversation:
    """Return a conversation of two answers, the first of which cites."""
    conversation, turn = asked("First?")
    note_topic(conversation, turn, TopicChoice(intent="topic", topic="holidays"))
    history = [{"role": "assistant", "content": "One [1]."}]
    conversation.complete(turn, Reply(content="One [1].", citations=[CITED], history=history))
    conversation.give_feedback(answer_of(conversation, 1), rating="up", reason=None, comment=None)
    turn = conversation.post(content="Second?", agent=AGENT)
    conversation.complete(turn, Reply(content="Two.", history=[{"role": "assistant", "content": "Two."}]))
    return conversation


def answer_of(conversation: Conversation, number: int) -> str:
    turns = list(conversation.turns.values())
    return str(answer_id(UUID(turns[number - 1]["id"])))


def forked(origin: Conversation, cut: Cut, subject: str | None = None) -> Conversation:
    return fork(origin, cut, id=uuid4(), subject=subject, principal=origin.principal)


def told(conversation: Conversation) -> list[dict[str, Any]]:
    """Return what a model is told of a conversation when something more is said."""
    return conversation.history(conversation.post(content="More?", agent=AGENT))


def test_a_fork_begins_with_all_that_its_origin_said_and_changes_nothing_there():
    origin = talked()
    version, before = origin.version, list(origin.turns.values())
    made = forked(origin, Cut.after(origin, None))
    assert [type(event) for event in made.collect_events()] == [Conversation.Created, Conversation.HistoryCopied]
    turn = before[-1]["id"]
    assert made.origin == {"conversation": str(origin.id), "version": version, "turn": turn, "message": None}
    assert list(made.said()) == list(origin.said())
    first = next(iter(made.turns.values()))
    assert first["reply"]["citations"] == [CITED]
    assert first["copied_from"] == before[0]["id"]
    assert first["reply"]["id"] == answer_of(made, 1) != answer_of(origin, 1), "messages of two conversations differ"
    assert (made.topic, first["topic"]) == ("holidays", before[0]["topic"])
    assert made.feedback == {}, "what was thought of an answer counts once"
    assert told(made) == told(origin)
    assert origin.version == version + 1, "only what was said here since then"


def test_a_fork_after_an_answer_ends_with_it():
    origin = talked()
    made = forked(origin, Cut.after(origin, answer_of(origin, 1)))
    assert list(made.said()) == ["First?", "One [1]."]


def test_a_fork_after_what_a_person_said_leaves_the_answer_out_and_can_be_asked_for_another():
    origin = talked()
    second = list(origin.turns.values())[1]
    made = forked(origin, Cut.after(origin, second["message_id"]))
    assert list(made.said()) == ["First?", "One [1].", "Second?", ""]
    newest = list(made.turns)[-1]
    again = made.retry(newest, agent=AGENT)
    assert made.turn(again)["content"] == "Second?"
    assert [each["content"] for each in made.history(again)] == ["First?", "One [1]."]


def test_a_fork_to_say_something_otherwise_ends_before_it():
    origin = talked()
    first, second = origin.turns.values()
    assert list(forked(origin, Cut.before(origin, second["message_id"])).said()) == ["First?", "One [1]."]
    assert list(forked(origin, Cut.before(origin, None)).said()) == ["First?", "One [1]."]
    assert list(forked(origin, Cut.before(origin, first["message_id"])).said()) == []


def test_what_was_tried_again_is_still_told_once():
    origin, failed = asked("First?")
    origin.interrupt(failed)
    origin.complete(
        origin.retry(failed, agent=AGENT), Reply(content="One.", history=[{"role": "assistant", "content": "One."}])
    )
    made = forked(origin, Cut.after(origin, None))
    assert told(made) == [{"role": "user", "content": "First?"}, {"role": "assistant", "content": "One."}]
    cut = Cut.before(origin, origin.turn(failed)["message_id"])
    assert not cut.turns


def test_what_waits_for_a_person_is_declined_in_the_fork_and_still_waits_in_its_origin():
    origin, _, confirmation = waiting()
    made = forked(origin, Cut.after(origin, None))
    assert [each["state"] for each in made.turns.values()] == ["cancelled"]
    assert told(made)[1:] == [ASKED, {"role": "tool", "tool_call_id": "c1", "content": DECLINED}]
    with pytest.raises(NotFound):
        made.confirmation(confirmation)
    assert origin.decide(confirmation, approved=True)
    with pytest.raises(ConfirmationDecided):
        origin.decide(confirmation, approved=False)


def test_a_closed_conversation_is_forked_to_an_open_one():
    origin = talked()
    origin.close()
    assert not forked(origin, Cut.after(origin, None)).closed


def test_a_fork_of_a_fork_names_the_one_it_was_made_of_and_where_its_turns_were_first():
    origin = talked()
    middle = forked(origin, Cut.after(origin, None))
    last = forked(middle, Cut.after(middle, answer_of(middle, 1)))
    assert last.origin is not None and last.origin["conversation"] == str(middle.id)
    assert [each["copied_from"] for each in last.turns.values()] == list(origin.turns)[:1]


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda it: Cut.after(it, "nothing"), NotFound),
        (lambda it: Cut.before(it, answer_of(it, 1)), Invalid),
        (lambda it: Cut.before(a_conversation(), None), NothingToEdit),
        (lambda it: forked(it, Cut.after(it, None), subject="somebody else"), Invalid),
    ],
)
def test_where_nothing_can_be_forked_it_is_refused(act: Any, error: type[DomainError]):
    with pytest.raises(error):
        act(talked())


def test_a_turn_that_runs_is_left_out_or_waited_for():
    origin = talked()
    running = origin.post(content="Third?", agent=AGENT)
    with pytest.raises(TurnInProgress):
        Cut.after(origin, None)
    assert len(Cut.after(origin, answer_of(origin, 2)).turns) == 2
    assert len(Cut.after(origin, origin.turn(running)["message_id"]).turns) == 3
    assert list(forked(origin, Cut.before(origin, None)).said())[-1] == "Two."


@pytest.mark.parametrize("cut", [Cut.after, Cut.before])
def test_what_waits_behind_a_turn_that_runs_can_not_be_forked_until_that_has_ended(cut: Any):
    origin, running = asked("First?")
    waiting_turn, _ = take(origin, "Second?", agent=AGENT, on_busy="enqueue", channel="api", attributes={})
    message = origin.turn(waiting_turn)["message_id"]
    with pytest.raises(TurnInProgress):
        cut(origin, message)  # nobody would ever end the copy of the turn that runs
    origin.complete(running, Reply(content="One."))
    assert next(turn["state"] for turn in forked(origin, cut(origin, message)).turns.values()) == "completed"


def test_a_fork_goes_on_with_the_agent_that_its_origin_was_handed_to():
    origin, turn = asked()
    other = {**AGENT, "id": str(uuid4()), "name": "expert"}
    hand_off(origin, turn, other)
    origin.complete(turn, Reply(content="Hi.", history=[{"role": "assistant", "content": "Hi."}]))
    assert forked(origin, Cut.after(origin, None)).answering == other["id"]
    unanswered = Cut.after(origin, origin.turn(turn)["message_id"])
    assert forked(origin, unanswered).answering == AGENT["id"], "who was asked is asked again"


ORDER: dict[str, Any] = {"call": "c1", "function": "order", "type": "api_tool", "arguments": "{}"}


def ordering() -> tuple[Conversation, str]:
    """Return a conversation whose newest turn was killed twice, the first time while it ordered something."""
    origin = talked()
    turn = origin.post(content="Order a pen.", agent=AGENT)
    begin_action(origin, turn, **ORDER)
    origin.interrupt(turn)
    again = origin.retry(turn, agent=AGENT)
    origin.interrupt(again)
    return origin, origin.turn(turn)["message_id"]


def begun_in(conversation: Conversation, turn: str) -> list[str]:
    """Return what whoever answers a turn is told of what was begun before."""
    return [each["content"] for each in told_of(attempts_before(conversation, turn))]


def test_a_fork_before_the_answer_of_a_killed_turn_knows_what_that_had_begun():
    origin, message = ordering()
    made = forked(origin, Cut.after(origin, message))
    newest = list(made.turns.values())[-1]
    assert [(each["function"], each["outcome"]) for each in newest["actions"]] == [("order", STARTED)]
    [said] = begun_in(made, made.retry(newest["id"], agent=AGENT))
    assert f"order({{}}): started. {UNKNOWN}" in said


def test_who_says_otherwise_what_a_killed_turn_was_asked_is_told_what_that_had_begun_until_it_is_answered():
    origin, message = ordering()
    for cut in (Cut.before(origin, message), Cut.before(origin, None)):
        made = forked(origin, cut)
        assert list(made.said())[-1] == "Two.", "the message itself does not come along"
        turn = made.post(content="Order a pencil.", agent=AGENT)
        [said] = begun_in(made, turn)
        assert UNKNOWN in said
        made.interrupt(turn)
        again = made.retry(turn, agent=AGENT)
        assert begun_in(made, again) == [said]
        made.complete(again, Reply(content="It is ordered."))
        assert begun_in(made, made.post(content="Thanks.", agent=AGENT)) == []


def test_it_is_known_in_forks_of_the_fork_too_until_there_is_an_answer():
    origin, message = ordering()
    first = forked(origin, Cut.before(origin, message))
    turn = first.post(content="Order a pencil.", agent=AGENT)
    first.interrupt(turn)
    said = first.turn(turn)["message_id"]
    for cut in (Cut.before(first, said), Cut.after(first, said), Cut.after(first, None)):
        second = forked(first, cut)
        [told_then] = begun_in(second, second.post(content="Order ink.", agent=AGENT))
        assert UNKNOWN in told_then
    first.complete(first.retry(turn, agent=AGENT), Reply(content="It is ordered."))
    later = forked(first, Cut.after(first, None))
    assert begun_in(later, later.post(content="Order ink.", agent=AGENT)) == []


def test_what_was_done_in_an_answer_that_is_left_out_is_known_too():
    origin, turn = asked("Order a pen.")
    begin_action(origin, turn, **ORDER)
    origin.note_action(turn, **ORDER, result="number 7", outcome="completed", ms=1.0)
    origin.note_action(turn, **{**ORDER, "function": "look"}, result="a pen", outcome="completed", ms=1.0)
    origin.complete(turn, Reply(content="Ordered."))
    made = forked(origin, Cut.before(origin, None))
    [said] = begun_in(made, made.post(content="Order a pencil.", agent=AGENT))
    assert "order({}): completed. number 7" in said and "look" not in said


def test_a_long_history_is_copied_in_several_events_and_stands_as_it_was():
    origin, turn = asked("Said 0.")
    for number in range(1, 2 * MOST_TOGETHER + 2):
        origin.complete(turn, Reply(content="Yes.", history=[{"role": "assistant", "content": "Yes."}]))
        turn = origin.post(content=f"Said {number}.", agent=AGENT)
    origin.cancel(turn, Reply(content=""))
    made = forked(origin, Cut.after(origin, None), subject="ada")
    copies = [each for each in made.collect_events() if not isinstance(each, Conversation.Created)]
    assert [len(each.turns) for each in copies] == [MOST_TOGETHER, MOST_TOGETHER, 2]
    assert [each.TOPIC for each in copies] == ["conversation.history_copied", *["conversation.history_continued"] * 2]
    assert {each.subject for each in copies} == {"ada"}
    assert [each["number"] for each in made.turns.values()] == list(range(1, 2 * MOST_TOGETHER + 3))
    assert list(made.said()) == list(origin.said())
    assert told(made) == told(origin)


def test_long_texts_are_copied_in_events_of_their_own():
    origin, turn = asked("a" * 400_000)
    for text in ("b" * 300_000, "c"):
        origin.complete(turn, Reply(content=""))
        turn = origin.post(content=text, agent=AGENT)
    origin.cancel(turn, Reply(content=""))
    made = forked(origin, Cut.after(origin, None))
    assert [len(each.turns) for each in list(made.collect_events())[1:]] == [1, 2]
    assert list(made.said()) == list(origin.said())
