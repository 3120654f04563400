"""Commands on configuration things of any kind, and how each is carried out."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from commands.bus import Done
from commands.ports import SecretBox, Unit
from commands.secret_fields import SecretChange, apply_secrets, split_secrets
from domain.configuration import Configuration, kind_there
from domain.configuration_events import LIVE
from domain.definition import merge_patch
from domain.errors import Invalid, NotFound
from domain.references import identify, places
from domain.tag import Tag

JSONObject = Mapping[str, Any]
Uses = set[tuple[str, str, UUID]]


@dataclass(frozen=True, kw_only=True)
class CreateThing:
    """Make a thing: `body` is its definition, and its secrets."""

    kind: type[Configuration]
    name: str
    body: JSONObject

    @property
    def stream(self) -> UUID:
        """The new thing's."""
        return identify(self.kind.TOPIC, self.name)


@dataclass(frozen=True, kw_only=True)
class OnThing:
    """Base of the commands on an existing thing; `if_match` is the version it must have."""

    kind: type[Configuration]
    id: UUID
    if_match: int | None = None

    @property
    def stream(self) -> UUID:
        """The thing's."""
        return self.id


@dataclass(frozen=True, kw_only=True)
class ChangeThing(OnThing):
    """Apply a JSON merge patch to the definition, and publish the outcome if asked to."""

    patch: JSONObject
    publish: bool = False


@dataclass(frozen=True, kw_only=True)
class Publish(OnThing):
    """Point a label at a version."""

    version: int
    label: str = "live"


@dataclass(frozen=True, kw_only=True)
class RemoveLabel(OnThing):
    """Take a label away."""

    label: str


@dataclass(frozen=True, kw_only=True)
class RollBack(OnThing):
    """Make a new version equal to an old one, and let it run."""

    version: int


@dataclass(frozen=True, kw_only=True)
class Archive(OnThing):
    """Archive a thing that nothing refers to."""


@dataclass(frozen=True, kw_only=True)
class Restore(OnThing):
    """Take a thing back from the archive."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a kind's own rules are told: the thing after its change, and its definition before."""

    thing: Configuration
    before: JSONObject | None
    unit: Unit


Rule = Callable[[Change], Awaitable[Mapping[str, Any] | None]]
"""A kind's own rule: may refuse, change other things with it, or return what is shown once."""


@dataclass(frozen=True, kw_only=True)
class ConfigurationHandlers:
    """Carries out the shared commands; `rules` adds what a single kind needs.

    `live_rules` adds what it needs when another version runs than before: those are told the definition that ran;
    `return_rules` what it needs when it is taken back.
    """

    secrets: SecretBox
    rules: Mapping[type[Configuration], Rule] = field(default_factory=dict)
    live_rules: Mapping[type[Configuration], Rule] = field(default_factory=dict)
    return_rules: Mapping[type[Configuration], Rule] = field(default_factory=dict)

    async def create(self, command: CreateThing, unit: Unit) -> Done:
        """Make a thing."""
        body, secret_changes = split_secrets(command.kind, command.body)
        thing = command.kind.create(name=command.name, definition=resolved(command.kind, body))
        await unit.must_be_absent(command.kind, thing.id)
        return await self._conclude(thing, None, set(), unit, secret_changes)

    async def change(self, command: ChangeThing, unit: Unit) -> Done:
        """Change a thing."""
        thing = await self._load(command, unit)
        body, secret_changes = split_secrets(command.kind, command.patch)
        if body.pop("name", thing.name) != thing.name:
            raise Invalid("A name never changes: make another thing.", code="fixed", pointer="/name")
        before, used, origin, live = thing.definition, uses(thing), thing.origin, thing.labels.get(LIVE)
        thing.change(resolved(command.kind, merge_patch(thing.definition, body)))
        thing.forget_secrets_of(origin)
        done = await self._conclude(thing, before, used, unit, secret_changes)
        if command.publish and thing.LABELLED:
            thing.publish_newest()
            self._note_uses(thing, used, unit)
            await self._apply_live_rule(thing, live, unit)
        return done

    async def publish(self, command: Publish, unit: Unit) -> Done:
        """Point a label at a version."""
        thing = await self._load(command, unit)
        used, live = uses(thing), thing.labels.get(LIVE)
        past = await self._past(command, command.version, thing, unit)
        thing.publish(label=command.label, version=command.version, definition=past.definition)
        self._note_uses(thing, used, unit)
        await self._apply_live_rule(thing, live, unit)
        unit.save(thing)
        return Done(aggregate=thing)

    async def remove_label(self, command: RemoveLabel, unit: Unit) -> Done:
        """Take a label away."""
        thing = await self._load(command, unit)
        used = uses(thing)
        thing.remove_label(command.label)
        self._note_uses(thing, used, unit)
        unit.save(thing)
        return Done(aggregate=thing)

    async def roll_back(self, command: RollBack, unit: Unit) -> Done:
        """Make a new version equal to an old one."""
        thing = await self._load(command, unit)
        before, used, origin, live = thing.definition, uses(thing), thing.origin, thing.labels.get(LIVE)
        past = await self._past(command, command.version, thing, unit)
        thing.roll_back(to_version=command.version, definition=past.definition)
        thing.forget_secrets_of(origin)
        await self._apply_live_rule(thing, live, unit)
        return await self._conclude(thing, before, used, unit, {})

    async def archive(self, command: Archive, unit: Unit) -> Done:
        """Archive a thing."""
        thing = await self._load(command, unit)
        if not thing.archived:
            used = uses(thing)
            thing.archive()
            unit.effect("unused", id=str(thing.id))
            unit.effect("archives", id=str(thing.id))
            self._note_uses(thing, used, unit)
            await self._apply_rules(thing, thing.definition, unit)
        unit.save(thing)
        return Done(aggregate=thing)

    async def restore(self, command: Restore, unit: Unit) -> Done:
        """Take a thing back."""
        thing = await self._load(command, unit)
        if thing.archived:
            used = uses(thing)
            thing.restore()
            unit.effect("restores", id=str(thing.id))
            self._note_uses(thing, used, unit)
            if (rule := self.return_rules.get(type(thing))) is not None:
                await rule(Change(thing=thing, before=thing.definition, unit=unit))
        unit.save(thing)
        return Done(aggregate=thing)

    async def _load(self, command: OnThing, unit: Unit) -> Configuration:
        thing = await unit.load(command.kind, command.id)
        thing.must_be_at(command.if_match)
        return thing

    async def _past(self, command: OnThing, version: int, thing: Configuration, unit: Unit) -> Configuration:
        if version == thing.version:
            return thing
        try:
            return await unit.at_version(command.kind, command.id, version)
        except NotFound:
            raise Invalid("There is no such version.", code="unknown_version", pointer="/version") from None

    async def _conclude(
        self,
        thing: Configuration,
        before: JSONObject | None,
        used: Uses,
        unit: Unit,
        secret_changes: Mapping[str, SecretChange],
    ) -> Done:
        apply_secrets(thing, secret_changes, self.secrets, unit)
        self._note_uses(thing, used, unit)
        shown = await self._apply_rules(thing, before, unit)
        unit.save(thing)
        return Done(aggregate=thing, shown=shown, once=frozenset(shown))

    async def _apply_rules(self, thing: Configuration, before: JSONObject | None, unit: Unit) -> Mapping[str, Any]:
        rule = self.rules.get(type(thing))
        return (rule and await rule(Change(thing=thing, before=before, unit=unit))) or {}

    async def _apply_live_rule(self, thing: Configuration, before: Mapping[str, Any] | None, unit: Unit) -> None:
        """Tell that another version runs than before."""
        rule = self.live_rules.get(type(thing))
        if rule is not None and before is not None and before != thing.labels[LIVE]:
            await rule(Change(thing=thing, before=before["definition"], unit=unit))

    def _note_uses(self, thing: Configuration, before: Uses, unit: Unit) -> None:
        """Have new references checked, and all uses written, with the append."""
        now = uses(thing)
        for pointer, kind, target in sorted(now - before):
            if target == thing.id:
                raise Invalid("It can't refer to itself.", code="self_reference", pointer=pointer)
            if kind != Tag.TOPIC:
                unit.effect("needs", kind=kind, id=str(target), pointer=pointer)
        if now != before:
            write_uses(thing, now, unit)


def uses(thing: Configuration) -> Uses:
    """Return (pointer, kind, id) of what a thing uses: what it refers to, and its tags."""
    tags = {("/tags", Tag.TOPIC, Tag.create_id(tag)) for tag in thing.definition["tags"]}
    return tags if thing.archived else tags | thing.references()


def write_uses(thing: Configuration, used: Uses, unit: Unit) -> None:
    """Have the append write what a thing uses."""
    targets = [{"path": pointer, "target": str(target)} for pointer, _, target in sorted(used)]
    unit.effect("uses", id=str(thing.id), kind=thing.TOPIC, name=thing.name, targets=targets)


def _a_kind(target: str) -> str:
    """Return how a sentence calls what a reference means; what a client says there is not repeated."""
    return f"a thing of the kind that '{target[1:]}' says" if target[0] == "@" else f"a {target.replace('_', ' ')}"


def resolved(kind: type[Configuration], definition: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Put ids where the definition refers by name, or by `{id, name}` as reads show it.

    Done in place: what a definition shares with an earlier one holds ids already. `prefix` is where it stands.
    """
    for path, target in kind.DEFINITION.REFERENCES.items():
        for pointer, container, key in places(definition, path):
            value, named = container[key], kind_there(target, container)
            if isinstance(value, dict) and set(value) <= {"id", "name"}:
                value = value.get("id") or value.get("name")
            if not isinstance(value, str) or not value or len(value) > 64:
                raise Invalid(
                    f"A reference is the id or the name of {_a_kind(target)}.",
                    code="invalid_reference",
                    pointer=prefix + pointer,
                )
            container[key] = str(identify(named, value))
    return definition
