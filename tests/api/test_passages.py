"""Passages over HTTP: how they would be cut; listed, read, changed, and found as they are then."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.reading import PlainReader
from tests.support.server import Running, serving

PREVIEW = "/v1/knowledge-sources:preview"
SOURCE = "/v1/knowledge-sources/handbook"


@pytest.fixture
async def reading(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """A server with a knowledge source, which indexes plain text."""
    async with serving(database, tmp_path, reader=PlainReader()) as running:
        await running.do("POST", "/v1/knowledge-sources", {"name": "handbook", "type": "files"})
        yield running


async def indexed(magnet: Running, added: Any) -> None:
    """Wait until what was given can be found."""
    async with asyncio.timeout(PATIENCE):
        while (await magnet.get(f"/v1/jobs/{added['job_id']}"))["state"] != "finished":
            await asyncio.sleep(0.02)
    magnet.position = await magnet.container.log.head()


async def test_how_a_document_would_be_cut_is_shown_and_nothing_is_stored(magnet: Running):
    before = await magnet.container.log.head()
    body = {
        "chunking": {"strategy": "markdown"},
        "document": {"text": "# A\n\none\n\n# B\n\ntwo", "external_id": "a.md"},
    }
    body["document"]["media_type"] = "text/markdown"
    shown = await magnet.do("POST", PREVIEW, body)
    assert [each["headings"] for each in shown["chunks"]] == [["A"], ["B"]]
    given = {"content_base64": b64encode(b"plain words").decode(), "external_id": "a.txt"}
    shown = await magnet.do("POST", PREVIEW, {"document": given})
    assert [each["text"] for each in shown["chunks"]] == ["plain words"]
    assert await magnet.container.log.head() == before


async def test_a_preview_of_wrong_settings_or_of_no_document_is_a_422_that_points_at_them(magnet: Running):
    for body, pointer in (
        ({"chunking": {"size": 1}, "document": {"text": "x"}}, "/chunking/size"),
        ({"document": {}}, "/document/text"),
        ({"document": {"content_base64": "?"}}, "/document/content_base64"),
    ):
        answer = await magnet.call("POST", PREVIEW, body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == pointer


async def test_passages_are_written_listed_changed_and_removed(reading: Running):
    body = {"documents": [{"external_id": "a", "title": "A", "text": "one line\nanother line", "acl": ["staff"]}]}
    await indexed(reading, await reading.do("POST", f"{SOURCE}/documents", body))
    made = await reading.do(
        "POST", f"{SOURCE}/passages", {"text": "by hand", "title": "Hint", "message": "asked often"}
    )
    await indexed(reading, made)
    page = await reading.get(f"{SOURCE}/passages?limit=2")
    rest = await reading.get(f"{SOURCE}/passages?limit=2&cursor={page['next_cursor']}")
    assert [each["text"] for each in page["items"] + rest["items"]] == ["one line", "another line", "by hand"]
    back = await reading.get(f"{SOURCE}/passages?limit=2&order=desc")
    end = await reading.get(f"{SOURCE}/passages?limit=2&order=desc&cursor={back['next_cursor']}")
    assert back["items"] + end["items"] == (page["items"] + rest["items"])[::-1]
    assert end["next_cursor"] is None
    first = page["items"][0]
    assert await reading.get(f"{SOURCE}/passages/{first['id']}") == first
    assert first["document"]["external_id"] == "a" and first["tokens"] == 2
    await reading.do("PATCH", f"{SOURCE}/passages/{first['id']}", {"disabled": True})
    assert (await reading.get(f"{SOURCE}/passages/{first['id']}"))["disabled"] is True
    [found] = (await reading.get(f"{SOURCE}/passages?disabled=true"))["items"]
    assert found["id"] == first["id"]
    refused = await reading.call("DELETE", f"{SOURCE}/passages/{first['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_manual")
    for text, status in (("another", 202), ("another", 200)):
        changed = await reading.call("PATCH", f"{SOURCE}/passages/{first['id']}", {"text": text})
        assert changed.status_code == status
    manual = made["documents"][0]["id"]
    assert (await reading.call("PATCH", f"{SOURCE}/passages/{manual}", {"text": "by hand"})).status_code == 200
    await reading.do("PATCH", f"{SOURCE}/passages/{manual}", {"title": "Better hint"})
    [hint] = (await reading.get(f"{SOURCE}/passages?manual=true"))["items"]
    assert hint["document"]["title"] == "Better hint"
    await reading.do("DELETE", f"{SOURCE}/passages/{hint['id']}")
    assert (await reading.get(f"{SOURCE}/passages?manual=true"))["items"] == []


async def test_a_passage_of_another_group_is_not_there_and_can_not_be_changed(reading: Running):
    body = {"documents": [{"external_id": "a", "text": "one line", "acl": ["staff"]}]}
    await indexed(reading, await reading.do("POST", f"{SOURCE}/documents", body))
    [found] = (await reading.get(f"{SOURCE}/passages"))["items"]
    written = await reading.do("POST", f"{SOURCE}/passages", {"text": "by hand", "acl": ["staff"]})
    key = await reading.do("POST", "/v1/api-keys", {"name": "others", "roles": ["operator"], "groups": ["others"]})
    others = f"Bearer {key['key']}"
    listed = await reading.call("GET", f"{SOURCE}/passages", Authorization=others)
    assert listed.json()["items"] == []
    for hidden in (found["id"], written["documents"][0]["id"]):
        for method, body in (("GET", None), ("PATCH", {"disabled": True}), ("DELETE", None)):
            answers = [
                await reading.call(method, f"{SOURCE}/passages/{id}", body, Authorization=others)
                for id in (hidden, UUID(int=1))
            ]
            assert [each.status_code for each in answers] == [404, 404]
            assert answers[0].json()["detail"] == answers[1].json()["detail"]
    wrong = await reading.call("GET", f"{SOURCE}/passages?cursor=x", Authorization=others)
    assert wrong.status_code == 422
