"""The public form of events."""

from collections.abc import AsyncIterator
from uuid import uuid4, uuid5

import pytest

from adapters.event_store.log import LogFilter
from domain.api_key import ApiKey
from domain.model import DefaultModel
from domain.prompt import Prompt
from domain.provider import Provider
from domain.tag import Tag
from projections.event_summaries import SAID, UNREADABLE, summary
from projections.event_types import event_types
from projections.events import event_id, public_events
from tests.support.log import ReadSide, read_side
from tests.support.postgres import Database


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made:
        yield made


def a_prompt(**definition: object) -> Prompt:
    return Prompt.create(name="greet", definition={"text": "a", **definition})


def said_of(aggregate: Prompt | Provider | ApiKey | DefaultModel | Tag) -> list[str]:
    return [summary(event) for event in aggregate.collect_events()]


async def test_an_event_has_the_contracts_fields_and_none_of_the_librarys(side: ReadSide):
    prompt = a_prompt()
    await side.record(prompt)
    [event] = await public_events(await side.log.read(0, 10, LogFilter()), side.log)
    assert list(event) == [
        "position", "id", "type", "kind", "aggregate_id", "name", "version", "recorded_at", "actor",
        "reason", "correlation_id", "causation_id", "summary", "data", "hash",
    ]  # fmt: skip
    assert (event["position"], event["version"], event["type"], event["kind"]) == (1, 1, "prompt.created", "prompt")
    assert (event["name"], event["aggregate_id"]) == ("greet", str(prompt.id))
    assert event["id"] == event_id(prompt.id, 1)
    assert event["actor"] == {"type": "system", "id": "system", "name": "system"}
    assert set(event["data"]) == {"name", "definition"}
    assert event["recorded_at"].endswith("Z") and len(bytes.fromhex(event["hash"])) == 32


async def test_the_name_is_told_with_later_events_too(side: ReadSide):
    prompt = a_prompt()
    prompt.archive()
    await side.record(prompt)
    events = await public_events(await side.log.read(1, 10, LogFilter()), side.log)
    assert [(event["version"], event["name"]) for event in events] == [(2, "greet")]


async def test_an_event_that_this_magnet_does_not_know_is_shown_without_its_data(side: ReadSide):
    await side.record(a_prompt())
    [entry] = await side.log.read(0, 1, LogFilter())
    object.__setattr__(entry, "event", object())
    [event] = await public_events([entry], side.log)
    assert (event["data"], event["summary"], event["type"]) == (None, UNREADABLE, "prompt.created")


def test_what_happened_is_said_in_plain_words():
    prompt = a_prompt()
    first = prompt.definition
    prompt.change(first | {"text": "b", "temperature": 0.5, "title": "T", "tags": ["x", "y"]})
    prompt.publish_newest()
    prompt.publish(label="beta", version=1, definition=first)
    prompt.remove_label("beta")
    prompt.roll_back(to_version=1, definition=first)
    prompt.archive()
    prompt.restore()
    assert said_of(prompt) == [
        "Created 'greet'",
        "Text changed",
        "Parameters changed",
        "Changed title or description",
        "Tagged as x, y",
        "Published version 6 as live",
        "Published version 1 as beta",
        "Removed the label beta",
        "Rolled back to version 1",
        "Archived",
        "Restored",
    ]


def test_a_secret_is_told_by_its_field_only():
    provider = Provider.create(name="oa", definition={"type": "openai", "base_url": "https://a.example.com"})
    provider.set_secret("api_key", hint="wxyz")
    provider.clear_secret("api_key", cause="deleted")
    provider.set_secret("api_key", hint="wxyz")
    provider.clear_secret("api_key", cause="origin_changed")
    assert said_of(provider)[1:] == [
        "Set the secret api_key",
        "Cleared the secret api_key",
        "Set the secret api_key",
        "Cleared the secret api_key, because the address moved to another origin",
    ]


def test_the_other_aggregates_speak_too():
    key = ApiKey.create(name="k", definition={})
    key.archive()
    assert said_of(key) == ["Created 'k'", "Revoked"]
    default = DefaultModel(kind="chat", model_id=str(uuid4()))
    default.choose(str(uuid4()))
    default.choose(None)
    assert said_of(default) == [
        "Chose the first default chat model",
        "Chose another default model",
        "Chose no model as the default",
    ]
    tag = Tag(tag="x")
    tag.rename("y", things=1)
    assert said_of(tag) == ["Noted the tag x, to rename it", "Renamed to y on 1 thing"]


@pytest.mark.parametrize(
    ("type_", "says"),
    [
        ("checkpoint.signed", "Vouched for the first "),
        ("run.started", "Began a run of "),
        ("run.finished", "Ended: "),
        ("sync.listed", "Listed "),
        ("document.failed", "Version "),
        ("subject.erased", "Erased what the subject said"),
        ("webhook.activity_changed", "Switched "),
    ],
)
def test_what_has_something_to_tell_is_not_only_named(type_: str, says: str):
    [found] = [each for each in event_types() if each["type"] == type_]
    assert found["example"]["summary"].startswith(says)


def test_every_sentence_belongs_to_an_event_and_is_made_of_what_it_holds():
    examples = {each["type"]: each["example"] for each in event_types()}
    assert SAID.keys() <= examples.keys()
    assert all(examples[type_]["summary"] for type_ in SAID)
    assert not any("PERSONAL" in example["summary"] for example in examples.values())


def test_an_events_id_is_the_version_5_uuid_of_its_stream_and_version():
    for version in (1, 7, 123_456):
        stream = uuid4()
        assert event_id(stream, version) == str(uuid5(stream, str(version)))
