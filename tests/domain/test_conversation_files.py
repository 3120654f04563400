"""Files given with messages: which of them a model is told whole, what searching them finds, and whose they are."""

from typing import Any
from uuid import uuid4

import pytest

from domain.conversation import Conversation
from domain.conversation_files import MOST_OF_CONVERSATION, FilesFull, attach, file_in, files_until, ranked, told_whole
from domain.conversation_forks import Cut, fork
from domain.conversation_queue import begin_queued, take
from domain.errors import NotFound
from domain.turn import Reply
from tests.domain.test_conversation import AGENT, asked
from tests.scenario import given


def a_file(name: str = "a.txt", text: str = "Lunch is at noon.") -> dict[str, Any]:
    return {"name": name, "media_type": "text/plain", "sha256": "0" * 64, "size": 3, "text": text, "pages": []}


def names(conversation: Conversation, turn: str) -> list[str]:
    return [file["name"] for file in files_until(conversation, turn)]


def test_files_belong_to_their_message_also_when_it_waits_or_is_tried_again():
    conversation, first = asked()
    given(conversation).when(lambda it: attach(it, first, [a_file()])).then((Conversation.FilesAttached, {}))
    given(conversation).when(lambda it: attach(it, first, [])).then_nothing()
    second, _ = take(conversation, "And this?", agent=AGENT, on_busy="enqueue", channel="api", attributes={})
    attach(conversation, second, [a_file("b.txt"), a_file("c.txt")])
    conversation.complete(first, Reply(content="Noon."))
    begin_queued(conversation, second, agent=AGENT)
    assert names(conversation, first) == ["a.txt"]
    assert names(conversation, second) == ["a.txt", "b.txt", "c.txt"]
    conversation.interrupt(second)
    third = conversation.retry(second, agent=AGENT)
    assert names(conversation, third) == ["a.txt", "b.txt", "c.txt"]
    file = conversation.files[conversation.turn(first)["message_id"]][0]
    assert file_in(conversation, file["id"])["name"] == "a.txt"
    with pytest.raises(NotFound):
        file_in(conversation, str(uuid4()))


def test_a_conversation_holds_only_so_much_in_files():
    conversation, first = asked()
    attach(conversation, first, [a_file(text="x" * (MOST_OF_CONVERSATION - 5))])
    conversation.complete(first, Reply(content="Noon."))
    second = conversation.post(content="And this?", agent=AGENT)
    with pytest.raises(FilesFull):
        attach(conversation, second, [a_file(text="123456")])
    attach(conversation, second, [a_file(text="12345")])


def test_a_fork_has_the_files_that_were_given_until_then_as_its_own():
    origin, first = asked()
    attach(origin, first, [a_file()])
    origin.complete(first, Reply(content="Noon."))
    second = origin.post(content="And?", agent=AGENT)
    attach(origin, second, [a_file("b.txt")])
    origin.complete(second, Reply(content="Noon."))
    answer = origin.turn(first)["reply"]["id"]
    made = fork(origin, Cut.after(origin, answer), id=uuid4(), subject=None, principal=origin.principal)
    turn = next(iter(made.turns))
    [file] = files_until(made, turn)
    assert file["name"] == "a.txt"
    assert file["id"] not in str(origin.files)


def test_the_newest_files_are_told_whole_as_far_as_there_is_room():
    files = [{**a_file(text="x" * size), "id": id} for id, size in (("a", 10), ("b", 100), ("c", 5), ("d", 100))]
    assert told_whole(files, 100) == {"d"}
    assert told_whole(files[:3], 100) == {"a", "c"}
    assert told_whole([], 100) == set()


def test_rare_words_count_more_than_frequent_ones_and_what_shares_none_is_not_found():
    texts = ["The holidays of staff", "The holidays of Bonn", "The holidays", "Of lunch"]
    assert [place for place, _ in ranked("Are there holidays in Bonn?", texts)] == [1, 0, 2]
    assert ranked("Is it so?", texts) == []
