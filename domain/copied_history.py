"""What a fork takes over from its origin: its turns, some of them in each event, and what was done in those left out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from eventsourcing.domain import Aggregate

from domain.turn import new_turn

if TYPE_CHECKING:
    from domain.conversation import Conversation

MOST_TOGETHER = 100
"""Turns in one event: whoever follows the log, a broker of messages too, is given events of a bounded size."""

LONGEST_TOGETHER = 400_000
"""Characters of what was said in the turns of one event; a turn in which more was said has one alone."""

UNREADABLE: dict[str, Any] = {"content": "[erased]"}
"""What stands for the texts of a copied turn whose speaker was erased."""


class HistoryContinued(Aggregate.Event):
    """The turns that follow those that a fork was begun with; `texts` has what was said in them, in their order."""

    TOPIC = "conversation.history_continued"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"texts"})
    subject: str | None
    turns: list[dict[str, Any]]
    texts: list[dict[str, Any]]

    def apply(self, aggregate: "Conversation") -> None:
        take_over(aggregate, self.turns, self.texts, self.originator_version)


class EffectsCarried(Aggregate.Event):
    """What the turns that a fork leaves out had begun that changes something: it is done outside, or may be."""

    TOPIC = "conversation.effects_carried"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"actions"})
    subject: str | None
    actions: list[dict[str, Any]]

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.carried = self.actions


def take_over(
    aggregate: "Conversation", turns: Sequence[Mapping[str, Any]], texts: Sequence[Mapping[str, Any]], version: int
) -> None:
    """Add turns of an origin, and what they say of who answers now and about what: for events only."""
    added = dict(aggregate.turns)
    for turn, text in zip(turns, texts or [UNREADABLE] * len(turns), strict=True):
        said = {name: value for name, value in text.items() if name != "files"}
        added[turn["id"]] = new_turn(**turn, **said, ended_version=version)
        if "files" in text:
            aggregate.files[turn["message_id"]] = text["files"]
        if turn["topic"] is not None and turn["topic"]["topic"] is not None:
            aggregate.topic = turn["topic"]["topic"]
        if turn["agent"]:
            aggregate.answering = (turn["handed_to"] or turn["agent"])["id"]
    aggregate.turns = added


def portions(
    turns: Sequence[Mapping[str, Any]], texts: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]]:
    """Yield turns and their texts in the portions that one event takes; of none, one that is empty."""
    first = length = 0
    for place, text in enumerate(texts):
        longer = sum(map(len, strings_in(text)))
        if place > first and (place - first == MOST_TOGETHER or length + longer > LONGEST_TOGETHER):
            yield list(turns[first:place]), list(texts[first:place])
            first, length = place, 0
        length += longer
    yield list(turns[first:]), list(texts[first:])


def strings_in(value: Any) -> Iterator[str]:
    """Yield all texts in a value of JSON."""
    match value:
        case str():
            yield value
        case Mapping():
            for each in value.values():
                yield from strings_in(each)
        case list() | tuple():
            for each in value:
                yield from strings_in(each)
