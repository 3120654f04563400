"""The catalogue of events says what is true of every event, in the docs and over HTTP."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from api.event_schemas import EVENT, asyncapi_document, type_schema
from domain import AGGREGATES
from domain.event_types import event_classes
from projections.event_catalogue import markdown
from projections.event_types import event_types
from projections.integration_events import cloud_event

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


def test_every_field_of_every_event_has_a_meaning():
    unsaid = [(each["type"], name) for each in event_types() for name in each["fields"] if name not in each["meanings"]]
    assert not unsaid, "Say in projections/event_meanings.py what these mean."


def test_messages_are_described_with_the_fields_of_their_events():
    document = asyncapi_document(topic="magnet.events", servers=None)
    for event in event_types():
        message = cloud_event(event["example"], "/magnet/x")
        payload = document["components"]["messages"][event["type"]]["payload"]
        takes = jsonschema_rs.validator_for({**payload, "components": document["components"]})
        assert takes.is_valid(message), (event["type"], next(takes.iter_errors(message)))
        for name, value in message["data"]["data"].items():
            if event["fields"][name] != "Any":
                wrong = message["data"]["data"] | {name: object_unlike(value)}
                assert not takes.is_valid({**message, "data": {**message["data"], "data": wrong}}), (
                    event["type"],
                    name,
                )


def object_unlike(value: Any) -> Any:
    """Return a value of another type."""
    return [[[]]] if isinstance(value, dict) else {"": {"": [None]}}


@pytest.mark.parametrize(
    ("written", "takes", "refuses"),
    [
        ("list[dict[str, int]] | None", [None, [], [{"a": 1}]], [{}, [{"a": "1"}], [1], 5]),
        ("dict[str, str] | None", [None, {"a": "b"}], [[], {"a": 1}]),
        ("dict[str, dict[str, Any]]", [{}, {"a": {"b": [1]}}], [{"a": 1}, None]),
        ("int | None", [1, None], [1.5, "1", True]),
        ("float", [1, 1.5], ["1", None]),
    ],
)
def test_a_type_as_it_is_written_has_a_schema(written: str, takes: list[Any], refuses: list[Any]):
    for values, wanted in ((takes, True), (refuses, False)):
        assert [jsonschema_rs.is_valid(type_schema(written), value) for value in values] == [wanted] * len(values)


def test_a_type_that_nobody_thought_of_is_told():
    with pytest.raises(ValueError, match="complex"):
        type_schema("complex")
