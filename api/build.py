"""A process that builds one read model beside the live one: `python -m api.build NAME FENCE`, started by a runner.

It is given the database's address on its standard input, goes on from where its starter came to up to the end of the
log, and ends. What comes meanwhile, and the switch, are its starter's. Exit status 3: another owner has taken over.
"""

import asyncio
import os
import sys
from signal import SIGKILL

from adapters.child_processes import end_with_parent
from adapters.event_store.log import EventLog
from adapters.event_store.mapper import EventMapper
from adapters.postgres.pools import pool_of
from adapters.projection_runner.batch import SQL, Fenced
from adapters.projection_runner.follower import MOST_ALONE, Follower
from api.process import calm_collector
from api.read_models import READ_MODELS
from domain import AGGREGATES

OVERTAKEN = 3
NICE = 10
"""How much this yields to what answers people."""


async def build(dsn: str, name: str, fence: int) -> None:
    """Take every event of the log into the schema of the read model that is being built; or raise Fenced."""
    model = next(each for each in READ_MODELS if each.name == name)
    async with pool_of(dsn, 1, 4) as pool:
        log = EventLog(pool, EventMapper(AGGREGATES))
        schema = f"{name}__next"
        async with pool.connection() as connection:
            row = await (await connection.execute(SQL["position"], {"projection": schema})).fetchone()
        begun = 0 if row is None else int(row[0])
        follower = Follower(log, pool, model, schema=schema, fence=fence, position=begun, sifting=True, most=MOST_ALONE)
        await follower.refresh()
        while await follower.step():
            await follower.settle()  # who asks how far it is looks at what is written
        await follower.settle()


def main() -> int:
    """Build what the arguments say."""
    end_with_parent(SIGKILL)
    os.nice(NICE)
    calm_collector()
    try:
        asyncio.run(build(sys.stdin.read(), sys.argv[1], int(sys.argv[2])))
    except Fenced:
        return OVERTAKEN
    return 0


if __name__ == "__main__":
    sys.exit(main())
