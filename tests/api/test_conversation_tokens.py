"""Conversation tokens over HTTP: what they open, from which pages, how long, and that they open nothing else."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import operations
from api.permissions import PUBLIC
from tests.api.test_access import key_of, request_for
from tests.api.test_confirmations import SHOUT
from tests.api.test_prompt_runs import events_in
from tests.api.test_turns import asked, held
from tests.support.model_server import ModelServer, Reply
from tests.support.server import Running, serving
from tests.support.talks import ACTIONS, Talks, said, talks

SHOP = "https://shop.example.com"


@pytest.fixture
async def talk(handbook: None, magnet: Running, server: ModelServer) -> AsyncIterator[Talks]:
    """An agent that must ask before it shouts, and a key that talks with it."""
    actions = [{**action, "requires_confirmation": action["function"] == "shout"} for action in ACTIONS]
    async with talks(magnet, server, actions=actions) as made:
        admin = await key_of(magnet, "admin", "admin")
        key = await key_of(magnet, "website", "user", admin=admin)
        made.books.headers = {"X_API_Key": admin}
        yield Talks(magnet=magnet, books=made.books, headers={"X_API_Key": key})


@dataclass
class Page:
    """A page of a shop, which has a token and nothing else."""

    magnet: Running
    path: str
    token: str

    async def call(
        self, method: str, path: str, body: Any = None, origin: str | None = SHOP, **headers: str
    ) -> httpx.Response:
        """Send a request as a browser does for the page."""
        sent = {"Authorization": f"Bearer {self.token}", **({} if origin is None else {"Origin": origin})}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.magnet.client.request(method, f"{self.path}{path}", json=body, headers=sent)


async def page_of(talk: Talks, path: str | None = None, origin: str | None = SHOP, **more: Any) -> Page:
    path = path or await talk.begin()
    answer = await talk.call("POST", f"{path}/tokens", {"origin": origin, **more})
    assert answer.status_code == 201, answer.text
    return Page(magnet=talk.magnet, path=path, token=answer.json()["token"])


def shared_with(answer: httpx.Response) -> str | None:
    return answer.headers.get("access-control-allow-origin")


async def test_a_page_talks_with_its_token_from_the_first_message_to_feedback(talk: Talks, server: ModelServer):
    page = await page_of(talk)
    server.script_for("chat-model", Reply(text="Shall I?", tool_calls=[SHOUT]), Reply(text="HEY!"), Reply(text="Done."))
    posted = await page.call("POST", "/messages", {"content": "Shout.", "background": True})
    assert (posted.status_code, shared_with(posted)) == (202, SHOP)
    turn = posted.json()["turn"]["id"]
    streamed = await page.call("GET", f"/turns/{turn}/stream")
    assert shared_with(streamed) == SHOP
    events = events_in(streamed.text)
    assert events[-1][0] == "turn.awaiting_confirmation"
    [asked_for] = events[-1][1]["confirmations"]
    assert asked_for["message"] == "Runs a prompt. (words: hey)"
    decided = await page.call("POST", "/confirmations", {"id": asked_for["id"], "approved": True})
    assert (decided.status_code, decided.json()["message"]["content"]) == (200, "Shall I?\n\nDone.")
    message = decided.json()["message"]["id"]
    rated = await page.call("POST", "/feedback", {"message_id": message, "rating": "up"})
    assert rated.status_code == 200
    seen = (await page.call("GET", "")).json()
    assert [each["role"] for each in seen["messages"]] == ["user", "assistant"]
    assert seen["messages"][1]["feedback"]["rating"] == "up"
    resumed = await page.call("GET", f"/turns/{turn}/stream", Last_Event_ID="2.1")
    assert said(events_in(resumed.text)) in "Shall I?\n\nDone."
    run = await talk.run((await talk.see(page.path))["turns"][0]["run_id"])
    assert (run["channel"], run["principal"]["name"]) == ("web", "website")


async def test_a_page_cancels_what_runs(talk: Talks, server: ModelServer):
    page = await page_of(talk)
    server.script_for("chat-model", held())
    turn = (await page.call("POST", "/messages", {"content": "Long?", "background": True})).json()["turn"]["id"]
    await asked(server)
    cancelled = await page.call("POST", f"/turns/{turn}/cancel")
    assert (cancelled.status_code, cancelled.json()["turn"]["state"]) == (200, "cancelled")


async def test_a_page_is_told_what_was_said_and_neither_how_nor_at_what_cost(talk: Talks, server: ModelServer):
    page = await page_of(talk)
    server.script_for("chat-model", Reply(text="Thirty."))
    answer = (await page.call("POST", "/messages", {"content": "How many?"})).json()
    assert set(answer) == {"turn", "message", "id", "version", "position"}
    assert set(answer["message"]) == {"id", "role", "content", "citations"}
    seen = (await page.call("GET", "")).json()
    assert {"principal", "variables", "notes", "summary"}.isdisjoint(seen)
    assert {"actions", "usage", "cost", "run_id", "agent"}.isdisjoint(seen["turns"][0])


async def test_a_token_opens_its_own_conversation_only_and_nothing_else_at_all(talk: Talks):
    page = await page_of(talk)
    other = await talk.begin()
    for method, path in (("GET", ""), ("POST", "/messages"), ("POST", "/feedback")):
        answer = await Page(talk.magnet, other, page.token).call(method, path, {"content": "Hi"} if path else None)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    opened = set()
    for operation in operations():
        if operation.permission == PUBLIC:
            continue
        method, path = request_for(operation)
        path = path.replace("/nothing", page.path.removeprefix("/v1/conversations")).replace("{turn}", "nothing")
        answer = await Page(talk.magnet, "", page.token).call(method, path, {} if method in ("POST", "PATCH") else None)
        if answer.status_code == 403:
            assert (answer.json()["code"], shared_with(answer)) == ("forbidden", None), (method, path)
        else:
            opened.add(operation.name)
    assert opened == {
        *("say_in_conversation", "confirm_in_conversation", "retry_turn", "cancel_turn"),
        *("give_feedback", "get_conversation", "follow_turn"),
    }


async def test_a_token_ends_with_its_time_and_its_page_is_told_so(talk: Talks):
    path = await talk.begin()
    before = datetime.now(UTC)
    made = (await talk.call("POST", f"{path}/tokens", {"origin": SHOP, "expires_in": 60})).json()
    ends = datetime.fromisoformat(made["expires_at"])
    assert timedelta(seconds=58) < ends - before < timedelta(seconds=90)
    page, visitors = Page(magnet=talk.magnet, path=path, token=made["token"]), talk.magnet.container.visitors
    visitors.now = lambda: ends - timedelta(seconds=1)
    assert (await page.call("GET", "")).status_code == 200
    visitors.now = lambda: ends
    answer = await page.call("GET", "")
    assert (answer.status_code, answer.json()["code"], shared_with(answer)) == (401, "token_ended", SHOP)


async def test_a_token_ends_with_the_key_that_made_it(talk: Talks):
    page = await page_of(talk)
    await talk.magnet.do("DELETE", "/v1/api-keys/website", **talk.books.headers)
    assert (await page.call("GET", "")).json()["code"] == "token_ended"


async def test_a_token_ends_when_a_person_closes_the_conversation_and_no_more_are_made(talk: Talks):
    page = await page_of(talk)
    assert (await talk.call("POST", f"{page.path}/close")).status_code == 200
    assert (await page.call("GET", "")).json()["code"] == "token_ended"
    answer = await talk.call("POST", f"{page.path}/tokens", {"origin": SHOP})
    assert (answer.status_code, answer.json()["code"]) == (409, "conversation_closed")


async def test_other_pages_are_refused_and_told_nothing(talk: Talks):
    page = await page_of(talk)
    for origin in ("https://evil.example.com", "http://shop.example.com", "https://shop.example.com:444", "null"):
        answer = await page.call("GET", "", origin=origin)
        assert (answer.status_code, answer.json()["code"], shared_with(answer)) == (403, "origin_not_allowed", None)
    assert (await page.call("GET", "", origin=None)).status_code == 200
    none = await page_of(talk, origin=None)
    assert (await none.call("GET", "")).status_code == 403
    own = f"http://127.0.0.1:{talk.magnet.port}"
    assert (await none.call("GET", "", origin=own)).status_code == 200


async def test_a_browser_is_told_beforehand_which_pages_may_ask_for_what(talk: Talks):
    page = await page_of(talk)
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for path in ("/messages", "/confirmations", "/feedback"):
        answer = await talk.magnet.client.options(f"{page.path}{path}", headers={"Origin": SHOP, **asking})
        assert (answer.status_code, shared_with(answer)) == (204, SHOP)
        assert answer.headers["access-control-allow-methods"] == "POST"
        assert "authorization" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers
    refused = [
        (f"{page.path}/messages", "https://evil.example.com"),
        (f"{await talk.begin()}/messages", SHOP),
        ("/v1/conversations/nothing/messages", SHOP),
        (f"{page.path}/close", SHOP),
        (f"{page.path}/tokens", SHOP),
        ("/v1/conversations", SHOP),
    ]
    for path, origin in refused:
        answer = await talk.magnet.client.options(path, headers={"Origin": origin, **asking})
        assert shared_with(answer) is None, path


async def test_a_token_that_was_changed_is_no_credential(talk: Talks):
    page = await page_of(talk)
    forged = Page(talk.magnet, page.path, f"mct_{'A' * 40}.{'A' * 43}")
    answer = await forged.call("GET", "")
    assert (answer.status_code, answer.json()["code"], shared_with(answer)) == (401, "unauthorized", None)
    for header in ({"X-API-Key": page.token}, {"Authorization": f"Basic {page.token}"}):
        answer = await talk.magnet.client.get(page.path, headers=header)
        assert answer.status_code == 401


async def test_only_who_began_a_conversation_makes_tokens_for_it_and_a_repeat_does_not_show_it_again(talk: Talks):
    path = await talk.begin()
    foreign = await talk.magnet.call("POST", f"{path}/tokens", {"origin": SHOP}, **talk.books.headers)
    assert foreign.status_code == 404
    first, again = [
        await talk.call("POST", f"{path}/tokens", {"origin": SHOP}, Idempotency_Key="once") for _ in range(2)
    ]
    assert again.json() == {**first.json(), "token": None}
    wrong = await talk.call("POST", f"{path}/tokens", {"origin": "https://shop.example.com/cart"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/origin")


async def test_origins_of_the_whole_installation_and_those_of_tokens_do_not_disturb_each_other(
    magnet: Running, tmp_path: Path
):
    async with serving(magnet.database, tmp_path, MAGNET_CORS_ORIGINS="https://app.example.com") as other:
        asking = {"Access-Control-Request-Method": "POST"}
        for origin, expected in (("https://app.example.com", "https://app.example.com"), (SHOP, None)):
            answer = await other.client.options("/v1/prompts", headers={"Origin": origin, **asking})
            assert shared_with(answer) == expected
