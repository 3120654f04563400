"""Owning something of which there is to be one at a time in all processes: a projection, a relay."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import psycopg
import structlog

from adapters.projection_runner.batch import SQL, Fenced
from adapters.projection_runner.follower import AWAY

LEAST_PAUSE, PAUSE, LONGEST_PAUSE = 0.1, 0.5, 2.0
"""Seconds between two tries to own it."""

Session = psycopg.AsyncConnection[object]
log = structlog.get_logger(__name__)


async def keep_owning(dsn: str, name: str, work: Callable[[Session], Awaitable[None]]) -> NoReturn:
    """Do the work whenever no other process owns the name, for as long as it goes.

    The lock belongs to the session that the work is given: lost with it, also when the process dies. What
    the work writes is fenced besides (`take_over`), since a lost session is noticed late.
    """
    pause = LEAST_PAUSE
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as session:
                await session.execute(SQL["register"], {"projection": name})
                owned = await (await session.execute(SQL["try_own"], {"projection": name})).fetchone()
                if owned and owned[0]:
                    pause = LEAST_PAUSE
                    await work(session)
            pause = PAUSE
        except Fenced:
            log.warning("projection_fenced", projection=name)
        except (*AWAY, psycopg.Error) as error:
            log.warning("projection_waits", projection=name, error=type(error).__name__)
            pause = min(2 * pause, LONGEST_PAUSE)
        except Exception as error:  # without its owner a projection would stand still, and nobody would hear of it
            log.exception("projection_failed", projection=name, error=type(error).__name__)
            pause = LONGEST_PAUSE
        await asyncio.sleep(pause)
