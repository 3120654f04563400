"""What turns have done that changes something outside: begun before it is done, and never done twice unasked."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from eventsourcing.domain import Aggregate

if TYPE_CHECKING:
    from domain.conversation import Conversation

STARTED = "started"
"""The outcome of an action that was begun, and of which nothing more is known."""

UNKNOWN = "It is not known whether this was done: look before it is done again."
"""What is told of a call that changes something and whose answer did not come."""

BEFORE = (
    "In an attempt that was cut off, these were called already. Do none of them again unless the person asks for it."
)


class ActionBegun(Aggregate.Event):
    """The agent is about to do something that changes what is outside; what came of it follows, unless it dies."""

    TOPIC = "conversation.action_started"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"arguments"})
    turn: str
    call: str
    function: str
    type: str
    subject: str | None
    arguments: str

    def apply(self, aggregate: "Conversation") -> None:
        action = {
            "id": self.call,
            "function": self.function,
            "type": self.type,
            "arguments": self.arguments,
            "result": UNKNOWN,
            "outcome": STARTED,
            "duration_ms": 0.0,
            "changes": True,
        }
        aggregate.alter(self.turn, actions=[*aggregate.turns[self.turn]["actions"], action])


def begin_action(
    conversation: "Conversation", turn: str, *, call: str, function: str, type: str, arguments: str
) -> None:
    """Note that the agent is about to change something, in a turn that goes on."""
    conversation.must_go_on(turn)
    conversation.trigger_event(
        conversation.ActionBegun,
        turn=turn,
        call=call,
        function=function,
        type=type,
        subject=conversation.subject,
        arguments=arguments,
    )


def with_done(actions: Sequence[Mapping[str, Any]], done: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a turn's actions with one that was done, in the place of where it was begun."""
    for place in reversed(range(len(actions))):
        if actions[place]["id"] == done["id"] and actions[place]["outcome"] == STARTED:
            return [*actions[:place], {**actions[place], **done}, *actions[place + 1 :]]
    return [*actions, done]


def effects(turns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what was begun in turns that changes something."""
    return [action for turn in turns for action in turn["actions"] if action.get("changes")]


def told_of(turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what a model is told of the effects of turns that were cut off: a message, or none."""
    begun = [
        f"- {action['function']}({action['arguments']}): {action['outcome']}. {action['result']}"
        for action in effects(turns)
    ]
    return [{"role": "system", "content": "\n".join([BEFORE, *begun])}] if begun else []


def attempts_before(conversation: "Conversation", turn: str) -> list[dict[str, Any]]:
    """Return the turns that a turn tries again, the first first.

    Where its conversation is a fork to say something otherwise, what was said first was tried to be answered elsewhere:
    until there is an answer here, those are attempts before it, of which it is known what they have begun.
    """
    found: list[dict[str, Any]] = []
    earlier = conversation.turns[turn]["retry_of"]
    while earlier is not None:
        found.insert(0, conversation.turns[earlier])
        earlier = conversation.turns[earlier]["retry_of"]
    carried = carried_after(conversation, list(conversation.turns.values())[: conversation.turns[turn]["number"] - 1])
    return [{"actions": carried}, *found] if carried else found


def carried_after(conversation: "Conversation", turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what a fork was told of effects elsewhere, where none of its own turns so far has an answer."""
    answered = any(turn["state"] == "completed" and not turn["copied_from"] for turn in turns)
    return [] if answered else conversation.carried


def cut_off_before(conversation: "Conversation", turn: str) -> list[dict[str, Any]]:
    """Return the turns right before a turn that ended without an answer."""
    found: list[dict[str, Any]] = []
    for earlier in reversed(list(conversation.turns.values())[: conversation.turns[turn]["number"] - 1]):
        if earlier["state"] == "completed":
            break
        found.insert(0, earlier)
    return found
