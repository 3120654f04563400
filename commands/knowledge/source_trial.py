"""Trying a knowledge source out: some documents are listed and one is fetched, and nothing is kept."""

import asyncio
import re
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from commands.bus import Bus
from commands.configuration import OnThing
from commands.knowledge.connectors import (
    Connectors,
    GivenDocument,
    Listed,
    Place,
    SourceSecrets,
    SourceUnavailable,
    connector_of,
)
from commands.knowledge.trials import ShowTrial
from commands.ports import Context, Receipt, Things
from commands.retrieval.retrieval import groups_of, may_find
from domain.errors import Archived
from domain.knowledge_source import KnowledgeSource

SHOWN = 10
"""Documents of which the ids are shown."""

TRIAL_SECONDS = 60.0
"""How long somebody is let wait who only wants to see whether it answers."""

FIELD = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True, kw_only=True)
class TrySource(OnThing):
    """Ask a source what it has."""

    kind: type[KnowledgeSource] = KnowledgeSource


@dataclass(frozen=True, kw_only=True)
class SourceTrials:
    """Asks sources, to see whether they answer and with what."""

    bus: Bus
    things: Things
    connectors: Connectors
    secrets: SourceSecrets
    seconds: float = TRIAL_SECONDS

    async def carry_out(self, command: TrySource, context: Context) -> Receipt:
        """Ask the source; raise NotFound, Archived, NotSyncable, or what says what is wrong with it."""
        receipt = await self.bus.earlier(context)
        if receipt is not None:
            return receipt
        source = await self.things.newest(KnowledgeSource, command.id)
        if source.archived:
            raise Archived("This knowledge source is archived: restore it first.")
        connector = connector_of(self.connectors, source.definition["type"])
        place = Place(source=source.id, config=source.definition["config"], secrets=await self.secrets.of(source))
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self.seconds) as limit:
                listed = await first_of(connector.list(place))
                given = await connector.fetch(place, listed[0].external_id) if listed else None
        except TimeoutError:
            if not limit.expired():
                raise
            raise SourceUnavailable(
                f"The source has not shown what it has within {self.seconds:g} s; a sync waits for longer.",
                code="source_timed_out",
            ) from None
        finally:
            connector.end(place)
        acl = source.definition["acl"] if given is None or given.acl is None else given.acl
        if not may_find(groups_of(context.actor), acl):
            given = None  # it is not for the caller's eyes
        shown = {
            "ok": True,
            "documents": [each.external_id for each in listed],
            "sample": None if given is None else sample(given),
            "proposed_metadata": {} if given is None else proposed(given.metadata),
            "duration_ms": round((time.perf_counter() - began) * 1000, 3),
        }
        show = ShowTrial(kind=KnowledgeSource, id=command.id, if_match=command.if_match, shown=shown)
        return await self.bus.dispatch(show, context)


async def first_of(listing: Any) -> list[Listed]:
    """Return the first documents that are listed, without asking for the others."""
    listed: list[Listed] = []
    async with aclosing(listing) as going:
        async for each in going:
            if each is not None and each.wanted:
                listed.append(each)
            if len(listed) == SHOWN:
                break
    return listed


def sample(given: GivenDocument) -> dict[str, Any]:
    """Return what is shown of a document."""
    return {
        "external_id": given.external_id,
        "title": given.title,
        "url": given.url,
        "media_type": given.media_type,
        "bytes": len(given.content),
        "metadata": dict(given.metadata),
        "acl": None if given.acl is None else list(given.acl),
    }


def proposed(metadata: Mapping[str, Any], path: str = "") -> dict[str, dict[str, str]]:
    """Return a mapping for a source's `metadata`: each value of a sample, by its path, with the type it looks like."""
    found: dict[str, dict[str, str]] = {}
    for key, value in metadata.items():
        here = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            found |= proposed(value, here)
        elif (kind := type_of(value)) is not None and (name := FIELD.sub("_", here).strip("_")):
            found[name] = {"path": here, "type": kind}
    return found


def type_of(value: Any) -> str | None:
    """Return the type of a metadata field that fits a value; None: none does."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "time" if is_time(value) else "text"
        case [*items] if all(isinstance(each, str | int | float) for each in items):
            return "list"
    return None


def is_time(text: str) -> bool:
    """Return whether a text is a date or a time in ISO form."""
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
