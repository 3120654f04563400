"""Run texts: what was said in runs, kept only for some days where somebody wants that."""

from collections.abc import Sequence
from typing import Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain.configuration import Snapshot
from domain.references import identify
from domain.run import TEXTS


class RunTexts(Aggregate):
    """The texts of all runs, as far as they were ended by their age."""

    TOPIC = TEXTS
    CACHED = False
    Snapshot = Snapshot

    class Created(Aggregate.Created):
        """Texts were ended for the first time."""

        TOPIC = "run_texts.created"

    class Destroyed(Aggregate.Event):
        """The keys of these days were destroyed: what was said in their runs can be read by nobody any more."""

        TOPIC = "run_texts.destroyed"
        days: list[str]

    @classmethod
    def create_id(cls) -> UUID:
        """Return the id of the only one."""
        return identify(cls.TOPIC, "all")

    @classmethod
    def create(cls) -> Self:
        """Make it."""
        return cls()

    def destroy(self, days: Sequence[str]) -> None:
        """Note days whose texts end."""
        self.trigger_event(self.Destroyed, days=list(days))
