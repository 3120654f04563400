"""The shared behaviour of configuration things against a plain model, through bus, log and replay."""

import asyncio
import copy
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.tool_servers.apis import OpenAPISpecifications
from commands.bus import Bus
from commands.configuration import (
    Archive,
    ChangeThing,
    CreateThing,
    Publish,
    RemoveLabel,
    Restore,
    RollBack,
)
from commands.handlers import handlers
from commands.ports import SYSTEM, Context, Receipt
from domain.configuration import Configuration
from domain.errors import Archived, DomainError, Invalid, NotFound, StaleVersion
from domain.prompt import Prompt
from domain.provider import Provider
from domain.references import identify
from projections.history import History
from tests.support.fakes import NoAnswers, PlainBox, PlainRenderer
from tests.support.log import ReadSide, read_side
from tests.support.postgres import Database, fresh_database
from tests.support.reading import NoTokenizers

T = TypeVar("T")
WHICH = st.integers(0, 10**6)
"""Which of the versions there are, or of the moments noted."""

TEXTS = st.sampled_from(["a", "b", "c"])
TAGS = st.sampled_from([[], ["x"], ["x", "y"]])
LABELS = st.sampled_from(["live", "staging", "canary"])
VARIANTS = st.none() | st.fixed_dictionaries({"text": TEXTS, "weight": st.integers(0, 2)})


@dataclass(frozen=True, kw_only=True)
class State:
    """What a thing is at a version, and the type of the event that made it so."""

    definition: Mapping[str, Any]
    labels: Mapping[str, int]
    archived: bool
    type: str


class ConfigurationMachine(RuleBasedStateMachine):
    """One thing, driven at random; the plain model is a list of what it was at each version."""

    database: ClassVar[Database]
    KIND: ClassVar[type[Configuration]]
    FIRST: ClassVar[Mapping[str, Any]]
    """What the model knows of its definition, as it begins."""

    EVENTS: ClassVar[Mapping[str, str]]
    """Field -> the event that sets it, in the order in which the kind records them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.context = read_side(self.database)
        self.side: ReadSide = self.run(self.context.__aenter__())
        self.history = History(streams=self.side.store, log=self.side.log)
        self.bus = Bus(
            self.side.store,
            handlers(
                secrets=PlainBox(),
                renderer=PlainRenderer(),
                answers=NoAnswers(),
                things=self.side.store,
                specifications=OpenAPISpecifications(),
                tokenizers=NoTokenizers(),
            ),
            NoAnswers(),
        )
        self.states: list[State] = []
        self.moments: list[tuple[datetime, int]] = []

    def teardown(self) -> None:
        self.run(self.side.log.head())
        self.run(self.context.__aexit__(None, None, None))
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def dispatch(self, command: Any) -> Receipt:
        receipt = self.run(self.bus.dispatch(command, Context(actor=SYSTEM)))
        assert receipt.version == self.version
        self.moments.append((datetime.now(UTC), self.version))
        return receipt

    def refused(self, command: Any, error: type[DomainError]) -> None:
        with pytest.raises(error):
            self.run(self.bus.dispatch(command, Context(actor=SYSTEM)))

    @property
    def version(self) -> int:
        return len(self.states)

    @property
    def newest(self) -> State:
        return self.states[-1]

    @property
    def archived(self) -> bool:
        return bool(self.states) and self.newest.archived

    def happened(self, event: str, **values: Any) -> None:
        self.states.append(replace(self.newest, type=f"{self.KIND.TOPIC}.{event}", **values))

    def one_of(self, which: int) -> int:
        """Return the number of a version."""
        return which % self.version + 1

    def is_draft(self, state: State) -> bool:
        if "live" not in state.labels:
            return False
        live = self.states[state.labels["live"] - 1].definition
        return any(live[field] != state.definition[field] for field in self.EVENTS if field != "tags")

    @initialize()
    def create(self) -> None:
        # Every example has a thing of its own: names are never reused.
        self.name = f"p{self.run(self.side.log.head())}"
        self.id = identify(self.KIND.TOPIC, self.name)
        labels = {"live": 1} if self.KIND.LABELLED else {}
        self.states = [
            State(definition=self.FIRST, labels=labels, archived=False, type=f"{self.KIND.TOPIC}.created"),
        ]
        self.dispatch(CreateThing(kind=self.KIND, name=self.name, body=self.FIRST))

    def is_live(self) -> bool:
        """Whether all that it is now runs; of a kind without labels that is always so."""
        if not self.KIND.LABELLED:
            return True
        return self.states[self.newest.labels["live"] - 1].definition == self.newest.definition

    def change(self, patch: Mapping[str, Any], *, publish: bool) -> None:
        before = self.version
        for field, event in self.EVENTS.items():
            value = patch.get(field, self.newest.definition[field])
            if isinstance(value, dict):  # merged, and null takes away
                merged = {**self.newest.definition[field], **value}
                value = {key: each for key, each in merged.items() if each is not None}
            if value != self.newest.definition[field]:
                self.happened(event, definition={**self.newest.definition, field: value})
        if publish and self.KIND.LABELLED and (self.version > before or not self.is_live()):
            self.happened("published", labels={**self.newest.labels, "live": self.version + 1})
        self.dispatch(ChangeThing(kind=self.KIND, id=self.id, patch=patch, publish=publish))

    @precondition(lambda self: not self.archived)
    @rule(which=WHICH)
    def roll_back(self, which: int) -> None:
        version = self.one_of(which)
        old = self.states[version - 1].definition
        if old != self.newest.definition or not self.is_live():
            labels = {"live": self.version + 1} if self.KIND.LABELLED else {}
            self.happened("rolled_back", definition=old, labels={**self.newest.labels, **labels})
        self.dispatch(RollBack(kind=self.KIND, id=self.id, version=version))

    @rule()
    def archive(self) -> None:
        if not self.archived:
            self.happened("archived", archived=True)
        self.dispatch(Archive(kind=self.KIND, id=self.id))

    @rule()
    def restore(self) -> None:
        if self.archived:
            self.happened("restored", archived=False)
        self.dispatch(Restore(kind=self.KIND, id=self.id))

    @rule(ahead=st.integers(1, 3))
    def what_is_stale_unknown_or_archived_is_refused(self, ahead: int) -> None:
        wrong, patch = self.version + ahead, {"tags": ["z"]}
        self.refused(ChangeThing(kind=self.KIND, id=self.id, patch=patch, if_match=wrong), StaleVersion)
        self.refused(RollBack(kind=self.KIND, id=self.id, version=wrong), Invalid)
        if self.archived:
            self.refused(ChangeThing(kind=self.KIND, id=self.id, patch=patch), Archived)

    @rule()
    def forget_the_cache(self) -> None:
        while self.side.store.take(self.id) is not None:
            pass
        self.side.store._past.clear()

    @rule(which=WHICH, other=WHICH)
    def the_past_is_told_as_it_was(self, which: int, other: int) -> None:
        version, later = self.one_of(which), self.one_of(other)
        self.assert_is(self.run(self.side.store.at_version(self.KIND, self.id, version)), version)
        moment, then = self.moments[which % len(self.moments)]
        found = orjson.loads(self.run(self.history.as_of(self.KIND, self.id, moment)))
        assert found["version"] == then
        assert {field: found[field] for field in self.EVENTS} == self.states[then - 1].definition
        told = self.run(self.history.diff(self.KIND, self.id, version, later))
        assert_leads(self.shown(version), told["changes"], self.shown(later))

    @rule()
    def the_history_tells_each_step(self) -> None:
        page = self.run(self.history.page(self.KIND, self.id, limit=500, oldest_first=True))
        assert page["next_cursor"] is None
        assert [item["version"] for item in page["items"]] == list(range(1, self.version + 1))
        assert [item["type"] for item in page["items"]] == [state.type for state in self.states]
        for item in page["items"][1:]:
            assert_leads(self.shown(item["version"] - 1), item["changes"], self.shown(item["version"]))

    def shown(self, version: int) -> dict[str, Any]:
        """Return what differences are made of."""
        state = self.states[version - 1]
        return {
            **state.definition,
            "archived": state.archived,
            **({"labels": state.labels} if self.KIND.LABELLED else {}),
        }

    @invariant()
    def the_log_tells_the_same_story(self) -> None:
        loaded = self.run(self.side.store.load(self.id))
        assert loaded is not None
        assert isinstance(loaded[0], self.KIND)
        self.assert_is(loaded[0], self.version)

    def assert_is(self, thing: Configuration, version: int) -> None:
        """See that a thing is what the model was at a version."""
        state = self.states[version - 1]
        assert thing.version == version
        assert thing.definition == self.KIND.normal(state.definition)
        assert {label: target["version"] for label, target in thing.labels.items()} == state.labels
        assert thing.archived == state.archived
        assert thing.is_draft == self.is_draft(state)
        plain = {field: value for field, value in thing.definition.items() if field != "variants"}
        assert thing.as_variant(thing.definition, "default") == plain
        for name, variant in state.definition.get("variants", {}).items():
            assert thing.as_variant(thing.definition, name) == {**plain, "text": variant["text"]}
        with pytest.raises(NotFound):
            thing.as_variant(thing.definition, "unknown")


class PromptMachine(ConfigurationMachine):
    """A kind with drafts, labels and variants."""

    KIND = Prompt
    FIRST: ClassVar[Mapping[str, Any]] = {"text": "a", "temperature": None, "variants": {}, "tags": []}
    EVENTS: ClassVar[Mapping[str, str]] = {
        "text": "text_changed",
        "temperature": "parameters_changed",
        "variants": "variants_changed",
        "tags": "tagged",
    }

    @precondition(lambda self: not self.archived)
    @rule(
        patch=st.fixed_dictionaries(
            {},
            optional={
                "text": TEXTS,
                "temperature": st.sampled_from([None, 0.5, 1.0]),
                "variants": st.dictionaries(st.sampled_from(["short", "long"]), VARIANTS),
                "tags": TAGS,
            },
        ),
        publish=st.booleans(),
    )
    def change_it(self, patch: dict[str, Any], publish: bool) -> None:
        self.change(patch, publish=publish)

    @precondition(lambda self: not self.archived)
    @rule(label=LABELS, which=WHICH)
    def publish(self, label: str, which: int) -> None:
        version = self.one_of(which)
        if self.newest.labels.get(label) != version:
            self.happened("published", labels={**self.newest.labels, label: version})
        self.dispatch(Publish(kind=self.KIND, id=self.id, version=version, label=label))

    @precondition(lambda self: not self.archived)
    @rule(label=st.sampled_from(["staging", "canary"]))
    def remove_label(self, label: str) -> None:
        if label in self.newest.labels:
            left = {name: version for name, version in self.newest.labels.items() if name != label}
            self.happened("label_removed", labels=left)
        self.dispatch(RemoveLabel(kind=self.KIND, id=self.id, label=label))

    @rule(ahead=st.integers(1, 3))
    def a_version_that_is_not_there_can_not_be_published(self, ahead: int) -> None:
        self.refused(Publish(kind=self.KIND, id=self.id, version=self.version + ahead), Invalid)


class ProviderMachine(ConfigurationMachine):
    """A kind of which each change is live at once."""

    KIND = Provider
    FIRST: ClassVar[Mapping[str, Any]] = {
        "type": "openai",
        "base_url": "https://a.example.com",
        "headers": {},
        "tags": [],
    }
    EVENTS: ClassVar[Mapping[str, str]] = {
        "type": "type_changed",
        "base_url": "base_url_changed",
        "headers": "headers_changed",
        "tags": "tagged",
    }

    @precondition(lambda self: not self.archived)
    @rule(
        patch=st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(["openai", "openai_compatible"]),
                "base_url": st.sampled_from(["https://a.example.com", "https://b.example.com/v1"]),
                "headers": st.dictionaries(st.sampled_from(["x-one", "x-two"]), st.none() | TEXTS),
                "tags": TAGS,
            },
        ),
        publish=st.booleans(),
    )
    def change_it(self, patch: dict[str, Any], publish: bool) -> None:
        self.change(patch, publish=publish)


def assert_leads(before: Mapping[str, Any], changes: Iterable[Mapping[str, Any]], after: Mapping[str, Any]) -> None:
    """See that changes lead from one state to another, and that each of them says what was there."""
    state = copy.deepcopy(dict(before))
    for change in changes:
        *inner, last = change["path"].split("/")[1:]
        place: Any = state
        for name in inner:
            place = place[name]
        assert (change["op"] == "add") == (last not in place)
        assert place.pop(last, None) == change["before"] != change["after"]
        if change["op"] != "remove":
            place[last] = change["after"]
    assert state == after


@pytest.mark.parametrize(
    ("machine", "examples"), [(PromptMachine, 15), (ProviderMachine, 8)], ids=["prompt", "provider"]
)
def test_any_sequence_of_commands_gives_what_a_plain_model_expects(
    postgres: EmbeddedPostgres, machine: type[ConfigurationMachine], examples: int
):
    with fresh_database(postgres) as database:
        machine.database = database
        test = machine.TestCase
        test.settings = settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        test("runTest").runTest()
