"""The runner: owns projections, follows the log with each, rebuilds beside and switches."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

import psycopg
import structlog
from psycopg import sql as statements
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.ending import end_tasks
from adapters.event_store.log import EventLog
from adapters.failpoints import failpoint
from adapters.postgres.listener import Listener
from adapters.projection_runner.batch import SQL, Fenced, ReadModel
from adapters.projection_runner.follower import LEAST, MOST, MOST_ALONE, Follower
from adapters.projection_runner.ownership import Ownership, Session
from adapters.projection_runner.upkeep import Upkeep
from domain.errors import Unavailable

SAFETY_POLL = 1.0
"""Seconds after which a projection looks at the log without having been woken."""

GATHER = 0.005
"""Seconds between two batches at least, while there is more to come."""

ROUND = 0.05
"""Seconds between the rounds in which read models take what nobody waits for: what follows the log yields to what answers
people. All read models of a process have the same rounds, so that they read the same section of the log, once."""

WANTED = 0.1
"""Seconds in which nothing waits so, after somebody at another process has asked for a position."""

BUILD_AGAIN = 5.0
"""Seconds from a rebuild that failed to the next try."""

STEPS_HERE = 10
"""Batches after which another process builds: its start takes as long as they do, and many read models take little."""

CLEAN_EVERY = 3600.0
log = structlog.get_logger(__name__)


class Positions:
    """How far each read model is, as far as this process has heard; readers wait on it."""

    def __init__(self) -> None:
        self._known: defaultdict[str, int] = defaultdict(int)
        self._moved = asyncio.Condition()
        self._waiting = 0
        self._wanted = asyncio.Event()
        self._elsewhere: asyncio.TimerHandle | None = None
        self.followed: set[str] = set()
        """The read models that this process brings on itself."""
        self._told: set[asyncio.Task[None]] = set()

    def passed(self, name: str, position: int) -> bool:
        """Return whether a read model is known to have passed a position."""
        return self._known[name] >= position

    def known(self, name: str) -> int:
        """Return the position that a read model is known to have passed."""
        return self._known[name]

    def heard(self, payload: str | None) -> None:
        """Take what other processes tell over PostgreSQL: `name:position`; None: it may have thrown back what they follow."""
        if payload is None:
            self._known = defaultdict(int, {name: self._known[name] for name in self.followed})
        name, _, position = (payload or "").rpartition(":")
        if name and position.isdigit():
            self.moved(name, int(position))

    def moved(self, name: str, position: int) -> None:
        """Note that a read model has passed a position."""
        if position > self._known[name]:
            self._known[name] = position
            if self._waiting:
                task = asyncio.get_running_loop().create_task(self._tell())
                self._told.add(task)
                task.add_done_callback(self._told.discard)

    def begun(self, name: str, position: int) -> None:
        """Note where a read model stands as it gets an owner: further back than it was, where PostgreSQL has crashed."""
        self._known[name] = min(self._known[name], position)
        self.moved(name, position)

    async def wait(self, name: str, position: int, seconds: float) -> bool:
        """Wait until a read model has passed a position; return whether it has."""
        if self.passed(name, position):
            return True
        self._waiting += 1
        self._wanted.set()
        try:
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self.passed(name, position))
            return True
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
            self._settle()

    def want(self) -> None:
        """Somebody at another process waits for a position."""
        if self._elsewhere is not None:
            self._elsewhere.cancel()
        self._elsewhere = asyncio.get_running_loop().call_later(WANTED, self._nobody_elsewhere)
        self._wanted.set()

    @property
    def asked_elsewhere(self) -> bool:
        """Whether somebody at another process has just asked: there only what is written is known."""
        return self._elsewhere is not None

    def _nobody_elsewhere(self) -> None:
        self._elsewhere = None
        self._settle()

    def _settle(self) -> None:
        """Note that nobody waits, where that is so."""
        if not self._waiting and self._elsewhere is None:
            self._wanted.clear()

    async def wanted(self, seconds: float) -> None:
        """Return once somebody waits for a position, or that time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()


class ProjectionRunner:
    """Runs the read models of one process: each where no other process owns it."""

    def __init__(
        self,
        *,
        dsn: str,
        pool: AsyncConnectionPool,
        log_reader: EventLog,
        listener: Listener,
        positions: Positions,
        models: Sequence[ReadModel],
        build_elsewhere: Callable[[str, int], Awaitable[bool]] | None = None,
    ) -> None:
        """`build_elsewhere` has another process build a read model of this name under this fence.

        It returns whether that came to the end of the log. Without it, this process is taken to answer nobody.
        """
        self._build_elsewhere = build_elsewhere
        self._most = MOST_ALONE if build_elsewhere is None else MOST
        self._ownership = Ownership(dsn)
        self._pool = pool
        self._log = log_reader
        self._positions = positions
        self._models = models
        self._wakers: dict[str, asyncio.Event] = {model.name: asyncio.Event() for model in models}
        self._look: dict[str, bool] = {model.name: True for model in models}
        self._tasks: list[asyncio.Task[None]] = []
        self._building = asyncio.Lock()
        self._followers: dict[str, Follower] = {}
        listener.on("magnet_log", lambda head: self.wake(int(head) if head and head.isdigit() else 0))
        listener.on("magnet_read", self._heard)

    def wake(self, position: int = 0) -> None:
        """There is something new in the log, up to this position; 0: perhaps."""
        for name, waker in self._wakers.items():
            if not position or not self._positions.passed(name, position):
                waker.set()

    async def open(self) -> None:
        """Start the loops."""
        self._tasks = [asyncio.create_task(self._keep(model), name=model.name) for model in self._models]
        self._tasks.append(asyncio.create_task(self._clean(), name="clean"))

    async def close(self) -> None:
        """Stop the loops; a batch under way is undone, and done by the next owner."""
        await end_tasks(*self._tasks)
        self._tasks = []
        try:
            for follower in self._followers.values():
                with contextlib.suppress(Fenced, psycopg.Error, PoolTimeout):  # what is passed over again costs nothing
                    await follower.settle()
        finally:
            await self._ownership.close()

    def _heard(self, payload: str | None) -> None:
        self._positions.heard(payload)
        if payload is None or payload == "wake":
            self._look = dict.fromkeys(self._look, True)
            self.wake()
        elif payload == "wanted":
            self._positions.want()
            self.wake()

    async def _keep(self, model: ReadModel) -> None:
        """Own the projection whenever nobody else does."""
        await self._ownership.keep(model.name, lambda session: self._own(model, session))

    async def _own(self, model: ReadModel, session: Session) -> None:
        """Follow the log until the session, and with it the ownership, is lost."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SQL["take_over"], {"projection": model.name})
            row = await cursor.fetchone()
        assert row is not None
        position, fence = row
        follower = self._follower(model, model.name, fence, position)
        self._followers[model.name] = follower
        await follower.batches.make_schema()
        self._positions.begun(model.name, position)
        upkeep = Upkeep(self._pool, model, model.name, lambda: follower.position)
        upkeep.begin()
        self._positions.followed.add(model.name)
        try:
            await self._follow(model, follower, upkeep, session, fence)
        finally:
            self._positions.followed.discard(model.name)
            await upkeep.end()

    async def _follow(
        self, model: ReadModel, follower: Follower, upkeep: Upkeep, session: Session, fence: int
    ) -> NoReturn:
        waker = self._wakers[model.name]
        clock = asyncio.get_running_loop().time
        self._look[model.name] = True
        settled = clock()
        building: asyncio.Task[Follower | None] | None = None
        try:
            while True:
                waker.clear()
                if self._look[model.name]:
                    self._look[model.name] = False
                    if await follower.refresh() and building is None:
                        building = asyncio.create_task(self._built(model, follower, fence))
                        building.add_done_callback(lambda _: waker.set())
                if building is not None and building.done():
                    if (beside := building.result()) is not None:
                        await self._put_in_place(model, beside, follower, upkeep)
                    building, self._look[model.name] = None, True
                began = clock()
                if await follower.step():
                    continue
                if clock() - settled >= SAFETY_POLL or self._positions.asked_elsewhere:
                    await follower.settle()
                    settled = clock()
                # Under load, what a few milliseconds bring goes into one batch. So does what nobody waits for: whoever
                # is asking for something else is answered first.
                await asyncio.sleep(max(0, GATHER - (clock() - began)) if waker.is_set() else 0)
                try:
                    async with asyncio.timeout(ROUND if follower.unwritten else SAFETY_POLL):
                        await waker.wait()
                    await self._positions.wanted(ROUND - clock() % ROUND)
                except TimeoutError:
                    if follower.unwritten:  # a pause: time to write how far it is
                        await follower.settle()
                        continue
                    await session.execute("SELECT 1")  # a lost session means a lost lock
                    self._look[model.name] = True
        finally:
            if building is not None:
                await end_tasks(building)

    def _follower(
        self,
        model: ReadModel,
        schema: str,
        fence: int,
        position: int,
        *,
        sifting: bool = False,
        most: int | None = None,
    ) -> Follower:
        def moved(to: int) -> None:
            if schema == model.name:
                self._positions.moved(model.name, to)

        return Follower(
            self._log,
            self._pool,
            model,
            schema=schema,
            fence=fence,
            position=position,
            moved=moved,
            sifting=sifting,
            most=most or self._most,
        )

    async def _built(self, model: ReadModel, live: Follower, fence: int) -> Follower | None:
        """Build the read model anew; None where that failed: it may be tried again at once, a pause is over then."""
        try:
            return await self._build(model, live, fence)
        except Fenced:
            raise
        except Exception as error:  # the live one goes on
            told = not isinstance(error, psycopg.Error)  # PostgreSQL's texts may hold what persons wrote
            log.error("rebuild_failed", projection=model.name, error=type(error).__name__, exc_info=told)
            await asyncio.sleep(BUILD_AGAIN)
            return None

    async def _build(self, model: ReadModel, live: Follower, fence: int) -> Follower:
        """Build the read model anew beside the live one, which goes on meanwhile; one at a time in this process."""
        async with self._building:
            elsewhere = self._build_elsewhere
            # Each batch of these holds up whom this process answers.
            most = None if elsewhere is None else LEAST
            beside = self._follower(model, f"{model.name}__next", fence, 0, sifting=True, most=most)
            await beside.batches.make_anew()
            log.info("rebuild_begins", projection=model.name)
            if elsewhere is not None and not await self._built_soon(beside):
                if not await elsewhere(model.name, fence):
                    log.warning("rebuild_goes_on_here", projection=model.name)
                beside = self._follower(model, beside.batches.schema, fence, await self._built_to(model), sifting=True)
                await beside.refresh()
            await self._catch_up(beside, live)
            await self._keep_beside(model, beside)
            await self._catch_up(beside, live)
            return beside

    async def _built_soon(self, beside: Follower) -> bool:
        """Take some batches; return whether that was all."""
        for _ in range(STEPS_HERE):
            if not await beside.step():
                return True
        await beside.settle()
        return False

    async def _built_to(self, model: ReadModel) -> int:
        """Return how far what is built beside has come."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SQL["position"], {"projection": f"{model.name}__next"})
            row = await cursor.fetchone()
        return 0 if row is None else int(row[0])

    async def _put_in_place(self, model: ReadModel, beside: Follower, live: Follower, upkeep: Upkeep) -> None:
        """Switch to what was built, as far as the live one has come."""
        await self._catch_up(beside, live)
        await upkeep.end()  # it would hold on to tables that the switch drops
        try:
            await self._switch(model, beside, live)
        finally:
            upkeep.begin()
        log.info("rebuild_done", projection=model.name, position=beside.position)

    async def _catch_up(self, beside: Follower, live: Follower) -> None:
        while await beside.step() or beside.position < live.position:
            await beside.settle()  # who asks how far it is looks at what is written

    async def _keep_beside(self, model: ReadModel, beside: Follower) -> None:
        """Bring the new tables in order before anybody reads them, while they go on."""
        keeping = asyncio.create_task(Upkeep(self._pool, model, beside.batches.schema).once())
        try:
            while not keeping.done():
                if not await beside.step():
                    await asyncio.wait({keeping}, timeout=SAFETY_POLL)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _switch(self, model: ReadModel, beside: Follower, live: Follower) -> None:
        """Put the new schema in the place of the old one, in one transaction."""
        old, new, gone = (
            statements.Identifier(name) for name in (model.name, f"{model.name}__next", f"{model.name}__old")
        )
        values = {"projection": model.name, "next": f"{model.name}__next"}
        await live.settle()
        await beside.settle()
        async with live.batches.transaction() as connection:
            await beside.batches.hold(connection, beside.position)
            # Both may differ by a batch: the position goes with the rows that are switched in.
            await connection.execute(statements.SQL(SQL["drop_schema"]).format(schema=gone))
            await connection.execute(statements.SQL(SQL["rename_schema"]).format(schema=old, other=gone))
            await connection.execute(statements.SQL(SQL["rename_schema"]).format(schema=new, other=old))
            await live.batches.advance(connection, live.position, beside.position)
            await connection.execute(SQL["end_rebuild"], values)
            await connection.execute(SQL["clear_quarantine"], {"projection": model.name})
            await connection.execute(SQL["inherit_quarantine"], values)
            await connection.execute(statements.SQL(SQL["drop_schema"]).format(schema=gone))
            failpoint("switch.before_commit")
        failpoint("switch.after_commit")
        live.stands_at(beside.position)
        self._positions.moved(model.name, live.position)  # it may be ahead of what the old one had reached
        await live.refresh()

    async def _clean(self) -> None:
        """Remove answers to idempotency keys that are older than 7 days."""
        while True:
            try:
                async with self._pool.connection() as connection:
                    await connection.execute(SQL["expire_idempotency"])
            except (psycopg.Error, PoolTimeout, Unavailable) as error:
                log.warning("cleaning_waits", error=type(error).__name__)
            await asyncio.sleep(CLEAN_EVERY)
