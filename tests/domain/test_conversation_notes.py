"""What is noted about conversations: titles, reviewers' notes, and answers that were copied."""

from typing import Any
from uuid import uuid4

import pytest

from domain.conversation import Conversation
from domain.conversation_notes import beginning, note, note_copied, set_title
from domain.errors import NotFound
from domain.turn import Reply
from tests.domain.test_conversation import a_conversation, asked
from tests.scenario import given

AUTHOR = {"type": "api_key", "id": "r", "name": "reviewer"}


def answered() -> tuple[Conversation, str]:
    conversation, turn = asked()
    conversation.complete(turn, Reply(content="Hi."))
    return conversation, conversation.turn(turn)["reply"]["id"]


def test_a_persons_title_is_not_changed_by_a_model_and_may_be_taken_away():
    conversation, _ = asked()
    given(conversation).when(lambda it: set_title(it, "Greetings", by="model")).then(
        (Conversation.Titled, {"title": "Greetings", "by": "model"})
    )
    given(conversation).when(lambda it: set_title(it, "Mine", by="person")).then(
        (Conversation.Titled, {"by": "person"})
    )
    given(conversation).when(lambda it: set_title(it, "Other", by="model")).then_nothing()
    given(conversation).when(lambda it: set_title(it, "Mine", by="person")).then_nothing()
    given(conversation).when(lambda it: set_title(it, None, by="person")).then((Conversation.Titled, {"title": None}))
    assert (conversation.title, conversation.titled_by) == (None, None)


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("How many\n holidays?", "How many holidays?"),
        ("word " * 30, "word word word word word word word word word word word word…"),
        ("x" * 100, "x" * 60),
        (" \t ", None),
    ],
)
def test_without_a_model_the_first_words_are_the_title(said: str, title: str | None):
    assert beginning(asked(said)[0]) == title
    assert beginning(a_conversation()) is None


def test_a_note_is_on_the_whole_or_on_a_message_also_when_it_is_closed():
    conversation, answer = answered()
    question = next(iter(conversation.turns.values()))["message_id"]
    conversation.close()
    for message in (None, question, answer):
        given(conversation).when(lambda it, of=message: note(it, "Look.", id=uuid4(), message=of, author=AUTHOR)).then(
            (Conversation.Noted, {"message": message, "author": AUTHOR})
        )
    assert [each["message_id"] for each in conversation.notes] == [None, question, answer]


@pytest.mark.parametrize(
    "act", [lambda it: note(it, "x", id=uuid4(), message="?", author=AUTHOR), lambda it: note_copied(it, "?")]
)
def test_what_is_not_there_is_not_noted(act: Any):
    given(answered()[0]).when(act).then_refused(NotFound)


def test_an_answer_is_copied_once():
    conversation, answer = answered()
    given(conversation).when(lambda it: note_copied(it, answer)).then((Conversation.AnswerCopied, {"message": answer}))
    given(conversation).when(lambda it: note_copied(it, answer)).then_nothing()
