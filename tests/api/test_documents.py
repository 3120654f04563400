"""Documents over HTTP: given as JSON or files, once each, read by who may find them; nothing hostile is a 5xx."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import psycopg
import pytest

from commands.knowledge.reading import Scanned
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.reading import PlainReader
from tests.support.rebuilding import build_anew
from tests.support.server import Running, serving

DOCUMENTS = "/v1/knowledge-sources/handbook/documents"
BOUNDARY = "a-boundary"


@pytest.fixture
async def shelf(magnet: Running) -> Running:
    """A server with a knowledge source, whose jobs wait: nothing is indexed there."""
    await magnet.container.jobs.close()
    await magnet.do("POST", "/v1/knowledge-sources", {"name": "handbook", "type": "files"})
    return magnet


@pytest.fixture
async def reading(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """A server with a knowledge source, which indexes plain text."""
    async with serving(database, tmp_path, reader=PlainReader()) as running:
        await running.do("POST", "/v1/knowledge-sources", {"name": "handbook", "type": "files"})
        yield running


def texts(**named: str) -> dict[str, Any]:
    return {"documents": [{"external_id": name, "title": name.upper(), "text": text} for name, text in named.items()]}


async def upload(magnet: Running, *files: tuple[str, bytes], headers: Any = None, **fields: str) -> httpx.Response:
    answer = await magnet.client.post(
        DOCUMENTS, files=[("files", (name, content)) for name, content in files], data=fields, headers=headers
    )
    if answer.is_success:
        magnet.position = max(magnet.position, int(answer.headers["Magnet-Position"]))
    return answer


async def finished(magnet: Running, job: str) -> Any:
    """Return a job once it is done."""
    async with asyncio.timeout(PATIENCE):
        while (found := await magnet.get(f"/v1/jobs/{job}"))["state"] != "finished":
            await asyncio.sleep(0.02)
    magnet.position = await magnet.container.log.head()
    return found


def part(name: str, content: bytes = b"one", file: bytes | None = b"a.txt", more: bytes = b"") -> bytes:
    ending = b"" if file is None else b'; filename="' + file + b'"'
    head = b'Content-Disposition: form-data; name="' + name.encode() + b'"' + ending + b"\r\n" + more
    return b"--" + BOUNDARY.encode() + b"\r\n" + head + b"\r\n" + content + b"\r\n"


LAST = b"--" + BOUNDARY.encode() + b"--\r\n"


async def send(magnet: Running, body: Any, media: str = f"multipart/form-data; boundary={BOUNDARY}") -> httpx.Response:
    return await magnet.client.post(DOCUMENTS, content=body, headers={"Content-Type": media})


# Given, read, removed ---------------------------------------------------------


async def test_json_texts_are_taken_with_a_receipt_for_each(shelf: Running):
    body = texts(a="one") | {"message": "the first"}
    body["documents"].append({"external_id": "b.bin", "content_base64": b64encode(b"\x00\xff").decode()})
    answer = await shelf.call("POST", DOCUMENTS, body)
    assert answer.status_code == 202, answer.text
    receipt = answer.json()
    source = await shelf.get("/v1/knowledge-sources/handbook")
    assert (receipt["id"], receipt["version"]) == (source["id"], source["version"])
    assert answer.headers["ETag"] == f'"{source["version"]}"'
    assert [(each["external_id"], each["version"], each["status"]) for each in receipt["documents"]] == [
        ("a", 1, "pending"),
        ("b.bin", 1, "pending"),
    ]
    assert receipt["documents"][1]["sha256"] == sha256(b"\x00\xff").hexdigest()
    events = (await shelf.get("/v1/events?kind=document"))["items"]
    assert {each["reason"] for each in events} == {"the first"}


async def test_a_document_is_read_with_those_of_the_same_content_that_the_caller_may_find(shelf: Running):
    wiki = DOCUMENTS.replace("handbook", "wiki")
    await shelf.do("POST", "/v1/knowledge-sources", {"name": "wiki", "type": "files", "acl": ["staff"]})
    [first] = (await shelf.do("POST", DOCUMENTS, texts(a="one")))["documents"]
    [copy] = (await shelf.do("POST", wiki, texts(b="one")))["documents"]
    [gone] = (await shelf.do("POST", wiki, texts(c="one")))["documents"]
    await shelf.do("POST", DOCUMENTS, texts(d="another"))
    await shelf.do("DELETE", f"{wiki}/{gone['id']}")
    found = await shelf.get(f"{DOCUMENTS}/{first['id']}")
    [twin] = found["duplicates"]
    assert (twin["id"], twin["external_id"], twin["source"]["name"], twin["title"]) == (copy["id"], "b", "wiki", "B")
    assert found["language"] is None
    key = (await shelf.do("POST", "/v1/api-keys", {"name": "guest", "roles": ["user"], "groups": []}))["key"]
    headers = {"Authorization": f"Bearer {key}"}
    answer = await shelf.client.get(f"{DOCUMENTS}/{first['id']}", headers=headers)
    assert (answer.status_code, answer.json()["duplicates"]) == (200, [])
    assert "duplicates" not in (await shelf.client.get(DOCUMENTS, headers=headers)).json()["items"][0]


async def test_a_document_is_read_back_with_all_that_was_given(shelf: Running):
    given = {
        "external_id": "a",
        "title": "A title",
        "url": "https://example.com/a",
        "metadata": {"year": 2026, "big": 9223372036854775807},
        "acl": ["staff"],
        "text": "one",
        "media_type": "text/markdown; charset=utf-8",
    }
    [made] = (await shelf.do("POST", DOCUMENTS, {"documents": [given]}))["documents"]
    answer = await shelf.call("GET", f"{DOCUMENTS}/{made['id']}")
    found = answer.json()
    assert {name: found[name] for name in ("external_id", "title", "url", "metadata", "acl")} == {
        name: given[name] for name in ("external_id", "title", "url", "metadata", "acl")
    }
    assert (found["media_type"], found["size"], found["version"], found["status"]) == ("text/markdown", 3, 1, "pending")
    assert found["source"]["name"] == "handbook"
    assert answer.headers["ETag"] == '"2"'


async def test_files_are_taken_by_their_names_with_the_metadata_and_access_of_all(shelf: Running):
    answer = await upload(
        shelf, ("a.md", b"# One"), ("sub/b.txt", b"two"), metadata='{"year": 2026}', acl='["staff"]', message="why"
    )
    assert answer.status_code == 202, answer.text
    found = (await shelf.get(f"{DOCUMENTS}?order=asc"))["items"]
    assert [(each["external_id"], each["metadata"], each["acl"]) for each in found] == [
        ("a.md", {"year": 2026}, ["staff"]),
        ("sub/b.txt", {"year": 2026}, ["staff"]),
    ]


async def test_the_same_upload_20_times_at_once_is_one_document(shelf: Running):
    answers = await asyncio.gather(*(upload(shelf, ("a.txt", b"one")) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
    assert len({answer.json()["documents"][0]["id"] for answer in answers}) == 1
    assert {answer.json()["documents"][0]["version"] for answer in answers} == {1}
    assert len((await shelf.get(DOCUMENTS))["items"]) == 1
    events = (await shelf.get("/v1/events?kind=document"))["items"]
    assert [each["type"] for each in events] == ["document.created", "document.version_added"]


async def test_only_what_asks_for_indexing_is_a_202_while_documents_are_pending(shelf: Running):
    given = texts(a="one", b="two")
    first = await shelf.call("POST", DOCUMENTS, given, Idempotency_Key="k")
    again = await shelf.call("POST", DOCUMENTS, given)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["documents"] == first.json()["documents"]
    assert [each["status"] for each in again.json()["documents"]] == ["pending", "pending"]
    replay = await shelf.call("POST", DOCUMENTS, given, Idempotency_Key="k")
    assert (replay.status_code, replay.content, replay.headers["Idempotent-Replay"]) == (202, first.content, "true")
    assert (await shelf.call("POST", DOCUMENTS, texts(a="one", b="three"))).status_code == 202
    waiting = first.json()["documents"][0]["id"]
    head = await shelf.container.log.head()
    retried = await shelf.call("POST", f"{DOCUMENTS}/{waiting}/retry")
    assert (retried.status_code, retried.json()["version"]) == (200, 2)
    assert await shelf.container.log.head() == head


async def test_the_same_key_gives_a_multipart_upload_its_first_answer_again(shelf: Running):
    headers = {"Idempotency-Key": "k"}
    first, again = [await upload(shelf, ("a.txt", b"one"), headers=headers) for _ in range(2)]
    assert again.content == first.content
    boundaries = {answer.request.headers["Content-Type"] for answer in (first, again)}
    assert (len(boundaries), again.headers["Idempotent-Replay"]) == (2, "true")
    other = await upload(shelf, ("a.txt", b"two"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_document_is_indexed_its_job_told_and_its_text_read(reading: Running):
    made = await reading.do("POST", DOCUMENTS, texts(a="one\ntwo", b=" "))
    job = await finished(reading, made["job_id"])
    counts = ("total", "done", "pending", "indexed", "failed", "removed")
    assert [job[name] for name in counts] == [2, 2, 0, 1, 1, 0]
    assert job["error"] is None
    [error] = job["errors"]
    assert (error["document_id"], error["external_id"], error["code"]) == (
        made["documents"][1]["id"],
        "b",
        "unreadable",
    )
    assert error["reason"] == "The document is empty."
    assert job["source"]["name"] == "handbook"
    good, bad = (f"{DOCUMENTS}/{each['id']}" for each in made["documents"])
    found = await reading.get(good)
    assert (found["status"], found["failure"]) == ("indexed", None)
    assert found["indexes"] == {"1": {"version": 1, "passages": 2}}
    text = await reading.call("GET", f"{good}/content?form=text")
    assert (text.text, text.headers["content-type"]) == ("one\ntwo", "text/plain; charset=utf-8")
    found = await reading.get(bad)
    assert (found["status"], found["failure"]["code"]) == ("failed", "unreadable")
    unread = await reading.call("GET", f"{bad}/content?form=text")
    assert (unread.status_code, unread.json()["code"]) == (409, "not_indexed")
    assert [each["external_id"] for each in (await reading.get(f"{DOCUMENTS}?status=failed"))["items"]] == ["b"]
    again = await reading.call("POST", DOCUMENTS, texts(a="one\ntwo"))
    assert (again.status_code, again.json()["documents"][0]["status"]) == (200, "indexed")


async def test_a_document_tells_which_pages_were_read_by_ocr_and_why_others_were_not(
    database: Database, tmp_path: Path
):
    reader = PlainReader()
    reader.scanned["a"] = Scanned(pages=[1, 3], unread={2: "Reading it took too much memory."})
    async with serving(database, tmp_path, reader=reader) as running:
        await running.do("POST", "/v1/knowledge-sources", {"name": "handbook", "type": "files"})
        made = await running.do("POST", DOCUMENTS, texts(a="one", b="two"))
        await finished(running, made["job_id"])
        scan, plain = [await running.get(f"{DOCUMENTS}/{each['id']}") for each in made["documents"]]
    assert scan["ocr"] == {"pages": [1, 3], "unread": [{"page": 2, "reason": "Reading it took too much memory."}]}
    assert plain["ocr"] is None


async def test_a_document_that_failed_is_tried_again(reading: Running):
    made = await reading.do("POST", DOCUMENTS, texts(a=" "))
    await finished(reading, made["job_id"])
    address = f"{DOCUMENTS}/{made['documents'][0]['id']}"
    answer = await reading.call("POST", f"{address}/retry")
    assert (answer.status_code, answer.json()["id"]) == (202, made["documents"][0]["id"])
    await finished(reading, made["job_id"])
    events = (await reading.get("/v1/events?kind=document"))["items"]
    assert [each["type"].partition(".")[2] for each in events] == [
        "created",
        "version_added",
        "failed",
        "retry_requested",
        "failed",
    ]


async def test_a_removed_document_is_gone_from_lists_and_addresses(shelf: Running):
    made = await shelf.do("POST", DOCUMENTS, texts(a="one", b="two"))
    address = f"{DOCUMENTS}/{made['documents'][0]['id']}"
    stale = await shelf.call("DELETE", address, If_Match='"7"')
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)
    assert (await shelf.call("DELETE", address, If_Match='"2"')).status_code == 200
    assert [each["external_id"] for each in (await shelf.get(DOCUMENTS))["items"]] == ["b"]
    for method, path in (
        ("GET", address),
        ("GET", f"{address}/content"),
        ("DELETE", address),
        ("POST", f"{address}/retry"),
    ):
        assert (await shelf.call(method, path)).status_code == 404, (method, path)
    [again] = (await shelf.do("POST", DOCUMENTS, texts(a="one")))["documents"]
    assert again["version"] == 2
    assert (await shelf.get(address))["version"] == 2


async def test_lists_go_on_by_their_cursor_and_are_narrowed(shelf: Running):
    await shelf.do("POST", DOCUMENTS, texts(**{f"d{number}": str(number) for number in range(7)}))
    seen, cursor = [], ""
    while cursor is not None:
        found = await shelf.get(f"{DOCUMENTS}?limit=3{cursor}")
        seen += [each["external_id"] for each in found["items"]]
        cursor = None if found["next_cursor"] is None else f"&cursor={found['next_cursor']}"
    assert sorted(seen) == [f"d{number}" for number in range(7)]
    oldest = await shelf.get(f"{DOCUMENTS}?order=asc")
    assert [each["external_id"] for each in oldest["items"]] == seen[::-1]
    for query, expected in (("external_id=d3", ["d3"]), ("q=d4", ["d4"]), ("q=x", []), ("status=indexed", [])):
        assert [each["external_id"] for each in (await shelf.get(f"{DOCUMENTS}?{query}"))["items"]] == expected
    for query in ("status=lost", "text=a", "limit=0", "cursor=x", "order=up"):
        assert (await shelf.call("GET", f"{DOCUMENTS}?{query}")).status_code == 422, query


async def test_an_index_that_is_not_there_is_refused_and_the_one_that_answers_is_no_change(shelf: Running):
    await shelf.do("POST", DOCUMENTS, texts(a="one"))
    before = await shelf.get("/v1/knowledge-sources/handbook")
    answer = await shelf.do("POST", "/v1/knowledge-sources/handbook/index", {"index": 1})
    assert answer["version"] == before["version"]
    for body in ({"index": 7}, {"index": 0}, {"index": "1"}, {"index": True}, {}, {"index": 1, "x": 1}):
        answer = await shelf.call("POST", "/v1/knowledge-sources/handbook/index", body)
        assert answer.status_code == 422, body


async def test_another_index_answers_after_the_switch(shelf: Running):
    await shelf.do("POST", DOCUMENTS, texts(a="one"))
    await shelf.do("PATCH", "/v1/knowledge-sources/handbook", {"chunking": {"strategy": "sentence"}})
    assert (await shelf.get("/v1/knowledge-sources/handbook"))["index"] == 1
    await shelf.do("POST", "/v1/knowledge-sources/handbook/index", {"index": 2, "message": "try it"})
    assert (await shelf.get("/v1/knowledge-sources/handbook"))["index"] == 2


async def test_what_is_not_there_is_a_404(shelf: Running):
    nobody = "00000000-0000-0000-0000-000000000000"
    paths = [
        ("GET", "/v1/knowledge-sources/other/documents"),
        ("GET", f"{DOCUMENTS}/{nobody}"),
        ("GET", f"{DOCUMENTS}/{nobody}/content"),
        ("GET", f"{DOCUMENTS}/not-an-id"),
        ("DELETE", f"{DOCUMENTS}/{nobody}"),
        ("POST", f"{DOCUMENTS}/{nobody}/retry"),
        ("GET", f"/v1/jobs/{nobody}"),
        ("GET", "/v1/jobs/x"),
    ]
    for method, path in paths:
        assert (await shelf.call(method, path)).status_code == 404, path
    assert (await shelf.call("POST", "/v1/knowledge-sources/other/documents", texts(a="one"))).status_code == 404


async def test_a_rebuild_gives_the_same_documents(reading: Running):
    made = await reading.do("POST", DOCUMENTS, texts(a="one", b=" ", c="three"))
    await finished(reading, made["job_id"])
    await reading.do("DELETE", f"{DOCUMENTS}/{made['documents'][2]['id']}")
    await reading.do("PATCH", "/v1/knowledge-sources/handbook", {"acl": []})
    administration = reading.container.administration
    assert await reading.container.reached("documents_v1", reading.position, PATIENCE)
    before = {each.name: each.checksum for each in await administration.status()}["documents_v1"]
    await build_anew(administration, "documents_v1")
    assert await reading.container.reached("documents_v1", reading.position, PATIENCE)
    assert {each.name: each.checksum for each in await administration.status()}["documents_v1"] == before


# Who may ----------------------------------------------------------------------


async def test_a_document_of_another_group_is_not_there(shelf: Running):
    keys = {}
    for name, roles, groups in (
        ("root", ["admin"], []),
        ("staff", ["editor"], ["staff"]),
        ("guest", ["editor"], ["guests"]),
        ("reader", ["user"], ["staff"]),
    ):
        admin = {"X_API_Key": keys["root"]} if keys else {}
        keys[name] = (
            await shelf.do("POST", "/v1/api-keys", {"name": name, "roles": roles, "groups": groups}, **admin)
        )["key"]
    given = [
        {"external_id": "staff", "text": "s", "acl": ["staff"]},
        {"external_id": "closed", "text": "c", "acl": []},
        {"external_id": "open", "text": "o"},
    ]
    made = await shelf.do("POST", DOCUMENTS, {"documents": given}, X_API_Key=keys["root"])
    ids = {each["external_id"]: each["id"] for each in made["documents"]}
    expected = {
        "root": {"staff", "closed", "open"},
        "staff": {"staff", "open"},
        "guest": {"open"},
        "reader": {"staff", "open"},
    }
    for name, visible in expected.items():
        found = await shelf.get(DOCUMENTS, X_API_Key=keys[name])
        assert {each["external_id"] for each in found["items"]} == visible, name
        for external_id, id in ids.items():
            for path in (f"{DOCUMENTS}/{id}", f"{DOCUMENTS}/{id}/content"):
                status = (await shelf.call("GET", path, X_API_Key=keys[name])).status_code
                assert status == (200 if external_id in visible else 404), (name, external_id)
    hidden = f"{DOCUMENTS}/{ids['staff']}"
    for method, path in (("DELETE", hidden), ("POST", f"{hidden}/retry")):
        assert (await shelf.call(method, path, X_API_Key=keys["guest"])).status_code == 404
        assert (await shelf.call(method, path, X_API_Key=keys["reader"])).status_code == 403
    taken = await shelf.call("POST", DOCUMENTS, {"documents": [given[0] | {"text": "x"}]}, X_API_Key=keys["guest"])
    assert (taken.status_code, taken.json()["code"]) == (409, "external_id_taken")
    await shelf.do("PATCH", "/v1/knowledge-sources/handbook", {"acl": ["board"]}, X_API_Key=keys["root"])
    assert (await shelf.get(DOCUMENTS, X_API_Key=keys["guest"]))["items"] == []
    assert (await shelf.call("DELETE", hidden, X_API_Key=keys["staff"])).status_code == 200


async def test_an_upload_is_told_to_who_gave_it_and_to_who_may_find_some_of_it(reading: Running):
    keys: dict[str, str] = {}
    for name, roles, groups in (
        ("root", ["admin"], []),
        ("giver", ["editor"], []),
        ("staff", ["user"], ["staff"]),
        ("guest", ["user"], ["guests"]),
    ):
        admin = {"X_API_Key": keys["root"]} if keys else {}
        body = {"name": name, "roles": roles, "groups": groups}
        keys[name] = (await reading.do("POST", "/v1/api-keys", body, **admin))["key"]
    given = [
        {"external_id": "staff", "text": " ", "acl": ["staff"]},
        {"external_id": "closed", "text": " ", "acl": []},
    ]
    made = await reading.do("POST", DOCUMENTS, {"documents": given}, X_API_Key=keys["giver"])
    job = f"/v1/jobs/{made['job_id']}"
    async with asyncio.timeout(PATIENCE):
        while (await reading.get(job, X_API_Key=keys["root"]))["state"] != "finished":
            await asyncio.sleep(0.02)
    for name, told in (("root", {"staff", "closed"}), ("giver", {"staff", "closed"}), ("staff", {"staff"})):
        found = await reading.get(job, X_API_Key=keys[name])
        assert (found["total"], found["failed"]) == (2, 2)
        assert {each["external_id"] for each in found["errors"]} == told, name
    foreign = await reading.call("GET", job, X_API_Key=keys["guest"])
    absent = await reading.call("GET", "/v1/jobs/00000000-0000-0000-0000-000000000000", X_API_Key=keys["guest"])
    same = ("status", "code", "detail")
    assert [foreign.json()[name] for name in same] == [absent.json()[name] for name in same]
    assert foreign.status_code == 404


async def test_a_document_that_is_removed_is_counted_as_such_by_its_upload(shelf: Running):
    made = await shelf.do("POST", DOCUMENTS, texts(a="one", b="two"))
    job = await shelf.get(f"/v1/jobs/{made['job_id']}")
    assert (job["state"], job["pending"], job["indexed"]) == ("running", 2, 0)
    await shelf.do("DELETE", f"{DOCUMENTS}/{made['documents'][0]['id']}")
    with psycopg.connect(shelf.database.owner_dsn) as owner:  # as the worker does, which has nothing to index
        owner.execute("DELETE FROM magnet.jobs WHERE key = %s", [made["documents"][0]["id"]])
    job = await shelf.get(f"/v1/jobs/{made['job_id']}")
    assert (job["done"], job["pending"], job["removed"], job["indexed"]) == (1, 1, 1, 0)


# Content ----------------------------------------------------------------------

NAMES = {
    "../../etc/passwd": "passwd",
    "..\\..\\boot.ini": "boot.ini",
    "CON.txt": "_CON.txt",
    "x\u202egnp.exe": "x_gnp.exe",
    'a"; filename="b.html': "a_; filename=_b.html",
    "ä 100%.pdf": "ä 100%.pdf",
    "..": "_",
    "a" * 300 + ".pdf": "a" * 104 + ".pdf",
}


async def test_the_original_comes_as_an_attachment_that_no_browser_runs(shelf: Running):
    page = "<script>alert(1)</script>"
    for name, shown in NAMES.items():
        given = {"external_id": name, "text": page, "media_type": "text/html"}
        [made] = (await shelf.do("POST", DOCUMENTS, {"documents": [given]}))["documents"]
        answer = await shelf.call("GET", f"{DOCUMENTS}/{made['id']}/content")
        assert answer.text == page
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("sandbox")
        disposition = answer.headers["content-disposition"]
        assert disposition.startswith("attachment; filename=")
        assert unquote(disposition.rpartition("''")[2]) == shown, name
        assert disposition.isascii()
        assert disposition.count('"') == 2
        assert (await shelf.get(f"{DOCUMENTS}/{made['id']}"))["external_id"] == name


async def test_the_content_is_byte_for_byte_what_was_given(shelf: Running):
    content = bytes(range(256)) * 100 + b"\r\n--" + BOUNDARY.encode() + b"x\r\n"
    answer = await send(shelf, part("files", content) + LAST)
    assert answer.status_code == 202, answer.text
    shelf.position = answer.json()["position"]
    id = answer.json()["documents"][0]["id"]
    assert (await shelf.call("GET", f"{DOCUMENTS}/{id}/content")).content == content


# Hostile ----------------------------------------------------------------------

CANARY = b"canary-4711"
METADATA = "metadata"
REFUSED: list[tuple[str, bytes, int]] = [
    ("no part", LAST, 422),
    ("nothing", b"", 400),
    ("no last boundary", part("files"), 400),
    ("another boundary", b"--other\r\n\r\n--other--", 400),
    ("cut in a header", b"--" + BOUNDARY.encode() + b"\r\nContent-Dispo", 400),
    ("no name", b"--" + BOUNDARY.encode() + b"\r\nContent-Type: text/plain\r\n\r\nx\r\n" + LAST, 400),
    ("a header twice", part("files", more=b"Content-Disposition: form-data; name=x\r\n") + LAST, 400),
    ("an endless header", part("files", more=b"X: " + b"a" * 100_000 + b"\r\n") + LAST, 400),
    ("many headers", part("files", more=b"".join(b"X%d: a\r\n" % n for n in range(100))) + LAST, 400),
    ("an encoded part", part("files", more=b"Content-Transfer-Encoding: base64\r\n") + LAST, 422),
    ("no file name", part("files", file=None) + LAST, 422),
    ("an empty file name", part("files", file=b"") + LAST, 422),
    ("NUL in a name", part("files", file=b"a\x00" + CANARY) + LAST, 422),
    ("a line break in a name", part("files", file=b"a\n" + CANARY) + LAST, 422),
    ("a name that is not UTF-8", part("files", file=b"\xff\xfe" + CANARY) + LAST, 422),
    ("a surrogate in a name", part("files", file=b"\xed\xa0\x80") + LAST, 422),
    ("a name of 1,001 characters", part("files", file=b"a" * 1001) + LAST, 422),
    ("the same name twice", part("files") + part("files") + LAST, 422),
    ("an unknown field", part("files") + part("canary-4711", file=None) + LAST, 422),
    ("a field twice", part("files") + 2 * part("acl", b"[]", None) + LAST, 422),
    ("no JSON", part("files") + part(METADATA, b"{canary-4711", None) + LAST, 400),
    ("no object", part("files") + part(METADATA, b'["canary-4711"]', None) + LAST, 422),
    ("NaN", part("files") + part(METADATA, b'{"a":NaN}', None) + LAST, 422),
    ("a surrogate", part("files") + part(METADATA, b'{"a":"\\ud800"}', None) + LAST, 422),
    ("a key twice", part("files") + part(METADATA, b'{"a":1,"a":2}', None) + LAST, 400),
    ("300 levels", part("files") + part(METADATA, b'{"a":' + b"[" * 300, None) + LAST, 400),
    ("20 levels", part("files") + part(METADATA, b'{"a":' + b"[" * 20 + b"]" * 20 + b"}", None) + LAST, 422),
    ("large metadata", part("files") + part(METADATA, b'{"a":"' + b"a" * 70_000 + b'"}', None) + LAST, 422),
    ("larger metadata", part("files") + part(METADATA, b'{"a":"' + b"a" * 200_000 + b'"}', None) + LAST, 413),
    ("acl that is text", part("files") + part("acl", b'"canary-4711"', None) + LAST, 422),
    ("acl of numbers", part("files") + part("acl", b"[1]", None) + LAST, 422),
    ("a media type that is none", part("files", more=b"Content-Type: canary-4711\r\n") + LAST, 422),
    ("a message that is not UTF-8", part("files") + part("message", b"\xff", None) + LAST, 422),
]


async def test_a_hostile_multipart_body_is_refused_and_stored_nowhere(shelf: Running):
    head = await shelf.container.log.head()
    many = b"".join(part("files", b"", b"%d" % n) for n in range(100_000)) + LAST
    for name, body, status in [*REFUSED, ("10^5 parts", many, 413)]:
        answer = await send(shelf, body)
        assert answer.status_code == status, (name, answer.text)
        assert answer.headers["content-type"] == "application/problem+json", name
        assert CANARY not in answer.content, name
        assert await shelf.container.log.head() == head, name


async def test_a_field_of_an_upload_that_is_no_json_is_named_with_an_example(shelf: Running):
    for name, content, code, told in (
        ("acl", b"sales", "not_json", 'The field `acl` is JSON, such as ["sales"].'),
        ("acl", b"", "empty_body", 'The field `acl` is JSON, such as ["sales"].'),
        ("metadata", b"team=sales", "not_json", 'The field `metadata` is JSON, such as {"team": "sales"}.'),
        (
            "metadata",
            b'{"a":1,"a":2}',
            "duplicate_key",
            'The field `metadata` is JSON, such as {"team": "sales"}: A key',
        ),
    ):
        answer = await send(shelf, part("files") + part(name, content, None) + LAST)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
        assert answer.json()["detail"].startswith(told), answer.text


async def test_a_multipart_body_without_a_boundary_is_a_400_and_another_type_a_415(shelf: Running):
    for media in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 300}",
    ):
        assert (await send(shelf, part("files") + LAST, media)).status_code == 400, media
    for media in ("text/plain", "multipart/mixed; boundary=a-boundary", "application/x-www-form-urlencoded", ""):
        assert (await send(shelf, part("files") + LAST, media)).status_code == 415, media


BODIES: list[tuple[dict[str, Any], int]] = [
    ({}, 422),
    ({"documents": []}, 422),
    ({"documents": {}}, 422),
    ({"documents": [{}]}, 422),
    ({"documents": [{"external_id": "a"}]}, 422),
    ({"documents": [{"external_id": "a", "text": "t", "content_base64": ""}]}, 422),
    ({"documents": [{"external_id": "a", "content_base64": "%%%"}]}, 422),
    ({"documents": [{"external_id": "", "text": "t"}]}, 422),
    ({"documents": [{"external_id": "a\nb", "text": "t"}]}, 422),
    ({"documents": [{"external_id": 1, "text": "t"}]}, 422),
    ({"documents": [{"external_id": "a", "text": "t", "version": 2}]}, 422),
    ({"documents": [{"external_id": "a", "text": "t", "status": "indexed"}]}, 422),
    ({"documents": [{"external_id": "a", "text": "t", "url": "javascript:alert(1)"}]}, 422),
    ({"documents": [{"external_id": "a", "text": "t", "acl": "staff"}]}, 422),
    ({"documents": [{"external_id": "a", "text": "t", "acl": [""]}]}, 422),
    ({"documents": [{"external_id": "a", "text": "t", "metadata": []}]}, 422),
    ({"documents": [{"external_id": "a", "text": "t"}] * 2}, 422),
    ({"documents": [{"external_id": str(n), "text": "t"} for n in range(1001)]}, 422),
    ({"documents": [{"external_id": "a", "text": "t"}], "job_id": "x"}, 422),
    ({"documents": [{"external_id": "a", "text": "t"}], "message": ""}, 422),
]


async def test_a_wrong_json_body_is_a_422_and_stored_nowhere(shelf: Running):
    head = await shelf.container.log.head()
    for body, status in BODIES:
        answer = await shelf.call("POST", DOCUMENTS, body)
        assert answer.status_code == status, (body, answer.text)
        assert await shelf.container.log.head() == head
    raw = json.dumps({"documents": [{"external_id": "a", "text": "canary-4711\ud800"}]}).encode()
    answer = await send(shelf, raw, "application/json")
    assert (answer.status_code, CANARY in answer.content) == (422, False)
    refused = await shelf.call("POST", DOCUMENTS, texts(a="one"), If_Match='"1"')
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_if_match")


KEPT = ["\u202etxt.exe", "../../a", "a\\b", "e\u0301", "é", "{{7*7}}", "=cmd|x", "%2e%2e%2f", "\ufffe", "CON", "'\";--"]


async def test_a_hostile_name_that_is_text_is_kept_to_the_letter(shelf: Running):
    body = b"".join(
        part("files", b"%d" % n, name.replace("\\", "\\\\").replace('"', '\\"').encode()) for n, name in enumerate(KEPT)
    )
    answer = await send(shelf, body + LAST)
    assert answer.status_code == 202, answer.text
    assert [each["external_id"] for each in answer.json()["documents"]] == KEPT


async def raw(magnet: Running, head: bytes, *pieces: bytes) -> bytes:
    """Send bytes as they are, and that no more come; return the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", magnet.port)
    line = f"POST {DOCUMENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    writer.write(line.encode() + b"Connection: close\r\n" + head + b"\r\n")
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return answer


async def test_a_body_without_an_end_is_cut_off(shelf: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("api.multipart.LARGEST_UPLOAD", 2_000_000)
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    start = part("files").removesuffix(b"one\r\n")
    first = b"%x\r\n" % len(start) + start + b"\r\n"
    answer = await raw(shelf, b"Transfer-Encoding: chunked\r\n", first, *([piece] * 100), b"0\r\n\r\n")
    assert (answer.split(b" ")[1], b"too_large" in answer) == (b"413", True)


async def test_a_length_that_is_not_the_bodys_stores_nothing_and_hurts_nobody(shelf: Running):
    head = await shelf.container.log.head()
    body = part("files") + LAST
    for length in (b"10000000000", b"-1", b"1e9", b"%d" % (len(body) + 20), b"%d" % (len(body) - 20)):
        answer = await raw(shelf, b"Content-Length: " + length + b"\r\n", body)
        assert not answer or answer.split(b" ")[1] in (b"400", b"413"), length
        assert await shelf.container.log.head() == head
        assert (await shelf.get(DOCUMENTS))["items"] == []
