"""Keys are looked up once for many requests, and never as they were before a change."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from adapters.postgres.credentials import Credentials
from tests.support.log import ReadSide, read_side
from tests.support.postgres import Database

MANY = 50


class Asked(Credentials):
    """Credentials that note what is asked of the database."""

    asked: list[str]

    async def _rows(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        self.asked.append(query)
        return await super()._rows(query, values)


@pytest.fixture
async def side(database: Database) -> AsyncIterator[ReadSide]:
    async with read_side(database) as made:
        yield made


@pytest.fixture
def credentials(side: ReadSide) -> Asked:
    made = Asked(side.pool, side.listener)
    made.asked = []
    return made


async def test_many_requests_at_once_ask_once_whether_there_is_a_key(credentials: Asked):
    assert not any(await asyncio.gather(*(credentials.any_exist() for _ in range(MANY))))
    assert credentials.asked == ["any_exist"]


async def test_many_requests_at_once_ask_once_for_their_keys(credentials: Asked, database: Database):
    key = uuid4()
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute(
            "INSERT INTO magnet.credentials (key_id, mac, name, roles, groups) VALUES (%s, 'm', 'n', '{admin}', '{}')",
            (key,),
        )
    found = await asyncio.gather(*(credentials.find(each) for each in [key, UUID(int=1)] * MANY))
    assert {None if each is None else each.id for each in found} == {key, None}
    assert credentials.asked == ["find", "find"], "one for each key"


async def test_who_asks_after_a_change_does_not_get_what_was_read_before_it(
    credentials: Asked, monkeypatch: pytest.MonkeyPatch
):
    begun, go, rows = asyncio.Event(), asyncio.Event(), credentials._rows

    async def held(query: str, values: Mapping[str, Any]) -> list[Any]:
        found = await rows(query, values)
        begun.set()
        await go.wait()
        return found

    monkeypatch.setattr(credentials, "_rows", held)
    before = asyncio.create_task(credentials.find(UUID(int=1)))
    await begun.wait()
    credentials.forget()
    after = asyncio.create_task(credentials.find(UUID(int=1)))
    go.set()
    await asyncio.gather(before, after)
    assert credentials.asked == ["find", "find"]
