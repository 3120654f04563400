"""What a model is shown of a conversation that it is asked about."""

from commands.conversations.about_conversations import transcript
from domain.conversation_course import note_guardrail
from domain.turn import Reply
from tests.domain.test_conversation import AGENT, asked

FOUND = {"stage": "input", "guardrail": "pii", "findings": {"email": 1}}


def test_it_is_shown_what_was_said_but_what_was_masked_or_blocked_as_the_agent_was_told_it():
    conversation, turn = asked("I am ada@example.org.")
    note_guardrail(conversation, turn, found={**FOUND, "action": "mask"}, told="I am [email].")
    conversation.complete(turn, Reply(content="Hi."))
    turn = conversation.post(content="Also bob@example.org.", agent=AGENT)
    note_guardrail(conversation, turn, found={**FOUND, "action": "block"}, told=None)
    conversation.complete(turn, Reply(content="I can't answer that."))
    assert transcript(conversation) == "Person: I am [email].\n\nAgent: Hi.\n\nAgent: I can't answer that."
