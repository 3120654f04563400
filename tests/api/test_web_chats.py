"""Chats on web pages over HTTP: who is let in, what they get, and that they stay apart."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from api.web_chat.serving import PARTS, STATIC, script
from tests.api.test_access import key_of
from tests.api.test_conversation_tokens import SHOP, Page, shared_with
from tests.support.library import library
from tests.support.model_server import ModelServer, Reply
from tests.support.server import Running
from tests.support.talks import Talks, talks

ADA, BEN = "a" * 43, "b" * 43
CHANNEL = {"name": "shop", "type": "web", "agent": "helper", "config": {"origins": [SHOP]}}


@dataclass
class Door:
    """A channel, as pages come to it; `admin` goes with what an administrator asks."""

    magnet: Running
    admin: dict[str, str]

    async def visit(self, visitor: str = ADA, origin: str | None = SHOP, **more: Any) -> httpx.Response:
        headers = {} if origin is None else {"Origin": origin}
        body = {"visitor": visitor, **more}
        return await self.magnet.client.post("/v1/channels/shop/conversations", json=body, headers=headers)

    async def page(self, visitor: str = ADA, **more: Any) -> Page:
        answer = await self.visit(visitor, **more)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return Page(magnet=self.magnet, path=f"/v1/conversations/{made['id']}", token=made["token"])

    async def change(self, **patch: Any) -> None:
        await self.magnet.do("PATCH", "/v1/channels/shop", patch, **self.admin)


@pytest.fixture
async def door(magnet: Running, server: ModelServer) -> AsyncIterator[Door]:
    async with talks(magnet, server, sample_questions=["When is lunch?"]):
        await magnet.do("POST", "/v1/channels", {**CHANNEL, "title": "Shop"})
        yield Door(magnet, {"X_API_Key": await key_of(magnet, "admin", "admin")})


async def test_who_has_no_key_talks_goes_on_and_is_on_record_as_the_channels(door: Door, server: ModelServer):
    shown = await door.magnet.client.get("/v1/channels/shop/chat", headers={"Origin": SHOP})
    assert (shown.status_code, shared_with(shown)) == (200, SHOP)
    assert {name: shown.json()[name] for name in ("title", "welcome_message", "sample_questions")} == {
        "title": "Shop",
        "welcome_message": "Hi!",
        "sample_questions": ["When is lunch?"],
    }
    page = await door.page()
    server.script_for("chat-model", Reply(text="At noon."), Reply(text="Thirty."))
    answer = await page.call("POST", "/messages", {"content": "When is lunch?"})
    assert (answer.status_code, answer.json()["message"]["content"]) == (200, "At noon.")
    again = await door.page(conversation=page.path.rpartition("/")[2])
    assert again.path == page.path
    assert (await again.call("POST", "/messages", {"content": "How many?"})).status_code == 200
    talk = Talks(magnet=door.magnet, books=None, headers=door.admin)  # type: ignore[arg-type]
    seen = await talk.see(page.path)
    assert (seen["channel"], seen["principal"]["type"], seen["principal"]["name"]) == ("web", "channel", "shop")
    assert seen["subject"].startswith("visitor-")
    assert ADA not in (await door.magnet.client.get("/v1/events?limit=500", headers={"X-API-Key": talk.headers["X_API_Key"]})).text  # fmt: skip


async def test_visitors_do_not_come_into_each_others_conversations(door: Door):
    page = await door.page()
    id = page.path.rpartition("/")[2]
    for asked in ({"visitor": BEN, "conversation": id}, {"visitor": ADA, "conversation": "nothing"}):
        answer = await door.visit(**asked)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await Page(door.magnet, (await door.page(BEN)).path, page.token).call("GET", "")).status_code == 404
    files = {"content": "Look.", "attachments": [{"name": "a.txt", "text": "hello"}]}
    assert (await page.call("POST", "/messages", files)).status_code == 403


async def test_visitors_give_files_where_their_channel_lets_them_and_see_their_names(door: Door, server: ModelServer):
    await door.change(config={"files": True})
    shown = await door.magnet.client.get("/v1/channels/shop/chat", headers={"Origin": SHOP})
    assert shown.json()["files"] is True
    page = await door.page()
    server.script_for("chat-model", Reply(text="Hello."))
    files = {"content": "Look.", "attachments": [{"name": "a.txt", "text": "hello there"}]}
    assert (await page.call("POST", "/messages", files)).status_code == 200
    assert "hello there" in str(server.last.body)
    [asked, _] = (await page.call("GET", "")).json()["messages"]
    assert [set(file) for file in asked["attachments"]] == [{"id", "name"}]
    await door.change(config={"files": False})
    assert (await page.call("POST", "/messages", files)).status_code == 403


async def test_only_pages_of_its_origins_come_in_and_no_more_often_than_it_says(door: Door):
    for origin in ("https://evil.example.com", "null", None):
        answer = await door.visit(origin=origin)
        assert (answer.status_code, answer.json()["code"], shared_with(answer)) == (403, "origin_not_allowed", None)
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for origin, expected in ((SHOP, SHOP), ("https://evil.example.com", None)):
        answer = await door.magnet.client.options(
            "/v1/channels/shop/conversations", headers={"Origin": origin, **asking}
        )
        assert shared_with(answer) == expected
    short = await door.visit("too-short")
    assert (short.status_code, shared_with(short)) == (422, SHOP)
    await door.change(config={"visits_per_minute": 6})
    answers = [await door.visit() for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 429]
    assert (shared_with(answers[1]), answers[1].json()["code"]) == (SHOP, "rate_limited")
    assert int(answers[1].headers["retry-after"]) >= 1


async def test_switched_off_it_lets_nobody_in_and_those_inside_talk_no_more(door: Door):
    page = await door.page()
    await door.change(active=False)
    assert (await door.visit()).status_code == 404
    assert (await page.call("GET", "")).json()["code"] == "token_ended"
    await door.change(active=True)
    assert (await page.call("GET", "")).status_code == 200
    await door.magnet.do("DELETE", "/v1/channels/shop", **door.admin)
    assert (await page.call("GET", "")).json()["code"] == "token_ended"


async def test_its_people_find_what_its_groups_find(magnet: Running):
    async with library(magnet) as books:
        await books.tools()
        await books.add("open", "Lunch is at noon.", title="Open")
        await books.add("staff", "Lunch for staff is at one.", title="Staff", acl=["staff"])
        await books.add("admins", "Lunch for admins is at two.", title="Admins", acl=[])
        actions = [{"type": "rag_tool", "tool": "ask"}]
        await magnet.do("POST", "/v1/agents", {"name": "helper", "instructions": "You help.", "actions": actions})
        await magnet.do("POST", "/v1/channels", CHANNEL)
        door, titles = Door(magnet, {}), []
        for groups in ([], ["staff"]):
            await door.change(groups=groups)
            page = await door.page()
            answer = (await page.call("POST", "/messages", {"content": "When is lunch?"})).json()
            titles.append({each["title"] for each in answer["message"]["citations"]})
    assert titles[0] == {"Open"}
    assert titles[1] <= {"Open", "Staff"}
    assert "Staff" in titles[1]


async def test_the_script_is_one_file_for_every_page_and_has_nothing_that_reads_markup(magnet: Running):
    answer = await magnet.client.get("/chat.js", headers={"Origin": "https://anywhere.example.com"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert answer.content == script()
    again = await magnet.client.get("/chat.js", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    for danger in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "http://",
    ):
        assert danger not in answer.text.replace("http://www.w3.org/2000/svg", ""), danger
    assert {path.name for path in STATIC.iterdir()} == {*PARTS, "chat.css"}
