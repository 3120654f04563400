"""The layout's promises, checked."""

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent

from adapters.event_store.mapper import EventMapper, UnknownTopic
from adapters.postgres.migrations import migrations
from domain import AGGREGATES, CONFIGURATIONS
from domain.configuration_events import changed_fields
from domain.event_types import event_classes
from domain.references import identify
from projections import PROJECTIONS
from tests.support.event_schema import event_schema

ROOT = Path(__file__).parent.parent
PAYLOADS = Path(__file__).parent / "payloads"
LOCK = Path(__file__).parent / "event_schema.lock.json"


@cache
def present_schema() -> dict[str, Any]:
    return event_schema()


def test_stored_events_keep_their_schema():
    assert present_schema() == json.loads(LOCK.read_text()), (
        "An event's shape is public: add a version and an upcast, and keep the retired payload in tests/payloads. "
        "For a new event write the lock anew: python -m tests.write_event_schema"
    )


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.json")), ids=lambda path: path.stem)
def test_a_payload_of_every_version_ever_stored_can_still_be_read(path: Path):
    topic, _, _ = path.stem.partition("@")
    stored = StoredEvent(
        originator_id=identify("payload", "x"), originator_version=1, topic=topic, state=path.read_bytes()
    )
    event = EventMapper(AGGREGATES).to_domain_event(stored)
    fields = present_schema()["events"][topic]["fields"]
    assert set(fields) <= set(vars(event))


def test_there_is_a_payload_for_every_version_of_every_event():
    expected = {
        f"{topic}@{version}"
        for topic, schema in present_schema()["events"].items()
        for version in range(1, schema["version"] + 1)
    }
    assert {path.stem for path in PAYLOADS.glob("*.json")} == expected


def test_an_unknown_topic_is_refused_and_never_imported():
    stored = StoredEvent(originator_id=identify("payload", "x"), originator_version=1, topic="os:system", state=b"{}")
    with pytest.raises(UnknownTopic):
        EventMapper(AGGREGATES).to_domain_event(stored)


@pytest.mark.parametrize("kind", CONFIGURATIONS, ids=lambda kind: kind.TOPIC)
def test_every_field_of_a_definition_has_exactly_one_event_that_sets_it(kind):
    set_by = [name for names in kind.change_events().values() for name in names]
    given_once = set(kind.FIXED)
    fields = {f.alias or name for name, f in kind.DEFINITION.model_fields.items()}
    assert sorted(set_by) == sorted(set(set_by))
    assert set(set_by) | given_once == fields
    assert all(changed_fields(event) for event in kind.change_events())


def test_topics_are_unique_and_begin_with_their_kind():
    topics = [(topic, each.TOPIC) for each in AGGREGATES for topic in event_classes(each)]
    assert len({topic for topic, _ in topics}) == len(topics)
    assert all(topic.startswith(f"{kind}.") for topic, kind in topics)


def test_every_projection_has_a_unique_name_that_ends_in_a_version():
    names = [projection.name for projection in PROJECTIONS]
    assert len(set(names)) == len(names)
    assert all(name.rpartition("_v")[2].isdigit() for name in names)


def test_every_kind_is_found_in_the_same_place_in_every_layer():
    for kind in CONFIGURATIONS:
        assert (ROOT / "domain" / f"{kind.TOPIC}.py").is_file()
        assert (ROOT / "tests" / "domain" / f"test_{kind.TOPIC}.py").is_file()


def test_migrations_are_numbered_one_after_the_other():
    """Two that were made at the same time have the same number until one of them is given the next."""
    assert migrations(), "they are read, and refused where a number is missing or used twice"


def test_no_file_of_the_product_is_too_long_to_be_read_at_once():
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    product = [name for name in listed.split() if not name.startswith(("tests/", "benchmarks/"))]
    long = {name for name in product if (ROOT / name).is_file() and len((ROOT / name).read_text().splitlines()) > 400}
    assert long == set()
