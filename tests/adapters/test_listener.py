"""The listener: it goes on whatever is told, and whatever those who hear make of it."""

import asyncio

import psycopg

from adapters.postgres.listener import Listener
from tests.support.patience import PATIENCE
from tests.support.postgres import Database


async def test_one_that_fails_at_what_it_hears_keeps_nobody_from_hearing_what_comes_then(database: Database):
    listener, looked, heard = Listener(database.app_dsn), asyncio.Semaphore(0), asyncio.Event()

    def chokes(payload: str | None) -> None:
        if payload == "no number":
            int(payload)

    listener.on("magnet_log", chokes)
    listener.on("magnet_jobs", lambda payload: looked.release() if payload is None else heard.set())
    await listener.open()
    try:
        async with (
            asyncio.timeout(PATIENCE),
            await psycopg.AsyncConnection.connect(database.app_dsn, autocommit=True) as connection,
        ):
            await looked.acquire()
            await connection.execute("NOTIFY magnet_log, 'no number'")
            await looked.acquire()  # it listens anew
            await connection.execute("NOTIFY magnet_jobs, 'errand'")
            await heard.wait()
    finally:
        await listener.close()
