"""given(an aggregate).when(it is asked).then(this happened): the grammar of domain tests."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

import pytest
from eventsourcing.domain import Aggregate, CanMutateAggregate

from domain.errors import DomainError

A = TypeVar("A", bound=Aggregate)


class Scenario(Generic[A]):
    """One decision of one aggregate."""

    def __init__(self, aggregate: A) -> None:
        self.aggregate = aggregate
        self.aggregate.collect_events()  # the past is not news

    def when(self, act: Callable[[A], Any]) -> Self:
        """Say what is asked of it."""
        self.act = act
        return self

    def then(self, *happened: tuple[type[CanMutateAggregate[Any]], dict[str, Any]]) -> A:
        """Show that exactly these events happened, with at least these fields; return the aggregate."""
        self.act(self.aggregate)
        events = self.aggregate.collect_events()
        assert [type(event) for event in events] == [kind for kind, _ in happened]
        for event, (_, fields) in zip(events, happened, strict=True):
            assert {name: getattr(event, name) for name in fields} == fields
        return self.aggregate

    def then_nothing(self) -> A:
        """Show that nothing happened."""
        return self.then()

    def then_refused(self, error: type[DomainError], code: str | None = None) -> DomainError:
        """Show that it refuses, and that nothing happened; return the refusal."""
        with pytest.raises(error) as refusal:
            self.act(self.aggregate)
        assert code is None or refusal.value.error_code == code
        assert list(self.aggregate.collect_events()) == []
        return refusal.value


given = Scenario
