"""The read model of runs in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import sql
from adapters.postgres.read_model import ReadModelWriter, as_json
from adapters.postgres.reading import rows_of
from domain.pricing import Cost, total_cost
from domain.run import cost_document
from projections.documents import rfc3339
from projections.run_findings import FOUND, ConversationFound, TurnFeedback, TurnRun, TurnTopic
from projections.runs import CallRow, RunBegin, RunEnd, RunsQuery, UsageQuery

SQL = sql.load("adapters.postgres", "runs.sql")
LISTS = {
    True: SQL["list"],
    False: SQL["list"].replace("position <", "position >").replace("position DESC", "position"),
}
"""By whether the newest come first."""

TOKENS = ("input", "cache_read", "cache_write", "output", "reasoning")


class PostgresRunsWriter(ReadModelWriter):
    """The rows inside one transaction."""

    QUERIES = SQL

    @classmethod
    async def create(cls, connection: AsyncConnection[Any]) -> None:
        """Make the empty tables."""
        await super().create(connection)
        await connection.execute(SQL["late"])

    @staticmethod
    async def complete(connection: AsyncConnection[Any]) -> None:
        """Add what came later to tables that an earlier version made, and have it filled with what was recorded before."""
        row = await (await connection.execute(SQL["is_late"])).fetchone()
        if row is not None and not row[0]:
            await connection.execute(SQL["late"])
            await connection.execute(SQL["ask_anew"])

    async def begin(self, rows: Sequence[RunBegin], turns: Sequence[TurnRun]) -> None:
        """Insert runs, with their ends where those are known, and which turns are which runs."""
        await self._connection.execute(SQL["begin"], {"rows": as_json(rows), "turns": as_json(turns)})

    async def end(self, rows: Sequence[RunEnd]) -> None:
        """Complete runs."""
        await self._connection.execute(SQL["end"], {"rows": as_json(rows)})

    async def call(self, rows: Sequence[CallRow]) -> None:
        """Insert the calls of runs."""
        await self._connection.execute(SQL["calls"], {"rows": as_json(rows)})

    async def topics(self, rows: Sequence[TurnTopic]) -> None:
        """Note what turns are about, each once."""
        await self._connection.execute(SQL["topics"], {"rows": as_json(rows)})

    async def feedback(self, rows: Sequence[TurnFeedback]) -> None:
        """Note what persons think of answers, each once."""
        await self._connection.execute(SQL["feedback"], {"rows": as_json(rows)})

    async def processed(self, rows: Sequence[ConversationFound]) -> None:
        """Note what was found in conversations."""
        await self._connection.execute(SQL["processed"], {"rows": as_json(rows)})


class PostgresRunsView:
    """The read model for queries."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def page(self, query: RunsQuery) -> tuple[Sequence[Mapping[str, Any]], int | None]:
        """Return runs in their public form, and the position after which the next ones stand."""
        values = asdict(query) | {
            "limit": query.limit + 1,
            "attributes": orjson.dumps(query.attributes).decode(),
            "found": orjson.dumps(query.found).decode(),
        }
        rows = await rows_of(self._pool, LISTS[query.newest_first], values, row_factory=dict_row)
        shown = rows[: query.limit]
        following = shown[-1]["position"] if len(rows) > query.limit else None
        return [run_document(row) for row in shown], following

    async def get(self, id: UUID) -> Mapping[str, Any] | None:
        """Return a run in its public form, without its steps."""
        rows = await rows_of(self._pool, SQL["get"], {"id": id}, row_factory=dict_row)
        return run_document(rows[0]) if rows else None

    async def usage(self, query: UsageQuery) -> Sequence[Mapping[str, Any]]:
        """Return usage by bucket and dimensions."""
        by_call = {"model", "provider"}
        values = {
            "bucket": query.bucket,
            "by": list(query.by),
            "since": query.since,
            "until": query.until,
            "attributes": orjson.dumps(query.attributes).decode(),
            "filters": orjson.dumps(dict(query.filters)).decode(),
            "calls": bool(by_call & {*query.by, *query.filters}),
            "talks": bool({*FOUND} & {*query.by, *query.filters}),
            "limit": query.limit,
        }
        return [usage_row(row) for row in await rows_of(self._pool, SQL["usage"], values)]


def run_document(row: DictRow) -> dict[str, Any]:
    """Return a run's public form."""
    cost = Cost(amount=row["amount"], currency=row["currency"], unknown=row["unknown"])
    tokens = {name: row[name] for name in TOKENS}
    target = None
    if row["target_kind"] is not None:
        target = {
            "kind": row["target_kind"],
            "id": str(row["target_id"]) if row["target_id"] else None,
            "name": row["target"],
            "version": row["version"],
            "variant": row["variant"],
        }
    return {
        "id": str(row["id"]),
        "kind": row["kind"],
        "target": target,
        "outcome": row["outcome"] or "running",
        "error": row["error"],
        "started_at": rfc3339(row["started_at"]),
        "ended_at": rfc3339(row["ended_at"]) if row["ended_at"] else None,
        "duration_ms": row["duration_ms"],
        "first_token_ms": row["first_token_ms"],
        "principal": {"type": row["principal_type"], "id": row["principal"], "name": row["principal_name"]},
        "subject": row["subject"],
        "channel": row["channel"],
        "attributes": row["attributes"],
        "versions": orjson.loads(row["versions"]),
        "usage": {**tokens, "total": sum(tokens.values()), "estimated": row["estimated"]},
        "cost": cost_document(cost),
    }


def usage_row(row: Sequence[Any]) -> dict[str, Any]:
    """Return one row of usage: money by currency; latencies in milliseconds."""
    place, count, errors, subjects, *rest = row
    tokens = dict(zip(TOKENS, rest[:5], strict=True))
    estimated, amounts, unknown, quantiles = rest[5:]
    costs = {currency: Decimal(amount) for currency, amount in sorted(amounts.items())}
    shown = total_cost([Cost(amount=amount, currency=currency, unknown=False) for currency, amount in costs.items()])
    return {
        **place,
        "count": count,
        "errors": errors,
        "subjects": subjects,
        "usage": {**tokens, "total": sum(tokens.values()), "estimated": estimated},
        "cost": cost_document(replace(shown, unknown=shown.unknown or unknown)),
        "costs": {each: format(total, "f") for each, total in costs.items()},
        "latency_ms": dict(zip(("p50", "p95", "p99"), quantiles or (None, None, None), strict=True)),
    }
