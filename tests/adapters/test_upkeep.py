"""Upkeep of read models: begun again whatever it failed at."""

from collections.abc import Mapping

from psycopg_pool import AsyncConnectionPool

from adapters.postgres.pools import pool_of
from adapters.projection_runner.batch import ReadModel
from adapters.projection_runner.upkeep import Upkeep
from tests.support.log import CONFIGURATIONS
from tests.support.postgres import Database


async def test_upkeep_that_fails_at_what_is_not_there_any_more_is_tried_again(database: Database):
    looks = 0

    async def fails_once(_pool: AsyncConnectionPool, _schema: str, _: Mapping[str, int] | None) -> Mapping[str, int]:
        nonlocal looks
        looks += 1
        return {} if looks > 1 else {"space": {}["gone"]}

    model = ReadModel(projection=CONFIGURATIONS.projection, writer=CONFIGURATIONS.writer, upkeep=fails_once)
    async with pool_of(database.app_dsn, 1, 1) as pool:
        upkeep = Upkeep(pool, model, model.name)
        await upkeep.once()
        await upkeep.once()
    assert looks == 2
