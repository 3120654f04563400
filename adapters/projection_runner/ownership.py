"""Owning something of which there is to be one at a time in all processes: a projection, a relay."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Self

import psycopg
import structlog

from adapters.projection_runner.batch import SQL, Fenced
from adapters.projection_runner.follower import AWAY

LEAST_PAUSE, PAUSE, LONGEST_PAUSE = 0.1, 0.5, 2.0
"""Seconds between two tries to own it."""

Session = psycopg.AsyncConnection[Any]
log = structlog.get_logger(__name__)


class Ownership:
    """Owns names by locks of one session: one for all of them, since each costs PostgreSQL a process."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._session: Session | None = None
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def keep(self, name: str, work: Callable[[Session], Awaitable[None]]) -> NoReturn:
        """Do the work whenever no other process owns the name, for as long as it goes.

        The lock belongs to the session that the work is given: lost with it, also when the process dies. What
        the work writes is fenced besides (`take_over`), since a lost session is noticed late.
        """
        pause = LEAST_PAUSE
        while True:
            try:
                session = await self._connected()
                await session.execute(SQL["register"], {"projection": name})
                owned = await (await session.execute(SQL["try_own"], {"projection": name})).fetchone()
                if owned and owned[0]:
                    pause = LEAST_PAUSE
                    await _and_let_go(session, name, work)
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

    async def close(self) -> None:
        """End the session, and with it whatever it still owns."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _connected(self) -> Session:
        async with self._connecting:
            if self._session is None or self._session.closed:
                self._session = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
            return self._session


async def _and_let_go(session: Session, name: str, work: Callable[[Session], Awaitable[None]]) -> None:
    """Do the work, and leave the name to others after it; whoever cancels it ends the session."""
    try:
        await work(session)
    except Exception:  # whatever it is: a lock that is kept would keep every other process from doing better
        await _let_go(session, name)
        raise
    await _let_go(session, name)


async def _let_go(session: Session, name: str) -> None:
    try:
        await session.execute(SQL["let_go"], {"projection": name})
    except psycopg.Error:
        await session.close()  # what can't be let go alone goes with all else that the session owns


async def keep_owning(dsn: str, name: str, work: Callable[[Session], Awaitable[None]]) -> NoReturn:
    """Do the work whenever no other process owns the name, by a session of its own."""
    async with Ownership(dsn) as ownership:
        await ownership.keep(name, work)
