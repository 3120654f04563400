"""`magnet ingest`, as real processes: what is taken, what is left out and why, and what can be asked afterwards."""

import os
from pathlib import Path
from typing import Any, cast

import httpx
import httpx2
import pytest

from api.cli.connection import TRIES, Connection
from api.cli.ingestion import MOST_BYTES, MOST_FILES, Ingestion, batches
from api.cli.walking import File, LeftOut, walk
from tests.api.cli.conftest import Magnet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that can be read, and files of every kind that can't."""
    made = tmp_path / "notes"
    (made / "sub").mkdir(parents=True)
    (made / ".git").mkdir()
    (made / "leave.md").write_text("# Leave\n\nHolidays are thirty days a year.\n")
    (made / "sub" / "lunch.txt").write_text("Lunch is at noon.\n")
    (made / "empty.txt").write_text("")
    (made / "thing.xyz").write_text("x")
    (made / "loop").symlink_to(made)
    os.mkfifo(made / "pipe")
    return made


def test_files_and_folders_are_taken_and_can_be_asked_about(magnet: Magnet, folder: Path):
    done = magnet.ok("ingest", str(folder))
    assert done.out == "2 indexed, 0 failed, 5 skipped, in 'documents'\n"
    assert "RAG tool 'documents' was made" in done.err
    for name, reason in (
        (".git", "hidden"),
        ("empty.txt", "empty"),
        ("thing.xyz", "unsupported"),
        ("loop", "a link to a folder"),
        ("pipe", "no regular file"),
    ):
        assert f"skipped: {folder / name}: {reason}" in done.err
    assert "thirty days" in magnet.ok("ask", "How many days of holidays?").out
    before = magnet.ok("events", "--json").lines
    assert [each["name"] for each in before if each["type"] == "document.created"] == [None, None]
    again = magnet.ok("ingest", str(folder), "--json").json
    assert again["counts"] == {"indexed": 2, "pending": 0, "failed": 0, "skipped": 5}
    assert [each["external_id"] for each in again["documents"]] == ["notes/leave.md", "notes/sub/lunch.txt"]
    assert [e for e in magnet.ok("events", "--json").lines if e["kind"] != "run"] == [
        e for e in before if e["kind"] != "run"
    ]


def test_what_fails_is_told_with_its_reason_and_the_rest_is_taken(magnet: Magnet, folder: Path):
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7 no more")
    done = magnet("ingest", str(folder), str(folder / "missing.txt"), "--source", "handbook", "--json")
    assert done.status == 1
    assert (done.json["source"], done.json["counts"]["indexed"], done.json["counts"]["failed"]) == ("handbook", 2, 2)
    [failure] = done.json["failures"]
    assert failure["path"] == str(folder / "bad.pdf") and "PDF" in failure["reason"]
    [missing] = [each for each in done.json["skipped"] if each["failed"]]
    assert missing["path"] == str(folder / "missing.txt") and missing["reason"] == "no such file or directory"
    assert "Not everything was taken" in done.err


def test_files_are_taken_by_a_server_and_nobody_waits_where_that_is_asked_for(magnet: Magnet, folder: Path):
    with magnet.running("serve") as server:
        done = magnet.ok("ingest", str(folder), "--no-wait", "--json", MAGNET_URL=server.url)
        assert len(done.json["documents"]) == 2
        more = magnet.ok("ingest", str(folder), "--source", "more", MAGNET_URL=server.url)
        assert more.out.startswith("2 indexed, 0 failed")
        assert "RAG tool 'more' was made: magnet ask --rag-tool more " in more.err


def test_where_there_is_nothing_to_take_nothing_is_made(magnet: Magnet, folder: Path):
    done = magnet("ingest", str(folder / "missing"), str(folder / "empty.txt"))
    assert (done.status, done.out) == (1, "0 indexed, 2 failed, 0 skipped, in 'documents'\n")
    assert f"failed: {folder / 'missing'}: no such file or directory" in done.err
    assert "There is nothing that could be taken" in done.err
    assert magnet.ok("events", "--json").lines == []


def test_an_archived_source_takes_nothing(magnet: Magnet, folder: Path):
    magnet.ok("ingest", str(folder))
    with magnet.running("serve") as server:
        tools = [
            httpx.delete(f"{server.url}/v1/{each}/documents").status_code for each in ("rag-tools", "retrieval-tools")
        ]
        assert [*tools, httpx.delete(f"{server.url}/v1/knowledge-sources/documents").status_code] == [200] * 3
    refused = magnet("ingest", str(folder))
    assert refused.status == 1 and "is archived" in refused.err


def test_two_files_of_one_name_are_not_mixed_up(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.md").write_text(name)
    first, second = walk([tmp_path / "a" / "x.md", tmp_path / "b" / "x.md"])
    assert isinstance(first, File) and first.name == "x.md"
    assert isinstance(second, LeftOut) and second.wrong and "called x.md as well" in second.reason
    _, same = walk([tmp_path / "a" / "x.md", tmp_path / "a" / ".." / "a" / "x.md"])
    assert isinstance(same, LeftOut) and not same.wrong


def test_a_name_that_is_no_text_is_told_of(tmp_path: Path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / os.fsdecode(b"\xff.txt")).write_text("x")
    (tmp_path / "d" / "a\nb.txt").write_text("x")
    found = list(walk([tmp_path / "d"]))
    assert len(found) == 2
    assert all(isinstance(each, LeftOut) and each.wrong for each in found)


def test_batches_are_neither_too_many_nor_too_large():
    def file(size: int) -> File:
        return File(path=Path("x"), name="x", size=size)

    many = list(batches([file(1)] * (MOST_FILES * 2 + 1)))
    assert [len(batch) for batch in many] == [MOST_FILES, MOST_FILES, 1]
    large = list(batches([file(1), file(MOST_BYTES * 3), file(MOST_BYTES), file(1)]))
    assert [len(batch) for batch in large] == [1, 1, 1, 1]


class Told:
    """A server that tells how far an upload is, and whose lists do not know of it yet."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job

    async def get(self, path: str) -> dict[str, Any]:
        assert path == "/v1/jobs/j"
        return self._job

    async def can_be_found(self, source: str) -> None:
        assert source == "s"


async def test_what_failed_is_told_also_where_lists_are_behind():
    job = {"state": "finished", "done": 2, "error": None, "errors": [{"document_id": "1", "reason": "No text."}]}
    ingestion = Ingestion(connection=cast(Connection, Told(job)), source="s", quiet=True, jobs=["j"])
    ingestion.documents = {name: {"id": id, "path": name} for name, id in (("a", "1"), ("b", "2"))}
    await ingestion.wait()
    assert ingestion.failures == [{"path": "a", "reason": "No text."}]
    assert {name: each["status"] for name, each in ingestion.documents.items()} == {"a": "failed", "b": "indexed"}


async def test_what_is_indexed_is_waited_for_until_searches_find_it():
    job = {"state": "finished", "done": 1, "error": None, "errors": []}
    waited: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        match request.url.path:
            case "/health/ready":
                return httpx2.Response(200, json={}, headers={"Magnet-Position": "7"})
            case "/v1/jobs/j":
                return httpx2.Response(200, json=job)
            case "/v1/knowledge-sources/s/passages":
                waited.append(request.headers["Magnet-Min-Position"])
                if len(waited) <= TRIES:  # more often than a query is sent again
                    behind = {"code": "read_model_behind"}
                    return httpx2.Response(503, json=behind, headers={"Retry-After": "0"})
                return httpx2.Response(200, json={"items": [], "next_cursor": None})
        raise AssertionError(request.url)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://magnet") as client:
        ingestion = Ingestion(connection=Connection(client), source="s", quiet=True, jobs=["j"])
        await ingestion.wait()
    assert waited == ["7"] * (TRIES + 1)
