"""A worker process for tests: keeps the read model of a database up to date until its input ends.

Its input ends with the process that started it, however that one ends, so none is left behind.
"""

import asyncio
import sys

from tests.support.log import read_side, running
from tests.support.postgres import Database


async def work(dsn: str) -> None:
    database = Database(name="", owner_dsn=dsn, app_dsn=dsn)
    async with read_side(database) as side, running(side.runner()):
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
