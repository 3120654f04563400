"""Subject: a person whom conversations and runs are for, and what was done with what is held of them."""

from typing import Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain.configuration import Snapshot
from domain.references import identify


class Subject(Aggregate):
    """Whom something was asked or said for, as far as somebody asked for what is held of them, or for its erasure."""

    TOPIC = "subject"
    CACHED = False
    Snapshot = Snapshot

    class Created(Aggregate.Created):
        """Somebody asked for what is held of a subject, or for its erasure, for the first time."""

        TOPIC = "subject.created"
        subject: str

    class Exported(Aggregate.Event):
        """What is held of the subject was given out."""

        TOPIC = "subject.exported"

    class Erased(Aggregate.Event):
        """The subject's data key was destroyed: what they said can be read by nobody any more."""

        TOPIC = "subject.erased"

        def apply(self, aggregate: "Subject") -> None:
            aggregate.erased = True

    class AnswersRemoved(Aggregate.Event):
        """What repeats of the subject's requests would have been answered was removed."""

        TOPIC = "subject.answers_removed"
        answers: int

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.erased = False

    @classmethod
    def create_id(cls, subject: str) -> UUID:
        """Return the id of what is known of a subject."""
        return identify(cls.TOPIC, f"of {subject}")  # an id alone would stand for itself

    @classmethod
    def create(cls, *, subject: str) -> Self:
        """Make it for a subject about whom nothing was asked yet."""
        return cls(subject=subject)

    def export(self) -> None:
        """Note that what is held is given out."""
        self.trigger_event(self.Exported)

    def erase(self) -> None:
        """Note the erasure; once more does nothing."""
        if not self.erased:
            self.trigger_event(self.Erased)

    def remove_answers(self, count: int) -> None:
        """Note how many stored answers were removed."""
        self.trigger_event(self.AnswersRemoved, answers=count)
