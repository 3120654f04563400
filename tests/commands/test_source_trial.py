"""Trying a source out: what is proposed for its metadata, and how long it is waited for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import AsyncMock
from uuid import uuid4

import pytest

from commands.knowledge.connectors import Listed, Place, SourceUnavailable
from commands.knowledge.source_trial import SourceTrials, TrySource, proposed
from commands.ports import SYSTEM, Context
from domain.knowledge_source import KnowledgeSource


def test_each_value_of_a_sample_is_proposed_by_its_path_with_the_type_it_looks_like():
    metadata = {
        "author": "Ada", "pages": 3, "score": 0.5, "public": True, "changed": "2026-05-04T10:00:00Z", "day": "2026-05-04",
        "labels": ["a", "b"], "space": {"key": "DOC", "owner": {"name": "Bob"}}, "odd key!": "x", "nothing": None,
        "rows": [{"a": 1}], "not a day": "2026-99-99", "!!!": 1,
    }  # fmt: skip
    assert {name: (field["path"], field["type"]) for name, field in proposed(metadata).items()} == {
        "author": ("author", "text"), "pages": ("pages", "number"), "score": ("score", "number"),
        "public": ("public", "boolean"), "changed": ("changed", "time"), "day": ("day", "time"),
        "labels": ("labels", "list"), "space_key": ("space.key", "text"),
        "space_owner_name": ("space.owner.name", "text"), "odd_key": ("odd key!", "text"),
        "not_a_day": ("not a day", "text"),
    }  # fmt: skip


class Silent:
    """A source that never answers, and is told when nobody waits for it any more."""

    ended = left = False

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        try:
            await asyncio.Event().wait()
        finally:
            self.left = True
        yield None

    def end(self, place: Place) -> None:
        self.ended = True


async def test_a_source_that_does_not_answer_is_waited_for_only_so_long():
    source, things, bus, silent = (
        KnowledgeSource.create(name="docs", definition={"type": "sql"}),
        AsyncMock(),
        AsyncMock(),
        Silent(),
    )
    things.newest.return_value = source
    bus.earlier.return_value = None
    connectors: Any = {"sql": silent}
    trials = SourceTrials(bus=bus, things=things, connectors=connectors, secrets=AsyncMock(), seconds=0.01)
    with pytest.raises(SourceUnavailable, match=r"within 0\.01 s") as told:
        await trials.carry_out(TrySource(id=uuid4()), Context(actor=SYSTEM))
    assert told.value.error_code == "source_timed_out"
    assert silent.left and silent.ended
