"""What is told of a conversation where it came from: its thread elsewhere, and which parts of it have arrived there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from domain.turn import content_of

if TYPE_CHECKING:
    from domain.conversation import Conversation

ASKED_AT_ONCE = 20
"""Decisions that one part asks for."""

PartKind = Literal["text", "confirmation", "decision", "failure"]


class ThreadNamed(Aggregate.Event):
    """It is held in a thread of a channel: what is said in it goes there."""

    TOPIC = "conversation.thread_named"
    channel: str
    thread: str

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.thread = {"channel": self.channel, "thread": self.thread}


class DeliveryBegun(Aggregate.Event):
    """A part is being sent: until it is told what came of it, it may have arrived or not."""

    TOPIC = "conversation.delivery_begun"
    turn: str
    part: str

    def apply(self, aggregate: "Conversation") -> None:
        _note(aggregate, self, state="begun", reference=None)


class Delivered(Aggregate.Event):
    """A part arrived; the reference is what the channel calls it."""

    TOPIC = "conversation.delivered"
    turn: str
    part: str
    reference: str

    def apply(self, aggregate: "Conversation") -> None:
        _note(aggregate, self, state="delivered", reference=self.reference)


class DeliveryFailed(Aggregate.Event):
    """A part could not be sent, and is not tried again."""

    TOPIC = "conversation.delivery_failed"
    turn: str
    part: str
    reason: str

    def apply(self, aggregate: "Conversation") -> None:
        _note(aggregate, self, state="failed", reference=None)


def _note(conversation: "Conversation", event: Any, **known: Any) -> None:
    conversation.deliveries = conversation.deliveries | {f"{event.turn}:{event.part}": known}


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something that is told in one piece. A `decision` belongs to the confirmation part `of`."""

    turn: str
    name: str
    kind: PartKind
    text: str = ""
    citations: Sequence[Mapping[str, Any]] = ()
    confirmations: Sequence[Mapping[str, Any]] = ()
    of: str | None = None

    @property
    def id(self) -> UUID:
        """The same for the same part, however often it is sent."""
        return uuid5(UUID(self.turn), f"part:{self.name}")

    @property
    def key(self) -> str:
        """Under which a conversation keeps what came of it."""
        return f"{self.turn}:{self.name}"


def name_thread(conversation: "Conversation", *, channel: UUID, thread: str) -> None:
    """Note the thread that it is held in."""
    conversation.trigger_event(conversation.ThreadNamed, channel=str(channel), thread=thread)


def note_begun(conversation: "Conversation", part: Part) -> None:
    """Note that a part is being sent; a second time changes nothing."""
    if part.key not in conversation.deliveries:
        conversation.trigger_event(conversation.DeliveryBegun, turn=part.turn, part=part.name)


def note_delivered(conversation: "Conversation", part: Part, reference: str) -> None:
    """Note that a part arrived; nothing happens where that is known."""
    if not is_settled(conversation, part):
        conversation.trigger_event(conversation.Delivered, turn=part.turn, part=part.name, reference=reference)


def note_failed(conversation: "Conversation", part: Part, reason: str) -> None:
    """Note that a part is not sent; nothing happens where it is settled."""
    if not is_settled(conversation, part):
        conversation.trigger_event(conversation.DeliveryFailed, turn=part.turn, part=part.name, reason=reason)


def is_settled(conversation: "Conversation", part: Part) -> bool:
    """Return whether a part arrived, or is not tried any more."""
    return conversation.deliveries.get(part.key, {}).get("state") in ("delivered", "failed")


def due(conversation: "Conversation", longest: int) -> list[Part]:
    """Return the parts that are to be told yet, in their order; texts in pieces of at most so many characters."""
    if conversation.thread is None:
        return []
    pieces = [
        piece
        for turn in conversation.turns.values()
        if turn["copied_from"] is None
        for part in _parts(conversation, turn)
        for piece in _pieces(part, longest)
    ]
    return [piece for piece in pieces if not is_settled(conversation, piece)]


def _parts(conversation: "Conversation", turn: Mapping[str, Any]) -> list[Part]:
    """Return what a turn comes to elsewhere. What it said before it waited is told with the rest, unless it was told."""
    parts: list[Part] = []
    told = ""
    for number, leg in enumerate([*turn["legs"], turn], 1):
        text = Part(turn=turn["id"], name=f"text:{number}", kind="text", text=content_of(leg)[len(told) :].strip())
        over = leg is not turn or leg["state"] == "cancelled"
        if leg["state"] == "awaiting_confirmation" or _was_declined(turn, leg):
            if not over or text.key in conversation.deliveries:
                parts.append(text)
                told = content_of(leg)
            parts += _asked(conversation, turn["id"], number, leg, over=over)
        elif leg["state"] == "completed":
            parts.append(_with_citations(text, leg["reply"]["citations"]))
        elif leg["state"] in ("failed", "interrupted"):
            parts.append(Part(turn=turn["id"], name="failure", kind="failure"))
    return parts


def _asked(conversation: "Conversation", turn: str, number: int, leg: Mapping[str, Any], *, over: bool) -> list[Part]:
    """Return what is asked where a turn waits, some at a time; once it is `over`, what was decided of what was told."""
    all_of_it = [conversation.confirmations[each["id"]] for each in leg["pause"]["confirmations"]]
    parts = []
    for first in range(0, len(all_of_it), ASKED_AT_ONCE):
        name = f"{number}" if first == 0 else f"{number}.{first // ASKED_AT_ONCE + 1}"
        some = all_of_it[first : first + ASKED_AT_ONCE]
        ask = Part(turn=turn, name=f"confirmation:{name}", kind="confirmation", confirmations=some)
        if not over:
            parts.append(ask)
        elif ask.key in conversation.deliveries:
            parts.append(Part(turn=turn, name=f"decision:{name}", kind="decision", confirmations=some, of=ask.key))
    return parts


def _was_declined(turn: Mapping[str, Any], leg: Mapping[str, Any]) -> bool:
    """Return whether a turn ended by declining what it waited for."""
    return leg is turn and leg["state"] == "cancelled" and leg["pause"] is not None and not _is_earlier(turn)


def _is_earlier(turn: Mapping[str, Any]) -> bool:
    return any(leg["pause"] == turn["pause"] for leg in turn["legs"])


def _with_citations(part: Part, citations: Sequence[Mapping[str, Any]]) -> Part:
    return Part(turn=part.turn, name=part.name, kind=part.kind, text=part.text, citations=citations)


def _pieces(part: Part, longest: int) -> list[Part]:
    """Return a part as pieces that are short enough; the last one has the citations. Of an empty text there is none."""
    if part.kind != "text":
        return [part]
    texts = cut(part.text, longest)
    return [
        Part(
            turn=part.turn,
            name=part.name if number == 1 else f"{part.name}.{number}",
            kind=part.kind,
            text=text,
            citations=part.citations if number == len(texts) else (),
        )
        for number, text in enumerate(texts, 1)
    ]


def cut(text: str, longest: int) -> list[str]:
    """Return a text in pieces, cut at the end of a paragraph, a line or a word where there is one in the second half."""
    pieces = []
    while len(text) > longest:
        ends = (text.rfind(mark, longest // 2, longest) for mark in ("\n\n", "\n", " "))
        end = next((place for place in ends if place > 0), longest)
        pieces.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*pieces, text] if text else pieces
