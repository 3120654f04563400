"""What every released version wrote is read the same by this one: the log verifies, and replays to its checksums."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema_rs
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from adapters.event_store.appender import Appender
from adapters.event_store.choosing import LogFilter
from adapters.event_store.data_keys import DataKeys
from adapters.event_store.log import END, EventLog
from adapters.event_store.mapper import EventMapper
from adapters.event_store.store import EventStore
from adapters.keyring import Keyring, parsed
from adapters.postgres.embedded import OWNER, EmbeddedPostgres
from adapters.postgres.log_check import check_log
from adapters.postgres.migrations import migrate
from adapters.replay.rebuilding import build, place, write_effects
from api.event_schemas import asyncapi_document
from api.read_models import READ_MODELS
from domain import AGGREGATES
from domain.conversation import Conversation
from projections.events import public_events
from projections.integration_events import cloud_event
from tests.api.test_subjects import CANARY, ERASED
from tests.write_release import RELEASED

FILES = sorted(RELEASED.glob("*.jsonl"))


@pytest.fixture
def empty(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database."""
    name = Identifier(f"released_{abs(hash(request.node.name))}")
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(name))
        try:
            yield postgres.dsn(name.as_string(None).strip('"'), OWNER)
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def load(path: Path, dsn: str) -> dict[str, Any]:
    """Put a release's rows into a database of its schema, bring that up to date, and return what the file begins with."""
    with path.open(encoding="utf-8") as file:
        head: dict[str, Any] = json.loads(next(file))
        migrate(dsn, upto=head["schema"])
        with psycopg.connect(dsn) as owner:
            for line in file:
                row = json.loads(line)
                table = Identifier("magnet", row["table"])
                query = SQL("INSERT INTO {0} SELECT * FROM jsonb_populate_record(NULL::{0}, %s)").format(table)
                owner.execute(query, [json.dumps(row["row"])])
    migrate(dsn)
    return head


def test_there_is_a_release_to_be_read():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_a_released_log_verifies_and_replays_to_its_checksums(path: Path, empty: str):
    head = load(path, empty)
    with psycopg.connect(empty) as owner:
        assert check_log(owner).ok
        row = owner.execute("SELECT max(notification_id) FROM magnet.magnet_events").fetchone()
        assert row is not None
    async with place(empty) as here:
        await write_effects(here)
        await build(here, READ_MODELS, row[0], lambda *_: None)
        found = await here.checksums(READ_MODELS)
    # What a later version added to a read model stands after a dot; what this one had is as it was.
    same = {name: sum for name, sum in head["checksums"].items() if f"{found[name]}.".startswith(f"{sum}.")}
    assert same == head["checksums"], (
        "A read model comes out otherwise than when this version was released: give it another name (_v2), "
        "or see that old events are still read as they were."
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_whatever_was_recorded_is_sent_as_the_asyncapi_document_says(path: Path, empty: str):
    load(path, empty)
    document = asyncapi_document(topic="magnet.events", servers=None)
    described = {
        name: jsonschema_rs.validator_for({**message["payload"], "components": document["components"]})
        for name, message in document["components"]["messages"].items()
    }
    async with place(empty) as here:
        log = EventLog(here.pool, EventMapper(AGGREGATES))
        events = await public_events(await log.read(0, END, LogFilter()), log)
    assert len({event["type"] for event in events}) > 40
    for event in events:
        described[event["type"]].validate(cloud_event(event, "/magnet/x"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_every_stream_of_a_release_is_still_loaded_and_what_was_said_is_read(path: Path, empty: str):
    head = load(path, empty)
    async with place(empty) as here:
        keys = DataKeys(here.pool, Keyring(parsed(head["key"])))
        store = EventStore(here.pool, Appender(here.pool), EventMapper(AGGREGATES, keys), keys)
        async with here.pool.connection() as connection:
            cursor = await connection.execute("SELECT DISTINCT originator_id FROM magnet.magnet_events")
            ids: list[UUID] = [id for (id,) in await cursor.fetchall()]
        loaded = await store.load_many(ids)
        assert loaded.keys() == set(ids)
        said = {a.subject: " ".join(a.said()) for a, _ in loaded.values() if isinstance(a, Conversation)}
        assert CANARY in said["person-1"]
        assert ERASED in said["person-2"] and CANARY not in said["person-2"]
