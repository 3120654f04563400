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

FEW = ("aggregate", "correlation")
"""Filters that always lead to few events."""

TRIGRAM = 3
"""Characters that a part of a reason has at least, where an index leads to it."""

COUNTED = 500
"""Events up to which it is counted how many a filter leads to."""


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


def counting(asked: LogFilter) -> statements.Composed | None:
    """Return the query for how many events each of several filters leads to; None where it is clear which one leads.

    It takes what `statement` takes; its one row has a count for each filter that is given, in the order of LEADING.
    """
    given = _given(asked)
    return None if len(given) < 2 or given[0] in FEW else _counting(given, len(asked.reason or "") < TRIGRAM)


def rarest(asked: LogFilter, counts: Sequence[int]) -> str:
    """Return the filter that leads to the fewest events; of several such, the first of LEADING."""
    return min(zip(counts, _given(asked), strict=True), key=lambda pair: pair[0])[1]


def statement(asked: LogFilter, leading: str | None = None) -> statements.Composed:
    """Return the query for what is asked, led by a filter; it also takes `after`, `limit` and `heaviest`."""
    return _statement(_given(asked), leading)


def _given(asked: LogFilter) -> tuple[str, ...]:
    return tuple(name for name in LEADING if getattr(asked, name) is not None)


@cache
def _statement(given: tuple[str, ...], leading: str | None) -> statements.Composed:
    others = [statements.SQL(SQL[f"fits_{name}"]) for name in given]
    joined = statements.SQL("AND ")
    parts = {
        "fitting": joined.join([statements.SQL(SQL["within"]), *others]),
        "others": joined.join(others),
    }
    chosen = statements.SQL(SQL[f"by_{leading or given[0]}" if given else "by_position"]).format(**parts)
    return statements.SQL(SQL["read"]).format(chosen=chosen)


@cache
def _counting(given: tuple[str, ...], short_reason: bool) -> statements.Composed:
    counts = []
    for name in given:
        if name == "reason" and short_reason:  # no index leads to it
            counts.append(statements.Composed([statements.SQL("%(limit)s::bigint")]))
            continue
        query = SQL["held_in_reason" if name == "reason" else f"by_{name}"]
        chosen = statements.SQL(query).format(others=statements.SQL("true"))
        counts.append(statements.SQL("(SELECT count(*) FROM ({chosen}) AS counted)").format(chosen=chosen))
    return statements.SQL(SQL["count"]).format(counts=statements.SQL(", ").join(counts))
