"""What a projection says that it takes is what it looks at: its position passes all else without asking it."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from adapters.projection_runner.batch import ReadModel
from api.read_models import READ_MODELS
from domain import AGGREGATES
from domain.event_types import event_classes
from projections.recorded import Recorded

EVENTS = [event for aggregate in AGGREGATES for event in event_classes(aggregate).values()]


class Untouchable:
    """A view on which nothing may be called."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was called")


@pytest.mark.parametrize("model", READ_MODELS, ids=lambda model: model.name)
async def test_a_projection_changes_nothing_for_events_that_it_does_not_take(model: ReadModel):
    others = [event for event in EVENTS if not issubclass(event, model.projection.takes)]
    assert 0 < len(others) < len(EVENTS)
    entries = [
        Recorded(number + 1, uuid4(), 1, datetime.now(UTC), event.__new__(event)) for number, event in enumerate(others)
    ]
    await model.projection.apply(entries, Untouchable())
