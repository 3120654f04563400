"""The embedded PostgreSQL with real processes: who starts it, who stops it, and who takes it over."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from adapters.postgres import memory
from adapters.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresFailed
from adapters.postgres.kept_up import kept_up
from adapters.postgres.postmaster import Postmaster
from tests.support.patience import PATIENCE

ROOT = Path(__file__).parents[2]
MEMBER = """
import sys
from pathlib import Path
from adapters.postgres.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])):
    print("up", flush=True)
    sys.stdin.read()
"""


class Member:
    """A process that uses a home until it is told to leave."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", MEMBER, str(home)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def is_up(self) -> bool:
        assert self.process.stdout is not None
        return "up\n" in iter(self.process.stdout.readline, "")

    def leave(self) -> int:
        self.process.communicate()
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


Join = Callable[[], Member]


@pytest.fixture
def join(empty_home: Path) -> Iterator[Join]:
    members: list[Member] = []

    def start() -> Member:
        members.append(Member(empty_home))
        return members[-1]

    yield start
    for member in members:
        if member.process.returncode is None:
            member.kill()


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A home whose files are there: making them is most of a first start's time."""
    place = Path(tempfile.mkdtemp(prefix="magnet-"))
    with EmbeddedPostgres(place / "home"):
        pass
    yield place / "home"
    shutil.rmtree(place)


@pytest.fixture
def home(empty_home: Path, made: Path) -> Path:
    subprocess.run(["cp", "--archive", made, empty_home], check=True)
    return empty_home


@pytest.fixture
def empty_home() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="magnet-"))
    yield place / "home"
    for directory in place.glob("**/postgres"):
        EmbeddedPostgres(directory.parent).stop()
    shutil.rmtree(place)


def server(home: Path) -> Postmaster | None:
    return Postmaster.of(EmbeddedPostgres(home).data)


def killed(server: Postmaster | None) -> None:
    assert server is not None
    process = psutil.Process(server.pid)
    process.kill()
    psutil.wait_procs([process])


def one(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_an_empty_home_becomes_a_server_that_keeps_its_promises(empty_home: Path) -> None:
    with EmbeddedPostgres(empty_home) as postgres:
        dsn = postgres.dsn()

        assert one(dsn, "SELECT current_database()") == "magnet"
        assert one(dsn, "SHOW data_checksums") == "on"
        assert one(dsn, "SHOW fsync") == one(dsn, "SHOW synchronous_commit") == "on"
        assert one(dsn, "SHOW listen_addresses") == ""
        assert one(dsn, "SELECT datcollate FROM pg_database WHERE datname = 'magnet'") == "C.UTF-8"
        assert one(dsn, "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
        sockets = next(part for part in dsn.split() if part.startswith("host=")).removeprefix("host=")
        assert Path(sockets).stat().st_mode & 0o777 == 0o700

    assert server(empty_home) is None


def test_what_was_written_is_there_after_a_restart(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres, psycopg.connect(postgres.dsn()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    with EmbeddedPostgres(home) as postgres:
        assert one(postgres.dsn(), "SELECT answer FROM kept") == 42


def test_a_server_that_is_just_becoming_a_program_is_not_taken_for_gone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, looks = psutil.Process.cmdline, iter(range(3))
    monkeypatch.setattr(psutil.Process, "cmdline", lambda it: true(it) if next(looks, None) is None else [])

    with EmbeddedPostgres(home) as postgres:
        assert one(postgres.dsn(), "SELECT 1") == 1
    assert next(looks, None) is None


def test_two_processes_share_a_server_and_the_last_one_out_stops_it(home: Path, join: Join) -> None:
    first, second = join(), join()
    assert first.is_up()
    assert second.is_up()
    shared = server(home)
    assert shared is not None

    assert first.leave() == 0
    assert server(home) == shared

    assert second.leave() == 0
    assert server(home) is None


def test_a_server_whose_process_is_not_seen_as_that_of_another_container_is_shared_too(
    home: Path, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = join()
    assert member.is_up()
    running = server(home)

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(Postmaster, "runs", lambda _: False)
        with EmbeddedPostgres(home) as postgres:
            assert one(postgres.dsn(), "SELECT 1") == 1

    assert server(home) == running
    member.kill()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(Postmaster, "runs", lambda _: False)
        assert not EmbeddedPostgres(home).stop()
    assert server(home) == running


def test_four_processes_that_start_at_once_in_an_empty_home_get_one_server(empty_home: Path, join: Join) -> None:
    members = [join() for _ in range(4)]

    assert [member.is_up() for member in members] == [True] * 4

    assert [member.leave() for member in members] == [0] * 4
    assert server(empty_home) is None


def test_the_next_start_takes_over_from_a_killed_process(home: Path, join: Join) -> None:
    member = join()
    assert member.is_up()
    left = server(home)
    member.kill()
    assert left is not None
    assert server(home) == left

    with EmbeddedPostgres(home) as postgres:
        assert server(home) == left
        assert one(postgres.dsn(), "SELECT 1") == 1

    assert server(home) is None


def test_a_process_that_was_killed_does_not_count_when_another_leaves(home: Path, join: Join) -> None:
    killed_one, other = join(), join()
    assert killed_one.is_up()
    assert other.is_up()

    killed_one.kill()
    assert other.leave() == 0

    assert server(home) is None


def test_a_killed_server_is_started_again_and_has_lost_nothing(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        with psycopg.connect(postgres.dsn()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        killed(server(home))
        assert server(home) is None

        postgres.start()

        assert one(postgres.dsn(), "SELECT answer FROM kept") == 42


def test_a_server_that_is_killed_while_it_is_needed_comes_back_by_itself(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres, kept_up(postgres):
        with psycopg.connect(postgres.dsn()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS x")
        killed(server(home))
        give_up = time.monotonic() + PATIENCE
        while (now := server(home)) is None or not now.ready():
            assert time.monotonic() < give_up
            time.sleep(0.02)
        assert one(postgres.dsn(), "SELECT x FROM kept") == 7
    assert server(home) is None


@pytest.mark.parametrize("error", [psycopg.OperationalError("it died again"), OSError("too many open files")])
def test_whatever_a_look_at_the_server_failed_with_it_is_looked_after_further(error: Exception, home: Path) -> None:
    class FailsOnce(EmbeddedPostgres):
        looks = 0
        looked_again = threading.Event()

        def bring_back(self) -> bool:
            self.looks += 1
            if self.looks == 1:
                raise error
            self.looked_again.set()
            return False

    postgres = FailsOnce(home)
    with kept_up(postgres):
        assert postgres.looked_again.wait(PATIENCE)


def test_a_server_whose_files_were_deleted_is_not_made_anew_beneath_those_who_use_it(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        killed(server(home))
        shutil.rmtree(home)
        assert not postgres.bring_back()
        assert not home.exists()


def test_a_killed_server_is_started_again_by_the_next_process(home: Path, join: Join) -> None:
    member = join()
    assert member.is_up()
    killed(server(home))
    member.kill()

    with EmbeddedPostgres(home) as postgres:
        assert one(postgres.dsn(), "SELECT 1") == 1


def test_a_process_id_in_the_lock_file_that_is_another_programs_by_now_stops_nothing(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        killed(server(home))
        lock_file = postgres.data / "postmaster.pid"
        _, *rest = lock_file.read_text().splitlines()
        lock_file.write_text("\n".join([str(os.getpid()), *rest, ""]))
        assert server(home) is None

        postgres.start()

        assert one(postgres.dsn(), "SELECT 1") == 1


def test_ctrl_c_at_the_terminal_reaches_the_program_and_not_the_server(home: Path, join: Join) -> None:
    member = join()
    assert member.is_up()
    running = server(home)
    assert running is not None

    assert os.getsid(running.pid) != os.getsid(member.process.pid)
    assert os.getpgid(running.pid) != os.getpgid(member.process.pid)

    os.killpg(member.process.pid, signal.SIGINT)
    member.process.communicate()
    assert server(home) is None


def test_an_interrupted_first_start_leaves_nothing_in_the_way(empty_home: Path) -> None:
    half_made = empty_home / "postgres" / "data.new-half"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")

    with EmbeddedPostgres(empty_home) as postgres:
        assert one(postgres.dsn(), "SELECT 1") == 1

    assert not half_made.exists()


@pytest.mark.parametrize("name", ["long-" + 40 * "name-", 'it\'s a, "home" $(of) `mine` \\ ü'])
def test_a_home_may_have_any_path(home: Path, name: str) -> None:
    with EmbeddedPostgres(home / name) as postgres:
        assert one(postgres.dsn(), "SELECT 1") == 1


def test_a_home_that_was_deleted_and_made_again_gets_a_server_of_its_own(home: Path) -> None:
    deep = home / ("deep-" + 40 * "name-")
    first = EmbeddedPostgres(deep)
    first.start()
    left = server(deep)
    assert left is not None
    shutil.rmtree(first.data)

    second = EmbeddedPostgres(deep)
    second.start()
    try:
        assert server(deep) not in (None, left)
        assert one(second.dsn(), "SELECT 1") == 1
    finally:
        killed(left)
        first.stop()
        second.stop()


def test_the_files_of_another_postgresql_are_refused_with_what_to_do(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        pass
    (postgres.data / "PG_VERSION").write_text("17\n")

    with pytest.raises(EmbeddedPostgresFailed, match=r"made by PostgreSQL 17 .*magnet backup"):
        postgres.start()


def test_a_server_that_can_not_start_says_why(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        pass
    (postgres.data / "global" / "pg_control").unlink()

    with pytest.raises(EmbeddedPostgresFailed, match=r"did not start: .*pg_control"):
        postgres.start()

    assert server(home) is None


def test_a_home_where_a_file_stands_in_the_way_is_refused(empty_home: Path) -> None:
    empty_home.parent.mkdir(exist_ok=True)
    empty_home.write_text("a file")

    with pytest.raises(EmbeddedPostgresFailed, match="can't be set up"):
        EmbeddedPostgres(empty_home).start()


def test_leaving_without_having_started_stops_what_a_killed_process_left(home: Path, join: Join) -> None:
    member = join()
    assert member.is_up()
    member.kill()

    assert EmbeddedPostgres(home).stop()

    assert server(home) is None


def test_it_keeps_a_share_of_the_memory_for_what_it_reads(empty_home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "memory_here", lambda: 4 * 2**30)
    with EmbeddedPostgres(empty_home) as postgres, psycopg.connect(postgres.dsn()) as connection:
        assert connection.execute("SHOW shared_buffers").fetchone() == ("512MB",)
