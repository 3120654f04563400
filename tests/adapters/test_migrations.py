"""Migrations: each file once, forward only, in order, and never after it was edited."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.migrations import (
    MigrationRefused,
    SchemaOutdated,
    SchemaTooNew,
    migrate,
    migrations,
    require_current,
    role_of,
)
from tests.support.postgres import Database

ROOT = Path(__file__).parents[2]
FIRST = "CREATE TABLE magnet.first (n integer);"
SECOND = "CREATE TABLE magnet.second (n integer);\nINSERT INTO magnet.second VALUES (1);"
MIGRATE = """
import sys
from pathlib import Path
from adapters.postgres.migrations import migrate
migrate(sys.argv[1], directory=Path(sys.argv[2]))
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text(FIRST)
    (tmp_path / "0002_second.sql").write_text(SECOND)
    return tmp_path


@pytest.fixture
def empty(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """The connection string of a database with nothing in it."""
    name = f"empty_{abs(hash(request.node.nodeid)):x}"
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        yield postgres.dsn(name)
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def test_each_file_runs_once_and_is_recorded(empty: str, directory: Path) -> None:
    migrate(empty, directory=directory)
    migrate(empty, directory=directory)

    assert rows(empty, "SELECT n FROM magnet.second") == [(1,)]
    assert rows(empty, "SELECT number, name FROM magnet.schema_migrations ORDER BY number") == [
        (1, "first"),
        (2, "second"),
    ]


def test_a_later_file_runs_on_a_database_that_has_the_earlier_ones(empty: str, directory: Path) -> None:
    migrate(empty, directory=directory)
    (directory / "0003_third.sql").write_text("INSERT INTO magnet.second VALUES (3);")

    migrate(empty, directory=directory)

    assert rows(empty, "SELECT n FROM magnet.second ORDER BY n") == [(1,), (3,)]


def test_a_file_that_fails_leaves_nothing_of_itself_and_all_before_it(empty: str, directory: Path) -> None:
    (directory / "0002_second.sql").write_text(SECOND + "SELECT 1 / 0;")

    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty, directory=directory)

    assert rows(empty, "SELECT to_regclass('magnet.first')::text, to_regclass('magnet.second')::text") == [
        ("magnet.first", None)
    ]
    (directory / "0002_second.sql").write_text(SECOND)
    migrate(empty, directory=directory)
    assert rows(empty, "SELECT n FROM magnet.second") == [(1,)]


def test_a_file_that_was_edited_after_it_ran_is_refused_by_name(empty: str, directory: Path) -> None:
    migrate(empty, directory=directory)
    (directory / "0001_first.sql").write_text(FIRST + " ")

    with pytest.raises(MigrationRefused, match=r"0001 \(first\)"):
        migrate(empty, directory=directory)


def test_a_database_that_a_newer_program_migrated_is_refused(empty: str, directory: Path) -> None:
    migrate(empty, directory=directory)
    (directory / "0002_second.sql").unlink()

    with pytest.raises(SchemaTooNew, match="schema 2 and this Magnet knows 1"):
        migrate(empty, directory=directory)
    with psycopg.connect(empty) as connection, pytest.raises(SchemaTooNew):
        require_current(connection, directory)


def test_a_process_that_may_not_migrate_refuses_an_older_schema(empty: str, directory: Path) -> None:
    with psycopg.connect(empty) as connection, pytest.raises(SchemaOutdated):
        require_current(connection, directory)
    migrate(empty, directory=directory, upto=1)
    with psycopg.connect(empty) as connection, pytest.raises(SchemaOutdated):
        require_current(connection, directory)

    migrate(empty, directory=directory)

    with psycopg.connect(empty) as connection:
        require_current(connection, directory)


def test_four_processes_that_migrate_at_once_run_each_file_once(empty: str, directory: Path) -> None:
    running = [subprocess.Popen([sys.executable, "-c", MIGRATE, empty, directory], cwd=ROOT) for _ in range(4)]

    assert [process.wait() for process in running] == [0] * 4

    assert rows(empty, "SELECT n FROM magnet.second") == [(1,)]


@pytest.mark.parametrize("name", ["0004_later.sql", "0002_twice.sql"])
def test_numbers_with_a_gap_or_used_twice_are_refused(directory: Path, name: str) -> None:
    (directory / name).write_text("SELECT 1;")

    with pytest.raises(MigrationRefused, match="without a gap"):
        migrations(directory)


def test_the_applications_role_gets_what_the_grants_say_and_no_more(empty: str, directory: Path) -> None:
    (directory / "grants.sql").write_text(
        "GRANT USAGE ON SCHEMA magnet TO {app}; GRANT SELECT ON ALL TABLES IN SCHEMA magnet TO {app};"
    )
    # A name that needs quoting.
    role = 'app "of" tests'

    migrate(empty, role, create_role=True, directory=directory)
    migrate(empty, role, create_role=True, directory=directory)

    with psycopg.connect(empty, user=role) as connection:
        assert connection.execute("SELECT n FROM magnet.second").fetchall() == [(1,)]
        require_current(connection, directory)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO magnet.second VALUES (2)")
    migrate(empty, directory=directory)
    rows_of_role = rows(empty, "SELECT rolcanlogin, rolsuper FROM pg_roles WHERE rolname = 'app \"of\" tests'")
    assert rows_of_role == [(True, False)]


def test_the_real_migrations_are_current_in_a_fresh_database(database: Database) -> None:
    with psycopg.connect(database.app_dsn) as connection:
        require_current(connection)


def test_the_role_of_a_connection_string_is_found_or_asked_for() -> None:
    assert role_of("postgresql://magnet_app:secret@db/magnet") == "magnet_app"
    with pytest.raises(MigrationRefused, match="names no user"):
        role_of("postgresql://db/magnet")
