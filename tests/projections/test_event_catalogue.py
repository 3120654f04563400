"""The catalogue of events says what is true of every event, in the docs and over HTTP."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from api.event_schemas import EVENT
from domain import AGGREGATES
from domain.event_types import event_classes
from projections.event_catalogue import markdown
from projections.event_types import event_types

PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def test_the_page_is_what_the_events_say():
    assert PAGE.read_text("utf-8") == markdown(), "Make it anew: python -m tests.write_event_schema"


def test_every_registered_event_stands_in_it_with_what_it_means():
    known = {topic for aggregate in AGGREGATES for topic in event_classes(aggregate)}
    assert {each["type"] for each in event_types()} == known
    assert all(each["description"].endswith(".") and "originator" not in each["description"] for each in event_types())
    said = {each["type"]: each["description"] for each in event_types()}
    assert said["prompt.published"] == "A label was pointed at a version; `live` is what runs."
    assert said["document.removed"] == "It is gone: from the source, or by request."
    assert all(f"### {topic} (version " in markdown() for topic in known)


@pytest.mark.parametrize("event", event_types(), ids=lambda event: event["type"])
def test_every_example_has_the_public_form_and_every_field(event: dict[str, Any]):
    example = event["example"]
    assert jsonschema_rs.is_valid(dict(EVENT), example)
    assert (example["type"], example["kind"]) == (event["type"], event["kind"])
    assert set(example["data"]) == set(event["fields"])
    assert {name for name, value in example["data"].items() if value == "[personal]"} == set(event["personal"])
