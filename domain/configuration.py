"""Configuration things: what providers, models, prompts and the like have in common.

A thing has a name, a definition (its newest version) and, where its kind has drafts, labels that
point at versions; `live` is what runs. Each kind declares its own events for groups of fields; the
events here are given to every kind under its own topics (`prompt.published`, ...).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import Aggregate, BaseAggregate
from eventsourcing.domain import Snapshot as LibrarySnapshot
from pydantic_core import to_jsonable_python

from domain import configuration_events, variants
from domain.configuration_events import (
    LABEL_EVENTS,
    LIVE,
    SECRET_EVENTS,
    SHARED_EVENTS,
    ArchivedAway,
    Changed,
    ConfigurationEvent,
    LabelRemoved,
    Published,
    Restored,
    RolledBack,
    SecretCleared,
    SecretSet,
    Tagged,
    changed_fields,
)
from domain.definition import Definition, parse, same
from domain.errors import Archived, Conflict, Invalid, StaleVersion
from domain.references import check_name, identify, places

SHARED_KINDS: Mapping[str, str] = {"api_tool": "tool_server", "mcp_tool": "tool_server"}
"""What a field may say of which the kind is called otherwise."""


def _of_any_kind() -> type[Definition]:
    """Return the base of definitions, typed so that each kind may put its own in its place."""
    return Definition


class Snapshot(LibrarySnapshot):
    """A thing's state at a version; its two times are text, so that the whole is plain JSON."""

    TOPIC = "snapshot"

    @classmethod
    def take(cls, aggregate: Any) -> Self:
        """Return the aggregate's present state."""
        taken = super().take(aggregate)
        times = {name: taken.state[name].isoformat() for name in ("_created_on", "_modified_on")}
        return replace(taken, state=taken.state | times)

    def mutate(self, _: None) -> "BaseAggregate[UUID]":
        """Return an aggregate in this state."""
        times = {name: datetime.fromisoformat(self.state[name]) for name in ("_created_on", "_modified_on")}
        return LibrarySnapshot.mutate(replace(self, state=self.state | times), None)


class Configuration(Aggregate):
    """Base of every configuration thing."""

    # No annotations here: the library would make a dataclass of the aggregate.
    TOPIC = ""
    DEFINITION = _of_any_kind()
    LABELLED = True
    """Whether the kind has drafts and labels; without, each change is live at once."""

    FIXED = frozenset[str]()
    """Fields that are given once and never change."""

    FURTHER = tuple[str, ...]()
    """What its state holds besides definition, labels and secrets; plain JSON, shown as it is."""

    Snapshot = Snapshot

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give the kind its own copy of each shared event, under its own topic."""
        shared = SHARED_EVENTS | (LABEL_EVENTS if cls.LABELLED else {})
        if cls.DEFINITION.SECRETS:
            shared |= SECRET_EVENTS
        for name, suffix in shared.items():
            if name not in cls.__dict__:
                base: type = getattr(configuration_events, name)
                body = {
                    "TOPIC": f"{cls.TOPIC}.{suffix}",
                    "__module__": cls.__module__,
                    "__qualname__": f"{cls.__qualname__}.{name}",
                    "__doc__": base.__doc__,
                }
                setattr(cls, name, type(base)(name, (base,), body))
        super().__init_subclass__(**kwargs)

    @classmethod
    def create_id(cls, name: str) -> UUID:
        """Return the id that the name stands for."""
        return identify(cls.TOPIC, name)

    def __init__(self, name: str, definition: dict[str, Any]) -> None:
        self.name = name
        self.definition = definition
        self.archived = False
        self.secrets: dict[str, str] = {}
        self.labels: dict[str, dict[str, Any]] = {}
        if self.LABELLED:
            self.labels = {LIVE: {"version": self.version, "definition": definition}}

    def happened(self, event: type[ConfigurationEvent], **values: Any) -> None:
        """Trigger the kind's own event of this shared one."""
        self.trigger_event(getattr(self, event.__name__), **values)

    # Decisions ---------------------------------------------------------------

    @classmethod
    def create(cls, *, name: str, definition: Mapping[str, Any]) -> Self:
        """Make a new thing, or raise Invalid."""
        return cls(name=check_name(name), definition=cls.normal(definition))

    @classmethod
    def normal(cls, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Return the definition with every field, checked and in its JSON form, or raise Invalid."""
        return parse(cls.DEFINITION, definition).model_dump(mode="json", by_alias=True)

    @classmethod
    def as_variant(cls, definition: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return the definition as the variant has it, or raise NotFound."""
        return variants.apply(definition, name)

    def change(self, definition: Mapping[str, Any]) -> None:
        """Set the definition: one event for each group of fields that differs."""
        self.must_be_active()
        wanted = self.normal(definition)
        present = complete(self.DEFINITION, self.definition)
        differing = {k for k, v in wanted.items() if k not in present or not same(v, present[k])}
        for name in sorted(differing & self.FIXED):
            raise Invalid(f"'{name}' is given once and never changes.", code="fixed", pointer=f"/{name}")
        for event, names in self.change_events().items():
            if differing & set(names):
                self.happened(event, **{name: wanted[name] for name in names})

    def publish(self, *, label: str, version: int, definition: Mapping[str, Any]) -> None:
        """Point a label at a version; `definition` is what the thing was at that version."""
        self.must_be_active()
        present = self.labels.get(label)
        if present is None or present["version"] != version:
            self.happened(Published, label=check_label(label), version=version, definition=dict(definition))

    def publish_newest(self) -> None:
        """Point `live` at the version that this very command leaves behind; nothing happens where it is that already."""
        if self.pending_events or not self.is_live:
            self.publish(label=LIVE, version=self.version + 1, definition=self.definition)

    def remove_label(self, label: str) -> None:
        """Take a label away; nothing happens where there is none."""
        self.must_be_active()
        if label == LIVE:
            raise Conflict("'live' is what runs and can't be removed.", code="live_label")
        if label in self.labels:
            self.happened(LabelRemoved, label=label)

    def roll_back(self, *, to_version: int, definition: Mapping[str, Any]) -> None:
        """Become what the thing was at a version; nothing happens where it is that already, live."""
        self.must_be_active()
        present, past = (complete(self.DEFINITION, each) for each in (self.definition, definition))
        if not same(past, present) or not self.is_live:
            self.happened(RolledBack, to_version=to_version, definition=dict(definition))

    def set_secret(self, field: str, *, hint: str) -> None:
        """Note that a secret was stored under this field; only its hint is told."""
        self.must_be_active()
        self.happened(SecretSet, field=field, hint=hint)

    def clear_secret(self, field: str, *, cause: str) -> None:
        """Note that the secret of this field was removed; nothing happens where there is none."""
        if field in self.secrets:
            self.happened(SecretCleared, field=field, cause=cause)

    @property
    def origin(self) -> str:
        """Scheme, host and port that its secrets are bound to; empty where there is no address."""
        return ""

    def forget_secrets_of(self, former_origin: str) -> None:
        """Clear every secret if the address is now of another origin than the given one."""
        if former_origin != self.origin:
            for field in sorted(self.secrets):
                self.clear_secret(field, cause="origin_changed")

    def retag(self, tag: str, to: str) -> None:
        """Carry another tag instead of this one; archived things take part in a renaming."""
        tags = list(dict.fromkeys(to if each == tag else each for each in self.definition["tags"]))
        if tags != self.definition["tags"]:
            self.happened(Tagged, tags=tags)

    def archive(self) -> None:
        """Archive it; whether something still refers to it is checked with the append."""
        if not self.archived:
            self.happened(ArchivedAway)

    def restore(self) -> None:
        """Take it back from the archive."""
        if self.archived:
            self.happened(Restored)

    # What is asked of it -----------------------------------------------------

    @property
    def is_draft(self) -> bool:
        """Whether the newest version would do something else than the live one."""
        live = self.labels.get(LIVE)
        return live is not None and is_draft(self.DEFINITION, self.definition, live["definition"])

    @property
    def is_live(self) -> bool:
        """Whether the live version is the same as the newest one, how it is shown included."""
        running = self.labels[LIVE]["definition"] if LIVE in self.labels else self.definition
        return same(complete(self.DEFINITION, running), complete(self.DEFINITION, self.definition))

    def must_be_active(self) -> None:
        """Raise Archived where it is."""
        if self.archived:
            raise Archived

    def must_be_at(self, version: int | None) -> None:
        """Raise StaleVersion unless no version is asked for or it is the present one."""
        if version is not None and version != self.version:
            raise StaleVersion(details={"current_version": self.version})

    def references(self) -> set[tuple[str, str, UUID]]:
        """Return (path, kind, id) of all that the newest and every labelled version refer to."""
        definitions = [self.definition, *(label["definition"] for label in self.labels.values())]
        return {reference for each in definitions for reference in references(self.DEFINITION, each)}

    @classmethod
    @cache
    def change_events(cls) -> Mapping[type[Changed], tuple[str, ...]]:
        """Return the kind's change events and the fields that each sets."""
        return {
            value: changed_fields(value)
            for value in vars(cls).values()
            if isinstance(value, type) and issubclass(value, Changed) and changed_fields(value)
        }


def is_draft(kind: type[Definition], newest: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Return whether two definitions differ in more than how the thing is shown."""
    shown = kind.PRESENTATION
    return not same(
        {k: v for k, v in complete(kind, newest).items() if k not in shown},
        {k: v for k, v in complete(kind, live).items() if k not in shown},
    )


def complete(kind: type[Definition], definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a definition with the defaults of the fields that its kind has gained since it was recorded."""
    defaults = _defaults(kind)
    return definition if defaults.keys() <= definition.keys() else defaults | dict(definition)


@cache
def _defaults(kind: type[Definition]) -> dict[str, Any]:
    """Return the fields that need not be given, as they are then, in their JSON form."""
    return {
        each.alias or name: to_jsonable_python(each.get_default(call_default_factory=True), by_alias=True)
        for name, each in kind.model_fields.items()
        if not each.is_required()
    }


def references(kind: type[Definition], definition: Mapping[str, Any]) -> Iterable[tuple[str, str, UUID]]:
    """Yield (JSON pointer, kind, id) of each thing that a definition refers to."""
    for path, target in kind.REFERENCES.items():
        for pointer, container, key in places(definition, path):
            yield pointer, kind_there(target, container), UUID(container[key])


def kind_there(target: str, container: Mapping[str, Any]) -> str:
    """Return the kind that a reference means: the one declared, or with `@x` what the field x beside it says."""
    if not target.startswith("@"):
        return target
    said = str(container.get(target[1:], ""))
    return SHARED_KINDS.get(said, said)


def check_label(label: str) -> str:
    """Return the label, or raise Invalid."""
    try:
        return check_name(label)
    except Invalid as error:
        raise Invalid(str(error).replace("name", "label"), code="invalid_label", pointer="/label") from None
