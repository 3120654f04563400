"""Syncs as runs: each is one of kind `sync`, begun and ended with it; what embeds its documents is a run by itself."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.knowledge_source import KnowledgeSource
from domain.references import identify
from domain.run import End, Run, Step
from domain.sync import Outcome, Sync


def run_of(sync: UUID) -> UUID:
    """Return the id of a sync's run."""
    return identify(Run.TOPIC, f"of sync {sync}")  # an id alone would stand for itself


def document_of(source: KnowledgeSource) -> dict[str, Any]:
    """Return a source at its version, as runs name what they use."""
    return {"id": str(source.id), "name": source.name, "version": source.version}


def begun(
    sync: UUID, source: KnowledgeSource, principal: Mapping[str, str], channel: str, attributes: Mapping[str, str]
) -> Run:
    """Return the run of a sync that begins: without a lease, since another job goes on where one is cut off."""
    return Run.start(
        id=run_of(sync),
        kind="sync",
        target={"kind": source.TOPIC, **document_of(source)},
        principal=principal,
        subject=None,
        channel=channel,
        attributes=attributes,
        input=None,
    )


def end_of(
    sync: Sync, outcome: Outcome, error: Mapping[str, Any] | None, source: Mapping[str, Any] | None, now: datetime
) -> End:
    """Return how a sync's run ends: one step, whose note counts the documents by what became of them."""
    took = max(0.0, round(1000 * (now - sync.created_on).total_seconds(), 3))
    step = Step(
        number=1,
        parent=None,
        kind="sync",
        name="documents",
        started_ms=0.0,
        duration_ms=took,
        outcome=outcome if error is None else error["code"],
        note={"sync": str(sync.id), "listed": sync.listed, **sync.totals},
    )
    return End(
        outcome=outcome,
        error=None if error is None else {"code": error["code"], "message": error["reason"]},
        duration_ms=took,
        first_token_ms=None,
        versions={} if source is None else {KnowledgeSource.TOPIC: dict(source)},
        steps=[step],
        output=None,
    )
