"""A dry run: a read model built from the log beside the live one, compared with it row by row, and thrown away."""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection, IsolationLevel
from psycopg import sql as statements
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.log import EventLog
from adapters.postgres import sql
from adapters.projection_runner.batch import SQL as TRACKING
from adapters.projection_runner.batch import Fenced, ReadModel
from adapters.projection_runner.follower import Follower
from domain.errors import Conflict, NotFound

SQL = sql.load("adapters.projection_runner", "trial.sql")
PATIENCE = 60.0
"""Seconds in which both must stand at the same position for a moment."""

LOOK_EVERY = 0.05


class TrialFailed(Conflict):
    """The dry run could not be made."""

    code = "trial_failed"


@dataclass(frozen=True, kw_only=True)
class TableDifference:
    """What is different in one table: numbers of rows, and some of them before and after."""

    table: str
    added: int
    removed: int
    changed: int
    examples: Sequence[tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of a dry run: up to which position, which streams it could not take, and what is different."""

    position: int
    set_aside: int
    same_checksum: bool
    differences: Sequence[TableDifference]


async def try_out(
    pool: AsyncConnectionPool,
    log: EventLog,
    model: ReadModel,
    *,
    examples: int,
    told: Callable[[int, int], None] = lambda _, __: None,
) -> Trial:
    """Build the read model as this code has it, and compare it with the live one, which goes on meanwhile.

    Raises NotFound where there is no live one, TrialFailed where another dry run of it takes over or the two are
    never at the same position.
    """
    schema, fence = f"{model.name}__dry", secrets.randbelow(2**62)
    follower = Follower(log, pool, model, schema=schema, fence=fence, position=0)
    async with pool.connection() as connection:
        await connection.execute(SQL["begin"], {"trial": schema, "fence": fence})
    try:
        await follower.batches.make_anew()
        async with asyncio.timeout(None) as limit:
            while True:
                while await follower.step():
                    told(follower.position, max(follower.position, await log.head()))
                if limit.when() is None:
                    limit.reschedule(asyncio.get_running_loop().time() + PATIENCE)
                found = await _compared(pool, model, schema, examples)
                if found is not None:
                    return found
                await asyncio.sleep(LOOK_EVERY)
    except Fenced:
        raise TrialFailed("Another dry run of this read model has begun.") from None
    except TimeoutError:
        raise TrialFailed("The live read model is not at the end of the log: see that a worker runs.") from None
    finally:
        async with pool.connection() as connection, connection.transaction():
            drop = statements.SQL(TRACKING["drop_schema"]).format(schema=statements.Identifier(schema))
            await connection.execute(drop)
            await connection.execute(TRACKING["clear_quarantine"], {"projection": schema})
            await connection.execute(SQL["end"], {"trial": schema})


async def _compared(pool: AsyncConnectionPool, model: ReadModel, schema: str, examples: int) -> Trial | None:
    """Return the differences, or None where the two are not at the same position."""
    names = {"projection": model.name, "trial": schema}
    async with pool.connection() as connection:
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        try:
            async with connection.transaction():
                live, position = await _row(connection, SQL["positions"], names)
                if live is None:
                    raise NotFound("There is no such projection.")
                if live != position:
                    return None
                sums = []
                for each in (model.name, schema):
                    await connection.execute(TRACKING["into_schema"], {"schema": each})
                    sums.append(await model.writer(connection).checksum())
                [parked] = await _row(connection, SQL["parked"], {"trial": schema})
                tables = await (await connection.execute(SQL["tables"], names)).fetchall()
                found = [
                    await _difference(connection, table, dict.fromkeys(schemas), key, model.name, schema, examples)
                    for table, schemas, key in tables
                ]
                different = [each for each in found if each.added or each.removed or each.changed]
                # What two buildings number differently is no difference: the checksum leaves it out.
                same = sums[0] == sums[1]
                return Trial(
                    position=position, set_aside=parked, same_checksum=same, differences=[] if same else different
                )
        finally:
            if not connection.closed:
                await connection.set_isolation_level(None)


async def _difference(
    connection: AsyncConnection[Any],
    table: str,
    schemas: Mapping[str, None],
    key: Sequence[str] | None,
    live: str,
    trial: str,
    examples: int,
) -> TableDifference:
    names: dict[str, Any] = {
        "live": statements.Identifier(live, table),
        "trial": statements.Identifier(trial, table),
        "key": statements.SQL(", ").join(map(statements.Identifier, key or ())),
        "most": statements.Literal(examples),
    }
    if len(schemas) == 1:
        [here] = schemas
        query = statements.SQL(SQL["count"]).format(table=statements.Identifier(here, table))
        [rows] = await _row(connection, query, {})
        return TableDifference(table=table, added=rows * (here == trial), removed=rows * (here == live), changed=0)
    query = statements.SQL(SQL["compared" if key else "compared_whole"]).format(**names)
    added, removed, changed = await _row(connection, query, {})
    shown: list[Any] = []
    if key and added + removed + changed:
        shown = await (await connection.execute(statements.SQL(SQL["examples"]).format(**names))).fetchall()
    return TableDifference(table=table, added=added, removed=removed, changed=changed, examples=shown)


async def _row(connection: AsyncConnection[Any], query: Any, values: Mapping[str, Any]) -> Any:
    row = await (await connection.execute(query, values)).fetchone()
    assert row is not None
    return row
