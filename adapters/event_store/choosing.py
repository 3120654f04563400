"""How the log is read by what one asks it for: the filter that leads to few events decides which index is used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from psycopg import sql as statements

from adapters.postgres import sql
from projections.recorded import LogEntry

SQL = sql.load("adapters.event_store", "choosing.sql")
NEAR = 10_000
"""Events that are searched for a reason by reading them, before the index on reasons is asked."""

LEADING = ("aggregate", "correlation", "types", "kind", "reason", "actor")
"""Which filter is followed where there are several: the others are checked on what it leads to."""


@dataclass(frozen=True, kw_only=True)
class LogFilter:
    """What `GET /v1/events` may ask for; None = all."""

    aggregate: UUID | None = None
    types: Sequence[str] | None = None
    kind: str | None = None
    actor: str | None = None
    correlation: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, entry: LogEntry) -> bool:
        """Return whether an entry is asked for."""
        return (
            (self.aggregate is None or entry.stream == self.aggregate)
            and (self.types is None or entry.topic in self.types)
            and (self.kind is None or entry.topic.startswith(f"{self.kind}."))
            and (self.actor is None or self.actor in (entry.actor_id, entry.actor_name))
            and (self.correlation is None or entry.correlation_id == self.correlation)
            and (self.reason is None or self.reason.lower() in (entry.reason or "").lower())
            and (self.since is None or entry.recorded_at >= self.since)
            and (self.until is None or entry.recorded_at < self.until)
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the values for `statement`."""
        return {**vars(self), "types": None if self.types is None else list(self.types), "near": NEAR}


def statement(asked: LogFilter) -> statements.Composed:
    """Return the query for what is asked; it also takes `after`, `limit` and `heaviest`."""
    return _statement(tuple(name for name in LEADING if getattr(asked, name) is not None))


@cache
def _statement(given: tuple[str, ...]) -> statements.Composed:
    others = [statements.SQL(SQL[f"fits_{name}"]) for name in given]
    joined = statements.SQL("AND ")
    parts = {
        "fitting": joined.join([statements.SQL(SQL["within"]), *others]),
        "others": joined.join(others),
    }
    chosen = statements.SQL(SQL[f"by_{given[0]}" if given else "by_position"]).format(**parts)
    return statements.SQL(SQL["read"]).format(chosen=chosen)
