"""The reading processes: they hold no secret, can open nothing, and read on whatever a parser asks for late."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.reading import together
from adapters.reading.cutting import cut
from adapters.reading.process import Child
from adapters.reading.reader import Reader
from commands.knowledge.reading import ReadingLimit, Text, Unreadable
from tests.support.files import a_docx, a_locked_pdf, a_pdf, without_styles
from tests.support.patience import PATIENCE
from tests.support.processes import emptied, parts, processes_of, what_it_holds

CANARY = "canary-7d1e"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
LONG = "One sentence after another. " * 5000


@pytest.fixture
async def reader(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reader]:
    """One process, also where the machine is so slow that others would be let pass."""
    monkeypatch.setattr("adapters.reading.reader.SLOW", PATIENCE)
    made = Reader(processes=1)
    yield made
    await made.close()


def child_of(reader: Reader) -> Child:
    (child,) = reader._idle
    return child


async def test_no_secret_of_the_environment_reaches_the_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reader: Reader
):
    monkeypatch.setenv("SECRET_ENCRYPTION_KEY", CANARY)
    with (tmp_path / CANARY).open("wb") as held:
        os.set_inheritable(held.fileno(), True)
        await reader.read(b"<p>said", "text/html", "a")
        seen = what_it_holds(child_of(reader).process.pid)
    assert "socket:" in seen
    assert CANARY not in seen


async def test_a_reading_process_is_limited(reader: Reader):
    await reader.read(b"<p>said", "text/html", "a")
    told = (Path("/proc") / str(child_of(reader).process.pid) / "limits").read_text().splitlines()[1:]
    limits = dict(parts(line) for line in told)
    for name in ("Max open files", "Max file size", "Max core file size", "Max processes"):
        assert limits[name] == "0", name
    assert limits["Max cpu time"].isdigit() and limits["Max address space"].isdigit()


TRIED = """
import json, os, socket, subprocess, sys, threading
from adapters.reading.lean import load_leanly
load_leanly()
from adapters.reading import child, serving
child.load()
serving.find_no_more_modules()
serving.be_limited()
serving.limit_time()
told = {"loaded": [name for name in ("domain.errors", "domain.agent", "llama_index.core.schema", "llama_index.core.indices", "sqlalchemy") if name in sys.modules]}
def tried(name, attempt):
    try:
        attempt()
        told[name] = "done"
    except BaseException as error:
        told[name] = type(error).__name__
tried("open", lambda: open("/etc/hostname"))
tried("folder", lambda: os.listdir("/"))
tried("write", lambda: open("written", "w"))
tried("connect", lambda: socket.create_connection(("127.0.0.1", 9)))
tried("local", lambda: socket.socket(socket.AF_UNIX))
tried("pipe", os.pipe)
tried("program", lambda: subprocess.run(["/bin/true"]))
tried("import", lambda: __import__("sqlite3"))
tried("encoding", lambda: b"x".decode("nonsense"))
tried("memory", lambda: bytearray(4 * 1024 * 1024 * 1024))
tried("known encoding", lambda: b"\\x83e".decode("shift_jis"))
os.write(1, json.dumps(told).encode())
"""


def test_a_reading_process_can_open_no_file_and_no_connection(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", TRIED],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    told = json.loads(done.stdout)
    assert told.pop("loaded") == ["domain.errors", "llama_index.core.schema"], "and nothing of what it doesn't need"
    assert told.pop("known encoding") == "done"
    assert told.pop("import") == "ModuleNotFoundError"
    assert told.pop("encoding") == "LookupError"
    assert told.pop("memory") == "MemoryError"
    assert set(told.values()) == {"OSError"}
    assert not list(tmp_path.iterdir())


def test_a_reading_process_takes_less_time_than_it_would_where_the_system_allows_less():
    program = (
        "import resource; from adapters.reading import serving\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (60, 100)); serving.limit_time()\n"
        "print(*resource.getrlimit(resource.RLIMIT_CPU))"
    )
    env = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.split() == ["100", "100"]


async def test_what_parsers_ask_for_late_is_there(reader: Reader):
    assert "Helv" in (await reader.read(a_pdf("Helv"), "application/pdf", "a")).text
    assert (await reader.read(a_locked_pdf("said", ""), "application/pdf", "a")).text.strip() == "said"
    for encoding, said in (("shift_jis", "日本"), ("gb18030", "中国"), ("euc-kr", "한국"), ("koi8-r", "привет")):
        page = f'<meta charset="{encoding}"><p>{said}'.encode(encoding)
        assert (await reader.read(page, "text/html", "a")).text == said
    text = await reader.read(LONG.encode(), "text/plain", "a.txt")
    for strategy in ("recursive", "sentence", "code"):
        assert await reader.cut(text, {"strategy": strategy, "size": 64, "overlap": 8})
    assert child_of(reader).requests == 10


async def test_a_docx_without_styles_is_read(reader: Reader):
    made = without_styles(a_docx("# Top", "Some text.", "- one"))
    text = await reader.read(made, DOCX, "a")
    assert (text.text, [each.text for each in text.headings]) == ("Top\n\nSome text.\n\n- one", ["Top"])


async def test_closing_leaves_no_process_behind():
    reader = Reader(processes=1)
    await reader.read(b"<p>said", "text/html", "a")
    group = child_of(reader).process.pid
    assert processes_of(group)
    await reader.close()
    await emptied(group)


async def test_a_process_ends_with_its_parent():
    child = Child()
    group = child.process.pid
    child.end.close()
    await emptied(group)
    child.finish()


async def test_a_slow_document_lets_others_pass(monkeypatch: pytest.MonkeyPatch, reader: Reader):
    monkeypatch.setattr("adapters.reading.reader.SLOW", 0.0)
    monkeypatch.setattr("adapters.reading.reader.WORTH", 0.0)
    asked = asyncio.Event()
    stopped: list[Child] = []
    ask = Child.ask

    async def hanging(child: Child, request: bytes, tokenizer: None) -> tuple[bytes, bytes] | None:
        if not stopped:
            stopped.append(child)
            asked.set()
            return await asyncio.get_running_loop().create_future()
        return await ask(child, request, tokenizer)

    monkeypatch.setattr(Child, "ask", hanging)
    slow = asyncio.create_task(reader.read(b"<p>slow", "text/html", "a"))
    await asked.wait()
    assert (await reader.read(b"<p>said", "text/html", "a")).text == "said"
    assert not slow.done()
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    await emptied(stopped[0].process.pid)
    assert (await reader.read(b"<p>said", "text/html", "a")).text == "said"


async def test_documents_that_take_no_time_share_a_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("adapters.reading.reader.WORTH", 60.0)  # on a busy machine all of them take time
    reader = Reader()
    pages = [f"<p>{number}" for number in range(20)]
    said = await asyncio.gather(*(reader.read(page.encode(), "text/html", "a") for page in pages))
    assert [each.text for each in said] == [page.removeprefix("<p>") for page in pages]
    assert child_of(reader).parsed == len(pages)
    await reader.close()


SENTENCES = {"strategy": "sentence", "size": 16, "overlap": 0}


def texts(count: int) -> list[Text]:
    return [Text(text=f"This is one sentence of {number}. " * 9) for number in range(count)]


async def test_texts_that_are_cut_at_once_share_requests_and_each_gets_its_own_chunks(reader: Reader):
    given = texts(2 * together.MOST)
    chunks = await asyncio.gather(*(reader.cut(each, SENTENCES) for each in given))
    assert chunks == [cut(each, SENTENCES) for each in given]
    assert child_of(reader).requests == 2


async def test_a_text_that_can_not_be_cut_or_ends_its_process_harms_none_that_went_with_it(
    monkeypatch: pytest.MonkeyPatch, reader: Reader
):
    ask = Child.ask

    async def ending(child: Child, request: bytes, tokenizer: None) -> tuple[bytes, bytes] | None:
        return None if b"bomb" in request else await ask(child, request, tokenizer)

    monkeypatch.setattr(Child, "ask", ending)
    first, second, third = texts(3)
    impossible = {**SENTENCES, "overlap": 99}
    bomb, wrong, *others = await asyncio.gather(
        reader.cut(Text(text="This is a bomb. " * 9), SENTENCES),
        reader.cut(first, impossible),
        *(reader.cut(each, SENTENCES) for each in (second, third)),
        return_exceptions=True,
    )
    assert isinstance(bomb, ReadingLimit)
    assert isinstance(wrong, Unreadable)
    assert others == [cut(each, SENTENCES) for each in (second, third)]


async def test_long_texts_are_cut_alone(reader: Reader):
    await asyncio.gather(*(reader.cut(Text(text=each), SENTENCES) for each in (LONG * 2, "One. Two. " * 9, LONG * 2)))
    assert child_of(reader).requests == 3


async def test_a_further_process_is_started_when_documents_have_waited_long(monkeypatch: pytest.MonkeyPatch):
    reader = Reader()
    monkeypatch.setattr("adapters.reading.reader.WORTH", 0.0)
    await asyncio.gather(*(reader.read(b"<p>said", "text/html", "a") for _ in range(2)))
    assert [child.parsed for child in reader._idle] == [1, 1]
    await reader.close()


async def test_a_document_that_takes_too_long_ends_its_process_and_says_so(monkeypatch: pytest.MonkeyPatch):
    reader = Reader(processes=1, patience=0.0)
    with pytest.raises(ReadingLimit, match="seconds"):
        await reader.read(b"<p>said", "text/html", "a")
    assert not reader._idle
    await reader.close()
