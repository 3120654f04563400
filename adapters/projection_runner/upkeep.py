"""Upkeep of a read model's tables, by the process that owns it, beside what follows the log."""

import asyncio
from collections.abc import Callable, Mapping

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.ending import end_tasks
from adapters.projection_runner.batch import ReadModel

EVERY = 1.0
"""Seconds between two looks whether there is something to be done."""

LATER = 5.0
"""The same where something was left since it still grew: what pauses for less goes on growing."""

log = structlog.get_logger(__name__)


class Upkeep:
    """Keeps one schema of a read model in order; `position` tells how far the model is."""

    def __init__(
        self, pool: AsyncConnectionPool, model: ReadModel, schema: str, position: Callable[[], int] = lambda: 0
    ) -> None:
        self._pool = pool
        self._model = model
        self._schema = schema
        self._position = position
        self._task: asyncio.Task[None] | None = None

    async def once(self) -> None:
        """Bring the tables in order, leaving nothing for later."""
        await self._look(None)

    async def _look(self, before: Mapping[str, int] | None) -> Mapping[str, int] | None:
        """Bring the tables in order; return what was left for the next look, None where that tries it all again."""
        if self._model.upkeep is None:
            return {}
        try:
            return await self._model.upkeep(self._pool, self._schema, before)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("upkeep_waits", schema=self._schema, error=type(error).__name__)
        except Exception as error:  # else the tables would be kept by nobody until they have another owner
            log.exception("upkeep_failed", schema=self._schema, error=type(error).__name__)
        return None

    def begin(self) -> None:
        """Keep them in order from now on."""
        if self._model.upkeep is not None:
            self._task = asyncio.create_task(self._run(), name=f"upkeep of {self._schema}")

    async def end(self) -> None:
        """Let go of the tables, whatever is under way."""
        if self._task is not None:
            await end_tasks(self._task)
            self._task = None

    async def _run(self) -> None:
        done = -1
        left: Mapping[str, int] = {}
        while True:
            position = self._position()
            if position != done or left:
                found = await self._look(left)
                done, left = (-1, left) if found is None else (position, found)
            await asyncio.sleep(LATER if left else EVERY)
