"""The chat in a real browser: used by keyboard alone, on a page that allows nothing but its script.

Where the machine has no browser these are left out, which the report says; `tests/api/test_web_chats.py` shows what goes
over the wire.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import magnet, models_port
from tests.api.test_confirmations import SHOUT
from tests.api.test_conversations import asks
from tests.support.browser import Tab, browsing
from tests.support.model_server import Gate, ModelServer, Reply, refused
from tests.support.server import Running
from tests.support.site import Answer, Site, site
from tests.support.talks import ACTIONS, talks

__all__ = ["magnet", "models_port"]

pytestmark = pytest.mark.browser
HOSTILE = (
    "**Thirty** days [1], see [the rules](https://example.com/rules), not [these](javascript:alert(1)):\n\n"
    "- `a` <img src=x onerror=\"document.title='broken'\">\n- <script>document.title='broken'</script>\n"
)
CHAT = "document.querySelector('[data-magnet-chat]').shadowRoot"
FOCUSED = f"{CHAT}.activeElement?.getAttribute('aria-label')"
TEXT = f"{CHAT}.querySelector('.log').innerText"


@dataclass
class Relay:
    """A way to a port that can be cut."""

    to: int
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection("127.0.0.1", self.to)
        self.writers += [writer, here]
        await asyncio.gather(self._pass(reader, here), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    def cut(self) -> None:
        """Cut every connection there is."""
        while self.writers:
            self.writers.pop().transport.abort()


@contextlib.asynccontextmanager
async def relay(to: int) -> AsyncIterator[Relay]:
    made = Relay(to)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.cut()
        server.close()


@pytest.fixture
def server() -> Any:
    with ModelServer(vectors="words") as running:
        yield running


@dataclass
class Shop:
    """A page with the chat, in a browser."""

    tab: Tab
    pages: Site
    models: ModelServer
    magnet: Running
    relay: Relay

    async def visit(self) -> None:
        await self.tab.go(f"http://127.0.0.1:{self.pages.port}/")
        await self.tab.until(f"{CHAT}.querySelector('.launcher')")

    async def open(self) -> None:
        await self.tab.press("Tab")
        await self.tab.press("Enter")
        assert await self.tab.run(FOCUSED) == "Write a message"

    async def say(self, text: str) -> None:
        # What is sent while one is answered stays where it is.
        await self.tab.until(f"{CHAT}.querySelector('.log').ariaBusy !== 'true'")
        await self.tab.write(text)
        await self.tab.press("Enter")

    async def reach(self, label: str) -> None:
        """Press Tab, back from where the focus is, until something of this name has it."""
        for _ in range(12):
            await self.tab.press("Tab", shift=True)
            name = await self.tab.run(f"{FOCUSED} ?? {CHAT}.activeElement?.innerText")
            if name == label:
                return
        raise AssertionError(label)

    async def sees(self, *words: str) -> str:
        for each in words:
            await self.tab.until(f"{TEXT}.includes({each!r})")
        return str(await self.tab.run(TEXT))


@pytest.fixture
async def shop(magnet: Running, server: ModelServer) -> AsyncIterator[Shop]:
    actions = [{**action, "requires_confirmation": action["function"] == "shout"} for action in ACTIONS]
    sample = {"sample_questions": ["When is lunch?"], "title": "Helper"}
    async with talks(magnet, server, actions=actions, **sample), relay(magnet.port) as way, site() as pages:
        config = {"origins": [f"http://127.0.0.1:{pages.port}"], "note": "Answers are made by a machine."}
        await magnet.do(
            "POST",
            "/v1/channels",
            {"name": "shop", "type": "web", "agent": "helper", "title": "Shop", "config": config},
        )
        source = f"http://127.0.0.1:{way.port}"
        policy = f"default-src 'none'; script-src {source}; connect-src {source}; require-trusted-types-for 'script'"
        body = f'<!doctype html><html lang="en"><title>Shop</title><h1>Shop</h1><script src="{source}/chat.js" data-channel="shop"></script>'
        headers = {"content-type": "text/html", "content-security-policy": policy}
        pages.answers = lambda _: Answer(body=body.encode(), headers=headers)
        async with browsing() as tab:
            yield Shop(tab, pages, server, magnet, way)


async def test_a_visitor_gives_files_with_a_message_where_the_channel_lets_them(shop: Shop):
    tab = shop.tab
    await shop.magnet.do("PATCH", "/v1/channels/shop", {"config": {"files": True}})
    await shop.visit()
    await shop.open()
    assert ("button", "Attach files") in await tab.spoken()
    choose = (
        "(() => {{ const chosen = new DataTransfer(), input = " + CHAT + ".querySelector('input[type=file]');"
        " for (const name of {}) chosen.items.add(new File(['Lunch is at noon.'], name));"
        " input.files = chosen.files; input.dispatchEvent(new Event('change')); }})()"
    )
    await tab.run(choose.format("['plan.txt', 'other.txt']"))
    await shop.reach("Remove: other.txt")
    await tab.press("Enter")
    assert await tab.run(FOCUSED) == "Write a message"
    shop.models.script_for("chat-model", Reply(text="At noon."))
    await shop.say("When is lunch?")
    await shop.sees("plan.txt", "At noon.")
    told = str(shop.models.last.body)
    assert "plan.txt" in told and "other.txt" not in told
    await tab.run(choose.format("['broken.pdf']"))
    await shop.say("And this?")
    await shop.sees("A file was not taken")
    await shop.visit()
    await shop.open()
    assert "plan.txt" in await shop.sees("At noon.")


async def test_a_visitor_asks_decides_rates_and_comes_back_by_keyboard_alone(shop: Shop):
    tab = shop.tab
    await shop.visit()
    await shop.open()
    await shop.sees("Hi!", "When is lunch?")
    spoken = await tab.spoken()
    assert {("log", "Shop"), ("dialog", "Shop"), ("button", "Close chat"), ("button", "Send")} <= set(spoken)
    assert ("textbox", "Write a message") in spoken
    # What a model says is text: no markup of it is ever read.
    shop.models.script_for("chat-model", asks(), Reply(text=HOSTILE))
    await shop.say("How many holidays?")
    await shop.sees("Thirty", "Sources", "Leave", "<img src=x", "<script>", "[these](javascript:alert(1))")
    links = await tab.run(f"[...{CHAT}.querySelectorAll('.text a')].map(a => a.href)")
    assert links == ["https://example.com/rules"]
    assert await tab.run(f"{CHAT}.querySelector('.text strong').innerText") == "Thirty"
    assert await tab.run(f"{CHAT}.querySelectorAll('img, script').length") == 0
    await shop.reach("This answer did not help")
    await tab.press("Enter")
    await tab.until(f"{CHAT}.querySelector('.comment textarea')")
    await tab.press("Tab")
    assert await tab.run(FOCUSED) == "What was missing?"
    await tab.write("The year.")
    await tab.press("Tab")
    await tab.press("Enter")
    await shop.sees("Thank you.")
    # A token that has ended is replaced without a word.
    later = iter([datetime.now(UTC) + timedelta(hours=1)])
    shop.magnet.container.visitors.now = lambda: next(later, datetime.now(UTC))
    shop.models.script_for(
        "chat-model", Reply(text="Shall I?", tool_calls=[SHOUT]), Reply(text="HEY"), Reply(text="Done.")
    )
    await shop.say("Shout.")
    await shop.sees("Runs a prompt. (words: hey)")
    await shop.reach("Approve")
    await tab.press("Enter")
    await shop.sees("Approved: Runs a prompt.", "Done.")
    # Saying something else declines what is asked.
    shop.models.script_for("chat-model", Reply(text="Shall I?", tool_calls=[SHOUT]), Reply(text="As you wish."))
    await shop.say("Shout again.")
    await tab.until(f"{CHAT}.querySelector('.box')")
    await shop.say("Better not.")
    await shop.sees("Declined: Runs a prompt.", "As you wish.")
    await tab.press("Escape")
    assert await tab.run(f"{CHAT}.querySelector('.panel').hidden")
    assert await tab.run(FOCUSED) == "Open chat"
    # Coming back: what was said is there, with what was thought of it.
    await shop.visit()
    await shop.open()
    await shop.sees("How many holidays?", "Thirty", "Shout.", "Done.")
    pressed = f"[...{CHAT}.querySelectorAll('[aria-pressed=true]')].map(b => b.ariaLabel)"
    assert await tab.run(pressed) == ["This answer did not help"]
    [listed] = (await shop.magnet.get("/v1/conversations"))["items"]
    seen = await shop.magnet.get(f"/v1/conversations/{listed['id']}")
    assert (seen["channel"], seen["principal"]["type"]) == ("web", "channel")
    assert seen["messages"][1]["feedback"] == {"rating": "down", "reason": None, "comment": "The year."}
    assert tab.errors == []


async def test_a_stream_that_breaks_is_gone_on_with_and_what_fails_is_tried_again(shop: Shop):
    await shop.visit()
    await shop.open()
    gate = Gate()
    shop.models.script_for("chat-model", Reply(text="One two three.", gate=gate))
    await shop.say("Count.")
    await shop.sees("One")
    assert ("button", "Stop") in await shop.tab.spoken()
    shop.relay.cut()
    await shop.sees("The connection was lost.")
    gate.open()
    seen = await shop.sees("One two three.")
    assert (seen.count("One"), seen.count("connection was lost")) == (1, 0)
    shop.models.script_for("chat-model", refused(400, "bad_request"), Reply(text="Back again."))
    await shop.say("And now?")
    await shop.sees("That did not work. Your message is kept.")
    await shop.reach("Try again")
    await shop.tab.press("Enter")
    seen = await shop.sees("Back again.")
    assert seen.count("And now?") == 1
    assert await shop.tab.run(FOCUSED) == "Write a message"
    # Elsewhere the same tag shows nothing.
    await shop.tab.go(f"http://localhost:{shop.pages.port}/")
    await shop.tab.until("document.readyState === 'complete'")
    assert not await shop.tab.run("!!document.querySelector('[data-magnet-chat]')")
