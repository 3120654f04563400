"""Rows of a query as documents: whole, typed, read only, from no other address than the checked one."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.dialects import mssql, mysql, oracle

from adapters.connectors import sqlalchemy_rows
from adapters.connectors.postgres_rows import ROWS_AT_ONCE
from adapters.connectors.query import SqlConfig
from adapters.connectors.roots import Roots
from adapters.connectors.sql import SqlConnector
from adapters.connectors.sqlalchemy_rows import MOST_LEFT, statement
from adapters.egress import Egress
from commands.knowledge.connectors import GivenDocument, NotFetched, Place, SourceUnavailable
from domain.errors import Invalid
from tests.support.postgres import Database
from tests.support.worlds.sql import SqlWorld, relay


@pytest.fixture
async def world(database: Database) -> AsyncIterator[SqlWorld]:
    async with relay(database.owner_dsn) as opened:
        yield SqlWorld(database, opened)


@pytest.fixture
def connector(world: SqlWorld, tmp_path: Path) -> SqlConnector:
    return SqlConnector(Egress([world.allow]), Roots([tmp_path], forbidden=[tmp_path / "home"]))


def place(url: str, query: str, **config: Any) -> Place:
    return Place(source=uuid4(), config={"url": url, "query": query, **config}, secrets={"password": "canary"})


async def listed(connector: SqlConnector, where: Place) -> dict[str, str | None]:
    return {each.external_id: each.version async for each in connector.list(where) if each is not None}


async def fetched(connector: SqlConnector, where: Place, *ids: str) -> list[GivenDocument | BaseException]:
    return await asyncio.gather(*(connector.fetch(where, id) for id in ids), return_exceptions=True)


async def fetched_one(connector: SqlConnector, where: Place) -> GivenDocument:
    return await connector.fetch(where, "1")


# PostgreSQL -------------------------------------------------------------------

VALUES = """
SELECT 7 AS "the id", 'Ünï' AS text, 'Seven' AS title, 'https://x.example.com/7' AS link, ARRAY['a', 'b'] AS acl,
    timestamptz '2026-01-02 03:04:05+02' AS at, 1.50 AS price, 9007199254740993 AS big, '{"k": [1, null]}'::jsonb AS deep,
    '\\x00ff'::bytea AS raw, NULL AS nothing, 'infinity'::date AS ever, 'a%b:c?$1' AS odd
"""


async def test_columns_that_are_named_are_the_document_and_all_others_are_its_metadata(
    connector: SqlConnector, world: SqlWorld
):
    where = place(world.url, VALUES, id="the id", title="title", link="link", acl="acl", media_type="text/markdown")
    assert list(await listed(connector, where)) == ["7"]
    found = await connector.fetch(where, "7")
    assert (found.external_id, found.title, found.url, found.acl) == (
        "7",
        "Seven",
        "https://x.example.com/7",
        ["a", "b"],
    )
    assert (found.content.decode(), found.media_type) == ("Ünï", "text/markdown")
    assert found.metadata == {
        "at": "2026-01-02T01:04:05+00:00",
        "price": 1.5,
        "big": 9007199254740993,
        "deep": {"k": [1, None]},
        "raw": "\\x00ff",
        "nothing": None,
        "ever": "infinity",
        "odd": "a%b:c?$1",
    }


async def test_a_text_may_be_bytes_or_json_and_none_is_said_to_be_none(connector: SqlConnector, world: SqlWorld):
    rows = "SELECT 'a' AS id, {} AS text"
    for expression, content in (
        ("'\\x25504446'::bytea", b"%PDF"),
        ("'{\"b\": 1}'::jsonb", b'{"b":1}'),
        ("42", b"42"),
    ):
        assert (await connector.fetch(place(world.url, rows.format(expression)), "a")).content == content
    with pytest.raises(NotFetched, match="no text in `text`"):
        await connector.fetch(place(world.url, rows.format("NULL::text")), "a")


@pytest.mark.parametrize(
    ("acl", "groups"),
    [
        ("ARRAY['x', 'y, z']", ["x", "y, z"]),
        ('\'["x", "y"]\'::json', ["x", "y"]),
        ('\'["x", "y"]\'', ["x", "y"]),
        ("' x, y '", ["x", "y"]),
        ("''", []),
        ("NULL", None),
    ],
)
async def test_groups_come_from_a_column(connector: SqlConnector, world: SqlWorld, acl: str, groups: Any):
    where = place(world.url, f"SELECT 1 AS id, 't' AS text, {acl} AS acl", acl="acl")
    assert (await connector.fetch(where, "1")).acl == groups


@pytest.mark.parametrize("acl", ["5", "ARRAY[1]", "'[1]'", "'[x'", "'{\"a\": 1}'::json"])
async def test_groups_that_are_none_let_nobody_find_it(connector: SqlConnector, world: SqlWorld, acl: str):
    where = place(world.url, f"SELECT 1 AS id, 't' AS text, {acl} AS acl", acl="acl")
    with pytest.raises(NotFetched, match="no list of groups"):
        await connector.fetch(where, "1")


async def test_all_rows_are_listed_and_those_asked_for_at_once_are_selected_at_once(
    connector: SqlConnector, world: SqlWorld
):
    many = 2 * ROWS_AT_ONCE + 1
    where = place(world.url, f"SELECT n AS id, 'text ' || n AS text, n % 7 AS v FROM generate_series(1, {many}) n")
    assert list(await listed(connector, where)) == [str(n) for n in range(1, many + 1)]
    before = world.relay.connections
    found = await fetched(connector, where, *(str(n) for n in range(1, 9)), "0")
    assert [each.content for each in found[:8] if isinstance(each, GivenDocument)] == [
        f"text {n}".encode() for n in range(1, 9)
    ]
    assert isinstance(found[8], NotFetched) and found[8].error_code == "gone"
    assert world.relay.connections == before + 1


async def test_without_a_version_any_column_that_changes_is_a_change(connector: SqlConnector, world: SqlWorld):
    world.do("CREATE TABLE shop.items (id uuid PRIMARY KEY, text text, price numeric)")
    world.do("INSERT INTO shop.items SELECT gen_random_uuid(), 'x', 1 FROM generate_series(1, 2)")
    where = place(world.url, "TABLE shop.items;")
    before = await listed(connector, where)
    assert await listed(connector, where) == before
    one, other = before
    world.do("UPDATE shop.items SET price = 1.0 WHERE id = %s", one)
    after = await listed(connector, where)
    assert (after[one] != before[one], after[other]) == (True, before[other])
    assert all(isinstance(each, GivenDocument) for each in await fetched(connector, where, one, other))


async def test_ids_are_data(connector: SqlConnector, world: SqlWorld):
    ids = ['a"b', "a\\b", "a{b},c", "NULL", "' OR 1=1 --", "$1", "%s", " "]
    for number, id in enumerate(ids):
        world.do("INSERT INTO shop.notes VALUES (%s, %s)", id, f"text {number}")
    where = place(world.url, "SELECT id, body AS text FROM shop.notes")
    assert sorted(await listed(connector, where)) == sorted(ids)
    found = await fetched(connector, where, *ids)
    assert [each.content for each in found if isinstance(each, GivenDocument)] == [
        f"text {number}".encode() for number in range(len(ids))
    ]


async def test_a_row_that_cannot_be_selected_harms_no_other(connector: SqlConnector, world: SqlWorld):
    where = place(
        world.url, "SELECT n AS id, CASE n WHEN 2 THEN (1 / (n - 2))::text ELSE 'ok' END AS text FROM generate_series(1, 3) n",
        version="id",
    )  # fmt: skip
    found = await fetched(connector, where, "1", "2", "3", "no number")
    assert [type(each) for each in found] == [GivenDocument, NotFetched, GivenDocument, NotFetched]
    assert str(found[1]) == "DivisionByZero (22012)"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("(VALUES (1, 'a'), (1, 'b')) v (id, text)", "same `id`: '1'"),
        ("(VALUES (1, 'a'), (NULL, 'b')) v (id, text)", "has no `id`"),
        ("(VALUES ('', 'a')) v (id, text)", "has no `id`"),
    ],
)
async def test_rows_that_cannot_be_told_apart_are_not_believed(
    connector: SqlConnector, world: SqlWorld, rows: str, reason: str
):
    with pytest.raises(SourceUnavailable, match=reason):
        await listed(connector, place(world.url, f"SELECT * FROM {rows}"))


WRITING = [
    "SELECT 1 AS id, 'x' AS text; DELETE FROM shop.notes",
    "SELECT 1 AS id, 'x' AS text) q; DELETE FROM shop.notes; SELECT * FROM (SELECT 1 AS id, 'x' AS text",
    "SELECT 1 AS id, 'x' AS text) q; COMMIT; DELETE FROM shop.notes; --",
    "WITH gone AS (DELETE FROM shop.notes RETURNING *) SELECT id, body AS text FROM gone",
    "SELECT nextval('shop.counter') AS id, 'x' AS text",
    "SELECT set_config('transaction_read_only', 'off', false) AS id, nextval('shop.counter')::text AS text",
    "SELECT lo_create(0) AS id, 'x' AS text",
    "SELECT id, body AS text FROM shop.notes FOR UPDATE",
    "SELECT id AS id, body AS text INTO shop.copy FROM shop.notes",
    "SELECT id FROM shop.notes",
    "SELECT id, body AS text FROM shop.missing",
]


@pytest.mark.parametrize("query", WRITING)
async def test_what_writes_or_is_more_than_one_statement_is_refused_in_words(
    connector: SqlConnector, world: SqlWorld, query: str
):
    world.do("CREATE SEQUENCE shop.counter")
    await world.put("kept", "x")
    for attempt in (listed, fetched_one):
        with pytest.raises(Invalid, match="does not take the query as one that selects: "):
            await attempt(connector, place(world.url, query))
    world.do("DO $$ BEGIN ASSERT (SELECT count(*) FROM shop.notes) = 1; END $$")
    world.do("DO $$ BEGIN ASSERT (SELECT NOT is_called FROM shop.counter); END $$")


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM a",
        "  -- c\n/* d */ insert into a values (1)",
        "COPY a TO PROGRAM 'x'",
        "",
        ";",
        "SELECTED",
        "/* SELECT",
    ],
)
async def test_what_does_not_begin_as_a_selection_is_refused_when_it_is_set(connector: SqlConnector, query: str):
    with pytest.raises(Invalid):
        connector.check({"url": "postgresql://db.example.com/x", "query": query})


async def test_a_statement_that_takes_too_long_is_ended(connector: SqlConnector, world: SqlWorld):
    with pytest.raises(SourceUnavailable, match="statement timeout"):
        await listed(connector, place(world.url, "SELECT 1 AS id, pg_sleep(600)::text AS text", seconds=1))


async def test_a_private_address_is_not_connected_to_unless_it_is_allowed(world: SqlWorld, tmp_path: Path):
    connector = SqlConnector(Egress([]), Roots([tmp_path], forbidden=[]))
    for url in (world.url, world.url.replace("127.0.0.1", "localhost"), "mysql+pymysql://10.0.0.1/x"):
        with pytest.raises(SourceUnavailable, match="MAGNET_EGRESS_ALLOW") as told:
            await listed(connector, place(url, "SELECT 1 AS id, 'x' AS text"))
        assert told.value.error_code == "address_refused"
    assert world.relay.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:canary@db.example.com/x",
        "postgresql://db.example.com/x?host=127.0.0.1",
        "postgresql://db.example.com/x?hostaddr=127.0.0.1",
        "postgresql://db.example.com/x?options=-c%20a%3Db",
        "postgresql://db.example.com/x?sslkey=/etc/passwd",
        "postgresql://db.example.com/x?sslmode=allow",
        "postgresql://db.example.com/x?sslmode=require&sslmode=disable",
        "postgresql://db.example.com,127.0.0.1/x",
        "postgresql:///x?host=/var/run",
        "postgresql://%2Fvar%2Frun/x",
        "postgresql://db.example.com/",
        "postgresql://db.example.com/host=127.0.0.1",
        "postgresql://db.example.com:99999/x",
        "postgresql://db.example.com/x#y",
        "mysql+pymysql://db.example.com/x?unix_socket=/a",
        "mssql+pyodbc://dsn",
        "duckdb:///etc/passwd",
        "sqlite:///relative",
        "sqlite:////etc/passwd",
        "sqlite://",
        "http://db.example.com/x",
    ],
)
async def test_addresses_that_could_lead_elsewhere_are_refused_when_set(connector: SqlConnector, url: str):
    with pytest.raises(Invalid) as told:
        connector.check({"url": url, "query": "SELECT 1"})
    assert told.value.errors[0].pointer == "/config/url"
    assert "canary" not in str(told.value)


async def test_a_server_is_told_its_own_password_and_nothing_of_this_machine(
    connector: SqlConnector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    passwords = []

    async def suspicious(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(4))
        await reader.readexactly(size - 4)
        writer.write(b"R\x00\x00\x00\x08\x00\x00\x00\x03")  # asks for the password as it is
        kind, size = await reader.readexactly(1), int.from_bytes(await reader.readexactly(4))
        passwords.append(kind + await reader.readexactly(size - 4))
        said = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0"
        writer.write(b"E" + (len(said) + 4).to_bytes(4) + said)
        writer.close()

    pgpass = tmp_path / "pgpass"
    pgpass.write_text("*:*:*:*:ours")
    pgpass.chmod(0o600)
    monkeypatch.setenv("PGPASSWORD", "ours")
    monkeypatch.setenv("PGPASSFILE", str(pgpass))
    server = await asyncio.start_server(suspicious, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connector = SqlConnector(Egress([f"127.0.0.1:{port}"]), Roots([], forbidden=[]))
        where = place(f"postgresql://u@127.0.0.1:{port}/x?sslmode=disable", "SELECT 1")
        with pytest.raises(SourceUnavailable, match="does not let this user in") as told:
            await listed(connector, where)
        assert told.value.error_code == "credentials_refused"
        assert "canary" not in str(told.value)
        assert passwords == [b"pcanary\0"]
        without = Place(source=uuid4(), config=where.config)
        with pytest.raises(SourceUnavailable):
            await listed(connector, without)
        assert b"ours" not in b"".join(passwords)


# Others, by SQLAlchemy --------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a b?.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, price REAL, raw BLOB)")
        connection.executemany(
            "INSERT INTO notes VALUES (?, ?, ?, ?)", [(n, f"text {n}: 100%", n / 2, b"\x00") for n in range(1, 2502)]
        )
    connection.close()
    return path


def address(file: Path) -> str:
    return f"sqlite:///{file}".replace(" ", "%20").replace("?", "%3F")


async def test_rows_of_sqlite_are_listed_compared_and_fetched(connector: SqlConnector, file: Path):
    where = place(address(file), "SELECT *, ':x' AS odd FROM notes WHERE text LIKE '%:%' -- all")
    before = await listed(connector, where)
    assert list(before) == [str(n) for n in range(1, 2502)]
    one, gone = await fetched(connector, where, "7", "9999")
    assert isinstance(one, GivenDocument) and isinstance(gone, NotFetched)
    assert (one.content, one.metadata) == (b"text 7: 100%", {"price": 3.5, "raw": "\\x00", "odd": ":x"})
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE notes SET price = 9 WHERE id = 7")
    connection.close()
    after = await listed(connector, where)
    assert {id for id in after if after[id] != before[id]} == {"7"}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS id, 'x' AS text; DELETE FROM notes",
        "SELECT 1 AS id, 'x' AS text) q; DELETE FROM notes; SELECT * FROM (SELECT 1 AS id, 'x' AS text",
        "WITH x AS (SELECT 1) DELETE FROM notes",
        "SELECT id FROM notes",
        "SELECT id, text FROM missing",
    ],
)
async def test_other_databases_are_read_only_as_well(connector: SqlConnector, file: Path, query: str):
    for attempt in (listed, fetched_one):
        with pytest.raises(Invalid, match="does not take the query as one that selects"):
            await attempt(connector, place(address(file), query))
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (2501,)
    connection.close()


async def test_a_file_that_is_not_there_is_not_made_and_a_long_query_is_ended(connector: SqlConnector, tmp_path: Path):
    missing = tmp_path / "missing.db"
    with pytest.raises(SourceUnavailable, match="unable to open"):
        await listed(connector, place(address(missing), "SELECT 1 AS id, 'x' AS text"))
    assert not missing.exists()
    sqlite3.connect(missing).close()
    endless = (
        "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT max(id) AS id, 'x' AS text FROM n"
    )
    with pytest.raises(SourceUnavailable, match="interrupted"):
        await listed(connector, place(address(missing), endless, seconds=1))


async def test_what_a_driver_never_returns_from_is_given_up_and_not_begun_for_ever(
    connector: SqlConnector, file: Path, monkeypatch: pytest.MonkeyPatch
):
    let_go, begun = Event(), list[int]()

    def silent(*_: Any) -> Any:
        begun.append(1)
        let_go.wait()
        return []

    monkeypatch.setattr(sqlalchemy_rows, "listed", silent)
    monkeypatch.setattr(sqlalchemy_rows, "GRACE_SECONDS", 0)
    where = place(address(file), "SELECT * FROM notes", seconds=1)
    try:
        given_up = await asyncio.gather(*(listed(connector, where) for _ in range(MOST_LEFT)), return_exceptions=True)
        assert [each.error_code for each in given_up if isinstance(each, SourceUnavailable)] == [
            "source_timed_out"
        ] * MOST_LEFT
        with pytest.raises(SourceUnavailable, match="4 earlier statements have not returned"):
            await listed(connector, where)
        assert len(begun) == MOST_LEFT
    finally:
        let_go.set()


async def test_a_driver_that_is_not_here_is_named(connector: SqlConnector, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "pymysql", None)
    connector = SqlConnector(Egress(["127.0.0.1:3306"]), Roots([], forbidden=[]))
    with pytest.raises(Invalid, match="install pymysql"):
        await listed(connector, place("mysql+pymysql://127.0.0.1/x", "SELECT 1"))


@pytest.mark.parametrize("dialect", [mysql.dialect(), mssql.dialect(), oracle.dialect()], ids=lambda each: each.name)
def test_every_dialect_selects_from_the_query_in_brackets(dialect: Any):
    settings = SqlConfig(url="x", query="SELECT a AS id FROM t WHERE b = ':no'", id="the id")
    said = str(statement(settings, ["1"]).compile(dialect=dialect))
    assert "FROM (\nSELECT a AS id FROM t WHERE b = ':no'\n) magnet_row" in said
    assert said.rstrip().partition("WHERE CAST(")[2]
