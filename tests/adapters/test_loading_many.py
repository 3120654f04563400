"""Many aggregates are loaded at once without holding up whatever else the process does."""

import asyncio
import contextlib
from typing import Any

import pytest

from adapters.event_store.store import BREATH
from domain.prompt import Prompt
from tests.support.log import read_side
from tests.support.postgres import Database


async def test_whatever_else_is_due_has_its_turn_while_many_aggregates_are_loaded(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    turns = 0

    async def something_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with read_side(database) as side:
        made = [Prompt.create(name=f"p{number}", definition={"text": "Hello"}) for number in range(5 * BREATH)]
        await side.record(*made)
        at_each: list[int] = []
        decode = side.mapper.to_domain_event

        def noted(stored: Any) -> Any:
            at_each.append(turns)
            return decode(stored)

        monkeypatch.setattr(side.mapper, "to_domain_event", noted)
        other = asyncio.create_task(something_else())
        found = await side.store.newest_of(Prompt, [each.id for each in made])
        other.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await other
    assert set(found) == {each.id for each in made}
    assert len(at_each) == len(made)
    assert max(at_each.count(turn) for turn in set(at_each)) <= BREATH
