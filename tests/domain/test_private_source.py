"""The private source of a conversation: what is told of its files, and in which order they are found."""

from domain.conversation import Conversation
from domain.conversation_files import attach
from domain.private_source import Standing, fused, searched, state_of, states
from domain.turn import Reply
from tests.domain.test_conversation import asked
from tests.domain.test_conversation_files import a_file

ROOM = 20


def with_files(*texts: str) -> Conversation:
    conversation, turn = asked()
    attach(conversation, turn, [a_file(f"{number}.txt", text) for number, text in enumerate(texts)])
    conversation.complete(turn, Reply(content="Noon."))
    return conversation


def test_files_are_searched_once_they_are_not_all_told_whole():
    assert not searched(with_files("Lunch is at noon."), ROOM)
    assert searched(with_files("Lunch is at noon.", "Tea is at four."), ROOM)
    assert not searched(with_files(), 0)


def test_each_file_says_how_it_stands():
    conversation = with_files("Lunch is at noon.", "Tea is at four.")
    first, second = (file["id"] for files in conversation.files.values() for file in files)
    told = states(conversation, {first: Standing(space="abc", passages=3)}, ROOM)
    assert (told[first]["status"], told[first]["retrieval"], told[first]["passages"]) == ("indexed", "hybrid", 3)
    assert told[second] == {"status": "pending", "retrieval": None, "passages": 0, "failure": None}
    failed = state_of(Standing(space=None, passages=3, failure="upstream_error"), needed=True, closed=False)
    assert (failed["status"], failed["retrieval"], failed["failure"]["code"]) == ("failed", "lexical", "upstream_error")
    assert state_of(None, needed=False, closed=False)["status"] == "whole"
    conversation.close(by="person")
    assert states(conversation, {}, ROOM)[first]["status"] == "removed"


def test_what_could_not_be_embedded_is_tried_again_unless_the_model_refuses_its_texts():
    away, refused = Standing(space=None, passages=1, failure="away"), Standing(space="a", passages=1, failure="refused")
    assert not away.is_done("a") and refused.is_done("a") and not refused.is_done("b")
    assert Standing(space=None, passages=1).is_done(None)
    assert not away.is_done(None), "there is no model any more, and so it lacks nothing"


def test_words_and_meaning_are_weighed_together_and_either_alone_is_enough():
    assert [place for place, _ in fused({0: 2.0, 1: 1.0}, {1: 0.9, 2: 0.1, 3: 0.8})] == [1, 3, 0, 2]
    assert [place for place, _ in fused({0: 2.0, 1: 3.0}, {})] == [1, 0]
    assert fused({}, {}) == []
