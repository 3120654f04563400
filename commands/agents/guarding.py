"""What stands between a model and actions that change something: texts from outside never raise what it may do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from commands.agents.tool_actions import ToolFacts
from domain.agent import TOOLS
from domain.conversation import Conversation
from domain.conversation_files import files_until
from domain.turn import CLIENT_TOOL
from domain.turn_effects import attempts_before, cut_off_before, effects

OUTSIDE = TOOLS | {"rag_tool", "retrieval_tool", "files", "passages", CLIENT_TOOL}
"""Types of actions that bring texts from outside, as files do that are given with messages: whoever wrote a page, a mail or a ticket wrote them."""

TOLD_BY_CLIENTS = frozenset({"tool", "function", "assistant"})
"""Roles of messages that are texts from outside where no conversation tells what was read."""

REFUSED = frozenset({"declined", "confirmation_needed", "too_many_calls"})
"""Outcomes of calls that were not made."""

READ_BEFORE = (
    "Texts from outside (answers of tools, or documents) were read before this: agree only if it is what you want."
)
BEGUN_BEFORE = "An attempt before this one has begun to do it, and may have done it already: agree only to do it again."


@dataclass(kw_only=True)
class Exposure:
    """What a turn has read and called so far, whichever agents take part in it.

    `begun` are functions that an attempt before has begun to carry out, which change something.
    """

    outside: bool = False
    begun: frozenset[str] = frozenset()
    calls: Counter[str] = field(default_factory=Counter)

    @classmethod
    def before(cls, messages: Sequence[Mapping[str, Any]]) -> "Exposure":
        """Return what messages that belong to no conversation begin with.

        Results of a client's tools are texts from outside. So is what an assistant said before: what that had read is
        not among the messages, and it may repeat it.
        """
        return cls(outside=any(each["role"] in TOLD_BY_CLIENTS for each in messages))

    @classmethod
    def of(cls, conversation: Conversation, turn: str) -> "Exposure":
        """Return what a turn begins, or goes on, with: all that its conversation has read counts."""
        number = conversation.turns[turn]["number"]
        turns = list(conversation.turns.values())[:number]
        before = [*attempts_before(conversation, turn), *cut_off_before(conversation, turn)]
        return cls(
            outside=bool(files_until(conversation, turn))
            or any(
                action["type"] in OUTSIDE and action["outcome"] not in REFUSED
                for each in turns
                for action in each["actions"]
            ),
            begun=frozenset(action["function"] for action in effects(before)),
            calls=Counter(action["function"] for action in conversation.turns[turn]["actions"]),
        )


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Says of an agent's calls what must not happen by itself; `facts` are those of its tools, by function."""

    facts: Mapping[str, ToolFacts] = field(default_factory=dict)
    exposure: Exposure = field(default_factory=Exposure)
    allows_outside: bool = False

    def changes(self, function: str) -> bool:
        """Return whether a call changes something."""
        facts = self.facts.get(function)
        return facts is not None and facts.changes

    def asked(self, action: Mapping[str, Any]) -> bool:
        """Return whether a person must agree to each call of an action, whatever was read."""
        facts = self.facts.get(action.get("function", ""))
        return bool(action.get("requires_confirmation") or (facts is not None and facts.requires_confirmation))

    def doubt(self, function: str) -> str | None:
        """Return why a person must agree to a call as things stand; None: nothing stands against it."""
        if not self.changes(function):
            return None
        if function in self.exposure.begun:
            return BEGUN_BEFORE
        return READ_BEFORE if self.exposure.outside and not self.allows_outside else None

    def too_many(self, function: str) -> int | None:
        """Count a call; return how many there may be in a turn, where this is one more."""
        facts = self.facts.get(function)
        most = None if facts is None else facts.calls_per_turn
        if most is not None and self.exposure.calls[function] >= most:
            return most
        self.exposure.calls[function] += 1
        return None

    def saw(self, type: str) -> None:
        """Note that the result of an action of such a type is before the model."""
        if type in OUTSIDE:
            self.exposure.outside = True
