"""Deep research: how far an agent goes into a question before it answers, and what is kept of it step by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from eventsourcing.domain import Aggregate
from pydantic import Field

from domain.definition import Reference, Strict
from domain.pricing import Money

if TYPE_CHECKING:
    from domain.conversation import Conversation


class Research(Strict):
    """How an agent looks into a question before it answers."""

    questions: int = Field(6, ge=1, le=50, description="Sub-questions at most; two thirds of them are for the plan.")
    steps: int = Field(20, ge=1, le=500, description="Rounds of searching and reading, over all sub-questions.")
    at_once: int = Field(3, ge=1, le=10, description="Sub-questions that are looked into at the same time.")
    tokens: int | None = Field(
        None, ge=1, description="After so many it is answered with what there is; null = no limit."
    )
    cost: Money | None = Field(None, description="After so much it is answered with what there is; null = no limit.")
    model: Reference | None = Field(None, description="Plans, searches and notes; null = the agent's, which answers.")


def planned(questions: int) -> int:
    """Return how many of so many sub-questions a plan may have; the rest are for what turns out to be missing."""
    return questions - questions // 3


@dataclass(frozen=True, kw_only=True)
class Noted:
    """What was found out for a sub-question, counted from 1, in so many steps.

    `passages` are those that the notes cite, in the form that citations need, each with its number in the answer.
    """

    number: int
    question: str
    notes: str
    passages: Sequence[Mapping[str, Any]]
    steps: int

    def document(self) -> dict[str, Any]:
        """Return its public form."""
        return {
            "number": self.number,
            "question": self.question,
            "notes": self.notes,
            "passages": [dict(each) for each in self.passages],
            "steps": self.steps,
        }


@dataclass(kw_only=True)
class Progress:
    """How far the research of a turn has come; `enough` once a reflection has found nothing missing.

    `spent` is what it took: {usage: {total}, cost: {amount, currency}}.
    """

    questions: list[str] = field(default_factory=list)
    notes: list[Noted] = field(default_factory=list)
    enough: bool = False
    spent: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, recorded: Mapping[str, Any] | None) -> Self:
        """Return how far it has come by what a conversation keeps of it."""
        if recorded is None:
            return cls()
        notes = [Noted(**each) for each in recorded["notes"]]
        # What was recorded before it was noted has none.
        spent = recorded.get("spent")
        return cls(questions=list(recorded["questions"]), notes=notes, enough=recorded["enough"], spent=spent)

    @property
    def steps(self) -> int:
        """The steps that were taken for what is noted."""
        return sum(each.steps for each in self.notes)

    def ended(self, most: int) -> str | None:
        """Return why nothing is left to be looked into, with so many sub-questions at most: `enough` or `questions`."""
        if self.open or not self.questions:
            return None
        return "enough" if self.enough else "questions" if len(self.questions) >= most else None

    @property
    def open(self) -> list[tuple[int, str]]:
        """The sub-questions without notes, each with its number."""
        noted = {each.number for each in self.notes}
        return [(number, question) for number, question in enumerate(self.questions, 1) if number not in noted]


def research_shown(turn: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the public form of the research of a turn; `ended` says by what it was ended, where it was."""
    recorded = turn["research"]
    if recorded is None:
        return None
    noted = {each["number"]: each for each in recorded["notes"]}
    nothing: dict[str, Any] = {"notes": None, "passages": [], "steps": 0}
    return {
        "questions": [
            noted.get(number, {"number": number, "question": question, **nothing})
            for number, question in enumerate(recorded["questions"], 1)
        ],
        "enough": recorded["enough"],
        "ended": turn["details"].get("research", {}).get("ended"),
    }


class ResearchPlanned(Aggregate.Event):
    """A question was taken apart into sub-questions."""

    TOPIC = "conversation.research_planned"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"questions"})
    turn: str
    subject: str | None
    questions: list[str]
    fell_back: bool

    def apply(self, aggregate: "Conversation") -> None:
        aggregate.alter(self.turn, research={"questions": self.questions, "notes": [], "enough": False})


class ResearchNoted(Aggregate.Event):
    """Something was found out for a sub-question, or that nothing can be."""

    TOPIC = "conversation.research_noted"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"question", "notes", "passages"})
    turn: str
    number: int
    subject: str | None
    question: str
    notes: str
    passages: list[dict[str, Any]]
    steps: int

    def apply(self, aggregate: "Conversation") -> None:
        known = aggregate.turns[self.turn]["research"]
        noted = {
            "number": self.number,
            "question": self.question,
            "notes": self.notes,
            "passages": self.passages,
            "steps": self.steps,
        }
        aggregate.alter(self.turn, research={**known, "notes": [*known["notes"], noted]})


class ResearchReflected(Aggregate.Event):
    """It was looked at what is missing: further sub-questions, or nothing (`enough`)."""

    TOPIC = "conversation.research_reflected"
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"questions"})
    turn: str
    subject: str | None
    questions: list[str]
    enough: bool
    fell_back: bool

    def apply(self, aggregate: "Conversation") -> None:
        known = aggregate.turns[self.turn]["research"]
        more = [*known["questions"], *self.questions]
        aggregate.alter(self.turn, research={**known, "questions": more, "enough": self.enough})


class ResearchSpent(Aggregate.Event):
    """What the research of a turn has taken so far, attempts before included: it counts at the bounds of the next."""

    TOPIC = "conversation.research_spent"
    turn: str
    tokens: int
    cost: dict[str, Any]

    def apply(self, aggregate: "Conversation") -> None:
        known = aggregate.turns[self.turn]["research"]
        spent = {"usage": {"total": self.tokens}, "cost": self.cost}
        aggregate.alter(self.turn, research={**known, "spent": spent})


def note_spent(conversation: "Conversation", turn: str, spent: Mapping[str, Any] | None) -> None:
    """Note what the research of a turn has taken until now, where that is known."""
    if spent:
        tokens, cost = spent["usage"]["total"], dict(spent["cost"])
        conversation.trigger_event(conversation.ResearchSpent, turn=turn, tokens=tokens, cost=cost)


def plan_research(
    conversation: "Conversation",
    turn: str,
    questions: Sequence[str],
    *,
    fell_back: bool,
    spent: Mapping[str, Any] | None = None,
) -> None:
    """Note into which sub-questions that of a turn that goes on was taken apart."""
    conversation.must_go_on(turn)
    conversation.trigger_event(
        conversation.ResearchPlanned,
        turn=turn,
        subject=conversation.subject,
        questions=list(questions),
        fell_back=fell_back,
    )
    note_spent(conversation, turn, spent)


def note_research(
    conversation: "Conversation", turn: str, noted: Noted, *, spent: Mapping[str, Any] | None = None
) -> None:
    """Note what was found out in a turn that goes on."""
    conversation.must_go_on(turn)
    conversation.trigger_event(conversation.ResearchNoted, turn=turn, subject=conversation.subject, **noted.document())
    note_spent(conversation, turn, spent)


def reflect_research(
    conversation: "Conversation",
    turn: str,
    questions: Sequence[str],
    *,
    fell_back: bool,
    spent: Mapping[str, Any] | None = None,
) -> None:
    """Note what is missing in a turn that goes on; no further questions: nothing."""
    conversation.must_go_on(turn)
    conversation.trigger_event(
        conversation.ResearchReflected,
        turn=turn,
        subject=conversation.subject,
        questions=list(questions),
        enough=not questions,
        fell_back=fell_back,
    )
    note_spent(conversation, turn, spent)
