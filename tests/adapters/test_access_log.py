"""The access log is asked by who, what came of it and when, by whatever index, and told of commands too."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import access_log
from adapters.postgres.access_log import AccessLog, note_command
from tests.support.postgres import Database

BEGAN = datetime(2026, 5, 1, tzinfo=UTC)
ROWS = 300


@pytest.fixture
def asked_often(database: Database) -> list[dict[str, Any]]:
    """Return what stands in an access log of eight hours, in which the clock was once set back by half an hour."""
    chosen = [
        {
            "at": BEGAN + timedelta(minutes=1.6 * number - (30 if number > 200 else 0)),
            "actor_id": ("k1", "k2", "carla")[number % 3],
            "actor_name": ("anna", "bert", "carla")[number % 3],
            "outcome": ("refused" if number % 7 == 0 else "failed" if number % 50 == 0 else "allowed"),
        }
        for number in range(ROWS)
    ]
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        connection.cursor().executemany(
            """INSERT INTO magnet.access_log (at, actor_type, actor_id, actor_name, method, path, query, outcome, status,
            attempts, request_id) VALUES (%(at)s, 'x', %(actor_id)s, %(actor_name)s, 'GET', '/', '', %(outcome)s, 200, 1, '')
            """,
            chosen,
        )
    return chosen


def fits(row: dict[str, Any], asked: dict[str, Any]) -> bool:
    return (
        asked["actor"] in (None, row["actor_id"], row["actor_name"])
        and asked["outcome"] in (None, row["outcome"])
        and (asked["since"] is None or row["at"] >= asked["since"])
        and (asked["until"] is None or row["at"] < asked["until"])
    )


async def test_every_filter_and_all_together_find_what_reading_everything_finds(
    database: Database, asked_often: list[dict[str, Any]]
):
    times = (None, BEGAN - timedelta(days=1), BEGAN + timedelta(hours=4.7), BEGAN + timedelta(days=1))
    async with AsyncConnectionPool(database.app_dsn, open=False, min_size=1, max_size=2) as pool:
        log = AccessLog(pool)
        for actor, outcome, since, until in itertools.product(
            (None, "anna", "k2", "carla", "nobody"), (None, "allowed", "refused", "failed"), times, times
        ):
            asked = {"actor": actor, "outcome": outcome, "since": since, "until": until}
            wanted = [number for number, row in enumerate(asked_often, 1) if fits(row, asked)][::-1]
            found = await log.page(limit=ROWS, filters=asked)
            assert [item["id"] for item in found] == wanted, asked
            some = await log.page(after=150, limit=3, filters=asked)
            assert [item["id"] for item in some] == [id for id in wanted if id < 150][:3], asked
            some = await log.page(after=150, newest_first=False, limit=3, filters=asked)
            assert [item["id"] for item in some] == [id for id in wanted[::-1] if id > 150][:3], asked


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({"actor": "anna"}, "access_log_actor_id"),
        ({"outcome": "refused"}, "access_log_outcome"),
        ({"until": BEGAN}, "access_log_at"),
    ],
)
@pytest.mark.usefixtures("asked_often")
def test_what_is_rare_is_led_to_by_an_index(database: Database, asked: dict[str, Any], index: str):
    bounds = {"above": 0, "before": 2**62, "limit": 51}
    values = {"actor": None, "outcome": None, "since": None, "until": None} | bounds | asked
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        connection.execute("ANALYZE magnet.access_log")
        connection.execute("SET enable_seqscan = off")  # the table is short here; a long one is never read whole
        plan = connection.execute(
            psycopg.sql.SQL("EXPLAIN (FORMAT JSON) ") + access_log.statement(values), values
        ).fetchone()
    assert index in str(plan)


def test_a_command_that_reads_the_log_is_told_with_who_and_what(database: Database):
    note_command(database.app_dsn, name="anna", command="magnet events archive", asked="kind=run")
    with psycopg.connect(database.owner_dsn) as connection:
        rows = connection.execute(
            "SELECT actor_type, actor_name, method, path, query, outcome FROM magnet.access_log"
        ).fetchall()
    assert rows == [("command_line", "anna", "CLI", "magnet events archive", "kind=run", "allowed")]
