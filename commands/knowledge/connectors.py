"""Connectors: where documents come from, behind one port."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

import orjson
from pydantic import BaseModel

from domain.definition import parse
from domain.errors import Conflict, DomainError, Invalid
from domain.knowledge_source import KnowledgeSource
from domain.references import escaped


class SourceUnavailable(DomainError):
    """The source can't be reached, or not all of it."""

    code = "source_unavailable"


class NotFetched(DomainError):
    """One document could not be fetched; the others can."""

    code = "not_fetched"


class NotSyncable(Conflict):
    """Nothing is fetched for sources of this type: documents are given to them."""

    code = "not_syncable"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A document that a source has; another `version` means that it may have changed.

    `version` None: the source tells none, so it is fetched each time, and compared by its content. `leads` False: it
    could not be seen whether it leads to others, so that what was taken before and is not listed is fetched too: only
    that tells whether it is gone. `wanted` False: it is left out; where it was taken before, it is fetched all the same.
    """

    external_id: str
    version: str | None
    leads: bool = True
    wanted: bool = True


FINDS: Final = object()
"""Marks a setting, by Annotated, by which documents are found and not made: a document is the same whatever it says."""


@dataclass(frozen=True, kw_only=True)
class GivenDocument:
    """A document as a source gives it. `acl` None: as the source says; `metadata` is a JSON object."""

    external_id: str
    title: str
    url: str | None
    media_type: str
    content: bytes
    metadata: Mapping[str, Any]
    acl: Sequence[str] | None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a connector looks: a source, its settings, and the secrets that open it."""

    source: UUID
    config: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    visit: UUID = field(default_factory=uuid4)
    """What is kept from listing to fetching is kept for one visit: a trial beside a sync shares nothing with it."""


class Connector(Protocol):
    """Lists and fetches the documents of one type of sources."""

    @property
    def config(self) -> type[BaseModel]:
        """What a source's settings are; its docstring tells a person what the connector does."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """Which secrets it may be given: name -> what it is."""

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where a source may not be set so, beyond what `config` says."""

    def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield everything that the source has, and None for each thing that is left out by its settings or kind.

        Raises SourceUnavailable where it can't tell all of it, and Invalid where the settings can't be right.
        """

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return a document, or raise NotFetched or SourceUnavailable.

        NotFetched with the code `gone` says that the source itself has it no more: what was taken of it is taken away.
        """

    def end(self, place: Place) -> None:
        """Drop what was kept for fetching: the sync is over, or another process goes on with it."""


Connectors = Mapping[str, Connector]
"""By the type of source."""


class SourceSecrets(Protocol):
    """The secrets of sources."""

    async def of(self, source: KnowledgeSource) -> Mapping[str, str]:
        """Return name -> secret."""


def connector_of(connectors: Connectors, type: str) -> Connector:
    """Return the connector of a type of sources, or raise NotSyncable."""
    if type not in connectors:
        raise NotSyncable(f"Sources that are synced are of type {', '.join(sorted(connectors))}; this one is not.")
    return connectors[type]


def must_fit(connector: Connector, config: Mapping[str, Any]) -> None:
    """Raise Invalid unless a source may be set so."""
    parse(connector.config, dict(config), "/config")
    connector.check(config)


def shape_of(connector: Connector, config: Mapping[str, Any]) -> str:
    """Return what changes with the settings that shape documents: with all that are not marked FINDS."""
    fields = connector.config.model_fields
    shaping = {
        name: value for name, value in config.items() if name not in fields or FINDS not in fields[name].metadata
    }
    return sha256(orjson.dumps(shaping, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def must_know(connector: Connector | None, secrets: Iterable[str]) -> None:
    """Raise Invalid unless a connector is given no other secrets than it asks for; None: nothing is fetched."""
    there = {} if connector is None else connector.secrets
    for name in secrets:
        if name not in there:
            known = ", ".join(sorted(there)) or "none"
            raise Invalid(
                f"Sources of this type have no such secret; they have: {known}.",
                code="unknown_secret",
                pointer=f"/secrets/{escaped(name)}",
            )
