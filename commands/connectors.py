"""Connectors: where documents come from, behind one port."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from commands.document import GivenDocument
from domain.errors import Conflict, DomainError


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
    """A document that a source has; another `version` means that it may have changed."""

    external_id: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All that a source has for us, and how many things it holds that are left out by its settings or kind."""

    documents: Sequence[Listed]
    left_out: int


class Connector(Protocol):
    """Lists and fetches the documents of one type of sources; `config` is the source's."""

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where a source may not be set so."""

    async def list(self, config: Mapping[str, Any]) -> Listing:
        """Return everything that the source has, or raise SourceUnavailable: never a part of it."""

    async def fetch(self, config: Mapping[str, Any], external_id: str) -> GivenDocument:
        """Return a document, or raise NotFetched or SourceUnavailable."""


Connectors = Mapping[str, Connector]
"""By the type of source."""


def connector_of(connectors: Connectors, type: str) -> Connector:
    """Return the connector of a type of sources, or raise NotSyncable."""
    if type not in connectors:
        raise NotSyncable(f"Sources that are synced are of type {', '.join(sorted(connectors))}; this one is not.")
    return connectors[type]
