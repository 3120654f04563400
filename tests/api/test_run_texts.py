"""Texts of runs end by their age: their days' keys are destroyed, and nothing else is lost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.event_store.data_keys import DataKeys
from commands.runs.retention import RETENTION, EndRunTexts, period
from domain.run import TEXTS
from tests.support.model_server import ModelServer, Reply
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.server import serving
from tests.support.talks import Talks, talks

CANARY = "canary-5b2e"


@pytest.fixture
async def talk(handbook: None, database: Database, tmp_path: Path, server: ModelServer) -> AsyncIterator[Talks]:
    async with serving(database, tmp_path, MAGNET_RUN_TEXTS_DAYS=30) as magnet, talks(magnet, server) as made:
        yield made


def ending(talk: Talks, day: date, days_later: int) -> EndRunTexts:
    """Give the work as it is so many days after a day."""
    container = talk.magnet.container
    keys = DataKeys(container.pool, container.keyring)
    today = day + timedelta(days=days_later)
    return EndRunTexts(bus=container.bus, keys=keys, log=container.log, days=30, today=lambda: today)


async def a_run(talk: Talks, server: ModelServer, subject: str | None = None) -> Any:
    server.script_for("chat-model", Reply(text=f"HEY {CANARY}"))
    body = {"variables": {"words": CANARY}} | ({"subject": subject} if subject else {})
    made = await talk.magnet.do("POST", "/v1/prompts/shout/run", body)
    return await talk.run(made["run_id"])


@pytest.mark.parametrize("subject", [None, "person-1"])
async def test_after_so_many_days_a_run_shows_what_it_took_and_not_what_was_said(
    talk: Talks, server: ModelServer, subject: str | None
):
    before = await a_run(talk, server, subject)
    day = datetime.fromisoformat(before["started_at"]).date()
    assert CANARY in str(before["output"]) and CANARY in str(before["steps"])
    server.script_for("chat-model", Reply(text="Thirty."))
    path = await talk.begin(subject=subject)
    await talk.say(path, f"How many, {CANARY}?")
    assert await ending(talk, day, 30).end(30) == [], "the thirtieth day is not over"
    assert await ending(talk, day, 31).end(30) == [str(day)]
    assert await ending(talk, day, 40).end(30) == [], "once"
    talk.magnet.container.store.forget_said()
    after = await talk.run(before["id"])
    assert CANARY not in str(after)
    assert (after["input"], after["output"]) == ("[erased]", "[erased]")
    for name in ("outcome", "usage", "cost", "versions", "duration_ms", "target"):
        assert after[name] == before[name]
    assert CANARY in str(await talk.see(path)), "conversations are kept"
    [event] = (await talk.magnet.get("/v1/events?type=run_texts.destroyed"))["items"]
    assert event["data"] == {"days": [str(day)]}
    assert (await talk.magnet.get("/v1/audit/verify"))["ok"]


async def test_a_worker_looks_by_itself_and_again_later(talk: Talks):
    async with asyncio.timeout(PATIENCE):
        while True:
            waiting = await talk.magnet.container.jobs.waiting(RETENTION, [RETENTION])
            if waiting and not waiting[RETENTION].running:
                break
            await asyncio.sleep(0.02)
    assert waiting[RETENTION].error is None


@pytest.mark.parametrize("destroyed", ["somebody", period(TEXTS, "2026-01-31")])
async def test_the_key_of_a_day_and_that_of_a_subject_both_open_or_nothing_does(talk: Talks, destroyed: str):
    keys = DataKeys(talk.magnet.container.pool, talk.magnet.container.keyring)
    day = period(TEXTS, "2026-01-31")
    await keys.ensure(["somebody", day])
    sealed, alone = keys.seal("somebody", CANARY, b"here", day), keys.seal("somebody", CANARY, b"here")
    assert keys.unseal(sealed, b"here") == CANARY
    await keys.destroy(destroyed)
    await keys.fetch([sealed["key"], sealed["with"]])
    assert keys.unseal(sealed, b"here") == "[erased]"
    assert keys.unseal(alone, b"here") == (CANARY if destroyed == day else "[erased]")
