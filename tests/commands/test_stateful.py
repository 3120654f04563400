"""The shared behaviour of configuration things against a plain model, through bus, log and replay."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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
from domain.errors import Archived, DomainError, Invalid, StaleVersion
from domain.prompt import Prompt
from domain.references import identify
from tests.support.fakes import NoAnswers, PlainBox, PlainRenderer
from tests.support.log import ReadSide, read_side
from tests.support.postgres import Database, fresh_database
from tests.support.reading import NoTokenizers

T = TypeVar("T")
TEXTS = st.sampled_from(["a", "b", "c"])
LABELS = st.sampled_from(["live", "staging", "canary"])


class ConfigurationMachine(RuleBasedStateMachine):
    """One prompt, driven at random; the plain model is a list of what it was at each version."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.context = read_side(self.database)
        self.side: ReadSide = self.run(self.context.__aenter__())
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
        self.versions: list[dict[str, Any]] = []
        self.labels: dict[str, int] = {}
        self.archived = False

    def teardown(self) -> None:
        self.run(self.side.log.head())
        self.run(self.context.__aexit__(None, None, None))
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def dispatch(self, command: Any) -> Receipt:
        return self.run(self.bus.dispatch(command, Context(actor=SYSTEM)))

    def refused(self, command: Any, error: type[DomainError]) -> None:
        try:
            self.dispatch(command)
        except error:
            return
        raise AssertionError(f"{command} was not refused")

    @property
    def version(self) -> int:
        return len(self.versions)

    @property
    def newest(self) -> dict[str, Any]:
        return self.versions[-1]

    @initialize()
    def create(self) -> None:
        # Every example has a thing of its own: names are never reused.
        self.name = f"p{self.run(self.side.log.head())}"
        self.id = identify("prompt", self.name)
        self.dispatch(CreateThing(kind=Prompt, name=self.name, body={"text": "a"}))
        self.versions.append({"text": "a", "temperature": None, "tags": []})
        self.labels["live"] = 1

    def changed(self, patch: dict[str, Any]) -> int:
        """Return how many events the model expects of a patch, and note them."""
        before = self.version
        for group in ("text", "temperature", "tags"):  # the order of the kind's events
            if group in patch and patch[group] != self.newest[group]:
                self.versions.append(self.newest | {group: patch[group]})
        return self.version - before

    @precondition(lambda self: not self.archived)
    @rule(
        text=TEXTS,
        temperature=st.sampled_from([None, 0.5, 1.0]),
        tags=st.sampled_from([[], ["x"], ["x", "y"]]),
        publish=st.booleans(),
    )
    def change(self, text: str, temperature: float | None, tags: list[str], publish: bool) -> None:
        patch = {"text": text, "temperature": temperature, "tags": tags}
        changes = self.changed(patch)
        if publish and (changes or self.versions[self.labels["live"] - 1] != self.newest):
            self.versions.append(self.newest)
            self.labels["live"] = self.version
        receipt = self.dispatch(ChangeThing(kind=Prompt, id=self.id, patch=patch, publish=publish))
        assert receipt.version == self.version

    @precondition(lambda self: not self.archived)
    @rule(label=LABELS, which=st.integers(0, 10**6))
    def publish(self, label: str, which: int) -> None:
        version = which % self.version + 1
        if self.labels.get(label) != version:
            self.versions.append(self.newest)
            self.labels[label] = version
        receipt = self.dispatch(Publish(kind=Prompt, id=self.id, version=version, label=label))
        assert receipt.version == self.version

    @precondition(lambda self: not self.archived)
    @rule(which=st.integers(0, 10**6))
    def roll_back(self, which: int) -> None:
        version = which % self.version + 1
        old, live = self.versions[version - 1], self.versions[self.labels["live"] - 1]
        if old != self.newest or live != self.newest:
            self.versions.append(old)
            self.labels["live"] = self.version
        assert self.dispatch(RollBack(kind=Prompt, id=self.id, version=version)).version == self.version

    @precondition(lambda self: not self.archived)
    @rule(label=st.sampled_from(["staging", "canary"]))
    def remove_label(self, label: str) -> None:
        if label in self.labels:
            del self.labels[label]
            self.versions.append(self.newest)
        assert self.dispatch(RemoveLabel(kind=Prompt, id=self.id, label=label)).version == self.version

    @rule()
    def archive(self) -> None:
        if not self.archived:
            self.archived = True
            self.versions.append(self.newest)
        assert self.dispatch(Archive(kind=Prompt, id=self.id)).version == self.version

    @rule()
    def restore(self) -> None:
        if self.archived:
            self.archived = False
            self.versions.append(self.newest)
        assert self.dispatch(Restore(kind=Prompt, id=self.id)).version == self.version

    @rule(ahead=st.integers(1, 3))
    def what_is_stale_unknown_or_archived_is_refused(self, ahead: int) -> None:
        wrong = self.version + ahead
        self.refused(ChangeThing(kind=Prompt, id=self.id, patch={"text": "z"}, if_match=wrong), StaleVersion)
        self.refused(Publish(kind=Prompt, id=self.id, version=wrong), Invalid)
        if self.archived:
            self.refused(ChangeThing(kind=Prompt, id=self.id, patch={"text": "z"}), Archived)

    @rule()
    def forget_the_cache(self) -> None:
        while self.side.store.take(self.id) is not None:
            pass

    @invariant()
    def the_log_tells_the_same_story(self) -> None:
        loaded = self.run(self.side.store.load(self.id))
        assert loaded is not None
        thing = loaded[0]
        assert isinstance(thing, Prompt)
        assert thing.version == self.version
        assert {name: thing.definition[name] for name in self.newest} == self.newest
        assert {label: target["version"] for label, target in thing.labels.items()} == self.labels
        assert thing.archived == self.archived
        first = self.run(self.side.store.at_version(Prompt, self.id, 1))
        assert first.definition["text"] == "a"


def test_any_sequence_of_commands_gives_what_a_plain_model_expects(postgres):
    with fresh_database(postgres) as database:
        ConfigurationMachine.database = database
        test = ConfigurationMachine.TestCase
        test.settings = settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        test("runTest").runTest()
