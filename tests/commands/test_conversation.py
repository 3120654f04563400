"""Whose a conversation is."""

from uuid import uuid4

import pytest

from commands.agents.guarding import Exposure
from commands.conversations.conversation import owned
from domain.conversation import Conversation
from domain.conversation_files import attach
from domain.errors import NotFound
from tests.domain.test_conversation import asked
from tests.domain.test_conversation_files import a_file


def begun_by(type: str, id: str) -> Conversation:
    principal = {"type": type, "id": id, "name": id}
    return Conversation.begin(id=uuid4(), agent=uuid4(), subject=None, principal=principal, variables={}, welcome="")


def test_a_conversation_is_that_of_who_began_it():
    mine = begun_by("api_key", "a")
    assert owned(mine, {"type": "api_key", "id": "a", "name": "renamed"}) is mine
    for type, id in (("api_key", "b"), ("local", "a"), ("command_line", "a"), ("anonymous", "a")):
        with pytest.raises(NotFound):
            owned(mine, {"type": type, "id": id, "name": "a"})


def test_who_works_at_the_machine_itself_is_the_same_by_http_and_by_the_command_line():
    told = begun_by("command_line", "root")
    assert owned(told, {"type": "local", "id": "local", "name": "local"}) is told
    with pytest.raises(NotFound):
        owned(told, {"type": "api_key", "id": "root", "name": "root"})


def test_files_that_a_person_gave_are_texts_from_outside_before_anything_is_changed():
    conversation, turn = asked()
    assert not Exposure.of(conversation, turn).outside
    attach(conversation, turn, [a_file()])
    assert Exposure.of(conversation, turn).outside
