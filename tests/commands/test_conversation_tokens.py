"""Tokens of conversations: they say what they were made for, and nothing that was changed is believed."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest.mock import AsyncMock
from uuid import UUID, uuid4

import pytest

from adapters.keyring import Keyring
from adapters.secrets import KeyringSecretBox
from commands.conversations.conversation_tokens import Claims, ConversationTokens
from commands.conversations.queued_turns import BeginQueuedTurns
from commands.conversations.turn_work import Say
from commands.jobs import Job
from commands.ports import Actor, Context
from domain.conversation import Conversation
from domain.turn import Reply
from tests.domain.test_conversation import asked

CLAIMS = Claims(
    conversation=UUID(int=7), origin="https://shop.example.com", expires_at=datetime(2026, 1, 31, 12, tzinfo=UTC)
)


@pytest.fixture
def tokens() -> ConversationTokens:
    return ConversationTokens(box=KeyringSecretBox(Keyring(bytes(32))))


def test_a_token_says_what_it_was_made_for(tokens: ConversationTokens):
    for claims in (CLAIMS, Claims(conversation=uuid4(), origin=None, expires_at=CLAIMS.expires_at)):
        assert tokens.read(tokens.signed(claims)) == claims


def test_no_character_of_a_token_can_be_changed(tokens: ConversationTokens):
    token = tokens.signed(CLAIMS)
    for place, character in enumerate(token):
        other = "A" if character != "A" else "B"
        changed = tokens.read(token[:place] + other + token[place + 1 :])
        # The last character of a part stands for fewer bits than it has: another one may say the same.
        assert changed is None or changed == CLAIMS
    assert tokens.read(token[:-1]) is None
    assert tokens.read(token + "A") is None


def test_a_token_of_another_key_is_not_believed(tokens: ConversationTokens):
    elsewhere = ConversationTokens(box=KeyringSecretBox(Keyring(bytes([1] * 32))))
    assert tokens.read(elsewhere.signed(CLAIMS)) is None


@pytest.mark.parametrize("text", ["", "mct_", "mct_e30.e30", "mgn_" + "0" * 32, "mct_" + "A" * 40 + "." + "A" * 43])
def test_what_is_no_token_says_nothing(tokens: ConversationTokens, text: str):
    assert tokens.read(text) is None


@dataclass
class Beginning:
    """Turns that note by whom they are begun."""

    actors: list[Actor] = field(default_factory=list)

    async def begin(self, command: Say, context: Context) -> None:
        self.actors.append(context.actor)


@pytest.mark.parametrize(("channel", "roles"), [("web", frozenset()), ("api", frozenset({"admin"}))])
async def test_what_a_visitor_said_while_a_turn_ran_is_answered_without_the_roles_of_the_key(
    channel: str, roles: frozenset[str]
):
    conversation, _ = asked()
    conversation.fail(asked_turn(conversation), code="failed", message="", reply=Reply(content=""))
    waits = {**asked_turn_document(conversation), "state": "queued", "channel": channel, "attributes": {}}
    conversation.turns = {**conversation.turns, waits["id"]: waits}
    turns, things = Beginning(), AsyncMock()
    things.newest.return_value = conversation

    async def key(principal: Any) -> Actor:
        return Actor(type="api_key", id="k", name="k", roles=frozenset({"admin"}), groups=frozenset({"staff"}))

    work = BeginQueuedTurns(bus=AsyncMock(), things=things, turns=turns, asking=key)  # type: ignore[arg-type]
    await work.carry_out([Job(id=uuid4(), kind=work.kind, key=str(conversation.id))])
    assert [(actor.roles, actor.groups) for actor in turns.actors] == [(roles, {"staff"})]


def asked_turn(conversation: Conversation) -> str:
    return next(iter(conversation.turns))


def asked_turn_document(conversation: Conversation) -> dict[str, Any]:
    return {**conversation.turns[asked_turn(conversation)], "id": str(uuid4()), "number": 2}
