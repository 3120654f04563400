"""The events that every kind of configuration thing has, each kind under its own topics."""

from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from eventsourcing.domain import Aggregate

if TYPE_CHECKING:
    from domain.configuration import Configuration

LIVE = "live"
"""The label of the version that runs."""


class ConfigurationEvent(Aggregate.Event):
    """Something that happened to a configuration thing."""

    def apply(self, aggregate: "Configuration") -> None: ...


class Created(ConfigurationEvent, Aggregate.Created):
    """It was made; where the kind has labels, version 1 is live."""

    name: str
    definition: dict[str, Any]


class Changed(ConfigurationEvent):
    """Base of the events that set a group of the definition's fields."""

    def apply(self, aggregate: "Configuration") -> None:
        aggregate.definition = aggregate.definition | self.values()

    def values(self) -> dict[str, Any]:
        """Return the fields this event sets, by name."""
        return {name: getattr(self, name) for name in changed_fields(type(self))}


class Described(Changed):
    """Its title or description changed."""

    title: str
    description: str


class Tagged(Changed):
    """Its tags changed."""

    tags: list[str]


class Published(ConfigurationEvent):
    """A label was pointed at a version; `live` is what runs."""

    label: str
    version: int
    definition: dict[str, Any]

    def apply(self, aggregate: "Configuration") -> None:
        aggregate.labels = aggregate.labels | {self.label: {"version": self.version, "definition": self.definition}}


class LabelRemoved(ConfigurationEvent):
    """A label was taken away."""

    label: str

    def apply(self, aggregate: "Configuration") -> None:
        aggregate.labels = {k: v for k, v in aggregate.labels.items() if k != self.label}


class RolledBack(ConfigurationEvent):
    """A new version equal to an old one, which runs at once."""

    to_version: int
    definition: dict[str, Any]

    def apply(self, aggregate: "Configuration") -> None:
        aggregate.definition = self.definition
        if aggregate.LABELLED:
            aggregate.labels = aggregate.labels | {
                LIVE: {"version": self.originator_version, "definition": self.definition}
            }


class SecretSet(ConfigurationEvent):
    """A secret was stored beside the log; the event holds at most its last 4 characters."""

    field: str
    hint: str

    def apply(self, aggregate: "Configuration") -> None:
        aggregate.secrets = aggregate.secrets | {self.field: self.hint}


class SecretCleared(ConfigurationEvent):
    """A secret was removed: by request, or because the address it belongs to changed."""

    field: str
    cause: str

    def apply(self, aggregate: "Configuration") -> None:
        aggregate.secrets = {k: v for k, v in aggregate.secrets.items() if k != self.field}


class ArchivedAway(ConfigurationEvent):
    """It was archived: it keeps its name, leaves lists and does not run."""

    def apply(self, aggregate: "Configuration") -> None:
        aggregate.archived = True


class Restored(ConfigurationEvent):
    """It was taken back from the archive."""

    def apply(self, aggregate: "Configuration") -> None:
        aggregate.archived = False


# Name of the event class -> last part of each kind's topic for it.
SHARED_EVENTS = {
    "Created": "created",
    "Described": "described",
    "Tagged": "tagged",
    "RolledBack": "rolled_back",
    "ArchivedAway": "archived",
    "Restored": "restored",
}
LABEL_EVENTS = {"Published": "published", "LabelRemoved": "label_removed"}
SECRET_EVENTS = {"SecretSet": "secret_set", "SecretCleared": "secret_cleared"}


@cache
def changed_fields(event: type[Aggregate.Event]) -> tuple[str, ...]:
    """Return the names of the definition's fields that a change event sets."""
    common = {"originator_id", "originator_version", "timestamp"}
    return tuple(field.name for field in fields(event) if field.name not in common)
