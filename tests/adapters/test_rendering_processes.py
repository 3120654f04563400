"""The rendering processes: limited, replaced when they end, and never left behind."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from adapters.rendering import child
from adapters.rendering.renderer import SandboxedRenderer, Zygote
from commands.ports import Template
from domain.rendering import RendererDown
from tests.support.patience import PATIENCE
from tests.support.processes import emptied, parts, processes_of, what_it_holds
from tests.support.rendering import BOMBS, renderer

CANARY = "canary-9f2c"


def zygote_of(one: SandboxedRenderer) -> Zygote:
    assert one._zygote is not None
    return one._zygote


async def test_others_render_while_bombs_burn() -> None:
    async with renderer() as one:
        bombs = [
            asyncio.create_task(one.render([Template(name="b", source=BOMBS["nested_range"])], {}, {}))
            for _ in range(8)
        ]
        for number in range(5):
            made = await one.render([Template(name="t", source="{{ n + 1 }}")], {"n": number}, {})
            assert made == [str(number + 1)]
        assert not any(bomb.done() for bomb in bombs)
        ends = await asyncio.gather(*bombs, return_exceptions=True)
        assert {getattr(end, "error_code", end) for end in ends} == {"rendering_limit"}


def aged(request: subprocess.Popen[bytes], seconds: float) -> child.Zygote:
    """Return what looks after a process as after a child whose request began so long ago."""
    zygote = child.Zygote(())
    zygote.children[1] = request.pid
    zygote.started[1] = time.monotonic() - seconds
    return zygote


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process while the block lasts."""
    with subprocess.Popen(command) as running:
        try:
            yield running
        finally:
            running.kill()


def test_a_request_that_gets_little_of_the_processor_is_no_bomb() -> None:
    with process("/bin/sleep", "60") as starved:
        aged(starved, 3.0).look_after_children()
        assert (starved.poll(), psutil.Process(starved.pid).nice()) == (None, psutil.Process().nice())
        aged(starved, 6.0).look_after_children()
        assert starved.wait() == -signal.SIGKILL


def test_a_request_that_has_had_much_of_the_processor_gives_way_and_ends() -> None:
    with process(sys.executable, "-c", "while True: pass") as busy:
        while child.processor_seconds(busy.pid) < 0.2:
            os.sched_yield()
        aged(busy, 1.0).look_after_children()
        assert (busy.poll(), psutil.Process(busy.pid).nice()) == (None, 15)
        aged(busy, 2.0).look_after_children()
        assert busy.wait() == -signal.SIGKILL


def test_a_request_that_ends_while_it_is_looked_after_harms_no_other() -> None:
    with process("/bin/true") as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert child.processor_seconds(ended.pid) < 0.1


async def test_many_calls_at_once_all_end() -> None:
    async with renderer() as one:
        calls = (one.render([Template(name="t", source="{{ n + 1 }}")], {"n": n}, {}) for n in range(200))
        assert await asyncio.gather(*calls) == [[str(n + 1)] for n in range(200)]


async def test_after_the_process_was_killed_the_next_call_works() -> None:
    async with renderer() as one:
        assert await one.render([Template(name="t", source="{{ 1 + 1 }}")], {}, {}) == ["2"]
        first = zygote_of(one)
        first.process.kill()
        first.process.wait()
        await emptied(first.process.pid)
        assert await one.render([Template(name="t", source="{{ 1 + 2 }}")], {}, {}) == ["3"]
        assert zygote_of(one) is not first


@pytest.mark.parametrize("seen", ["at once", "a moment later"])
async def test_a_call_under_way_survives_the_end_of_the_process(seen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if seen != "at once":  # as where a child that was just forked still has its side of the control socket
        monkeypatch.setattr(Zygote, "gone", lambda zygote: False)
    async with renderer() as one:
        await one.check([Template(name="t", source="{{ a + 1 }}")])
        calls = [
            asyncio.create_task(one.render([Template(name="t", source="{{ n + 1 }}")], {"n": n}, {})) for n in range(8)
        ]
        await asyncio.sleep(0)
        os.kill(zygote_of(one).process.pid, signal.SIGKILL)
        assert await asyncio.gather(*calls) == [[str(n + 1)] for n in range(8)]


async def test_a_process_that_can_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.rendering.renderer.PROGRAM", "raise SystemExit(1)")
    async with renderer() as one:
        with pytest.raises(RendererDown):
            await one.render([Template(name="t", source="{{ 1 + 1 }}")], {}, {})


async def test_a_cancelled_call_leaves_the_renderer_working() -> None:
    async with renderer() as one:
        task = asyncio.create_task(one.render([Template(name="t", source=BOMBS["nested_range"])], {}, {}))
        await one.check([Template(name="t", source="{{ a + 1 }}")])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await one.render([Template(name="t", source="{{ 1 + 1 }}")], {}, {}) == ["2"]


async def test_closing_leaves_no_process_behind() -> None:
    one = SandboxedRenderer()
    bomb = asyncio.create_task(one.render([Template(name="t", source=BOMBS["nested_range"])], {}, {}))
    await one.check([Template(name="t", source="{{ a + 1 }}")])
    group = zygote_of(one).process.pid
    await one.close()
    with pytest.raises(RendererDown):
        await bomb
    await emptied(group)
    with pytest.raises(RendererDown):
        await one.render([Template(name="t", source="{{ 1 + 1 }}")], {}, {})


async def test_the_processes_end_with_their_parent() -> None:
    zygote = Zygote()
    child = zygote.take()
    zygote.control.close()
    zygote.process.wait()
    await emptied(zygote.process.pid)
    child.close()
    zygote.end()


async def test_no_secret_of_the_environment_reaches_the_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET_ENCRYPTION_KEY", CANARY)
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / CANARY).open("wb") as held:
        os.set_inheritable(held.fileno(), True)
        async with renderer() as one:
            await one.check([Template(name="t", source="{{ a + 1 }}")])
            seen = [what_it_holds(pid) for pid in processes_of(zygote_of(one).process.pid)]
        assert len([each for each in seen if each]) > 1
        assert CANARY not in str(seen)


async def test_a_request_process_can_open_nothing_and_is_limited() -> None:
    async with renderer() as one:
        await one.check([Template(name="t", source="{{ a + 1 }}")])
        zygote = zygote_of(one).process.pid
        async with asyncio.timeout(PATIENCE):  # one that has just been forked limits itself first
            while not any(is_limited(pid) for pid in processes_of(zygote) if pid != zygote):
                await asyncio.sleep(0.01)


def is_limited(pid: int) -> bool:
    """Return whether a process may open and write nothing; False where it has ended."""
    try:
        lines = (Path("/proc") / str(pid) / "limits").read_text().splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):
        return False
    each = dict(parts(line) for line in lines)
    return (
        each["Max open files"] == "0" and each["Max file size"] == "0" and each["Max cpu time"] == "1"
        and each["Max core file size"] == "0" and each["Max address space"].isdigit()
    )  # fmt: skip


NO_ROOM = """
import json, os, resource, sys
from adapters.rendering import child
request = sys.stdin.buffer.read()
ends = []
for filled in range(0, 256, int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        limit = child.address_space() + child.MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        held = bytes(filled * 1024 * 1024)
        status = 1
        try:
            child.answered(request)
            status = 0
        finally:
            os._exit(status)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(json.dumps(ends))
"""


@pytest.mark.parametrize(
    ("source", "megabytes"),  # from one filling of the memory to the next; wider where each filling takes a second
    [
        ("{{ l }}", 12),
        ("{{ t|tojson }}", 12),
        ("{% set m = [l] * 999 %}{{ m|tojson|length }}", 48),
        ("{% set s = 'a' * 40000000 %}{{ [s]|tojson|length }}", 48),
        (
            "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(21) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ [ns.s] }}",
            12,
        ),
    ],
)
def test_a_process_that_has_no_memory_left_says_so_and_does_not_crash(
    source: str, megabytes: int, pytestconfig: pytest.Config
) -> None:
    if pytestconfig.getoption("long"):
        megabytes = 4
    request = {
        "op": "render", "templates": [["t", source]], "includes": {},
        "variables": {"l": [{"k": number} for number in range(20_000)], "t": "\x1f" * 900_000},
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(megabytes)],
        input=json.dumps(request), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(json.loads(done.stdout)) == {0}
