"""A browser without a window, of this machine, driven over the DevTools protocol."""

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect

from tests.support.patience import PATIENCE

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    *("--headless=new", "--remote-debugging-port=0", "--no-first-run", "--no-default-browser-check", "--disable-gpu"),
    *("--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *(
        "--disable-extensions",
        "--mute-audio",
        "--no-proxy-server",
        "--window-size=1100,800",
        "--force-color-profile=srgb",
    ),
)
KEYS = {"Escape": 27, "Enter": 13, "Tab": 9}


def found() -> str | None:
    """Return the browser of this machine, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class PageError(AssertionError):
    """The page threw."""


@dataclass
class Tab:
    """A tab: pages are gone to, keys pressed, and what is seen is asked for."""

    socket: ClientConnection
    session: str = ""
    errors: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _waiting: dict[int, asyncio.Future[Any]] = field(default_factory=dict)

    async def listen(self) -> None:
        """Take what the browser says, without end."""
        async for text in self.socket:
            said = orjson.loads(text)
            if "id" in said:
                self._waiting.pop(said["id"]).set_result(said)
            elif said["method"] == "Runtime.exceptionThrown":
                self.errors.append(str(said["params"]["exceptionDetails"]))
            elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["source"] == "security":
                self.errors.append(said["params"]["entry"]["text"])
            elif said["method"] == "Runtime.consoleAPICalled" and said["params"]["type"] == "error":
                self.errors.append(str(said["params"]["args"]))

    async def send(self, method: str, **params: Any) -> Any:
        """Carry out a command of the protocol, and return its result."""
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        body = {"id": number, "method": method, "params": params}
        await self.socket.send(orjson.dumps({**body, "sessionId": self.session} if self.session else body).decode())
        answer = await asyncio.wait_for(waiting, PATIENCE)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    async def go(self, url: str) -> None:
        """Go to a page."""
        await self.send("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """Return what an expression of JavaScript is, or becomes."""
        done = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise PageError(done["exceptionDetails"])
        return done["result"].get("value")

    async def until(self, script: str) -> Any:
        """Wait until an expression is true, and return it; of an element, that it is there."""
        there = f"(() => {{ const found = {script}; return found instanceof Node ? true : found }})()"
        deadline, said = asyncio.get_running_loop().time() + PATIENCE, ""
        while asyncio.get_running_loop().time() < deadline:
            try:
                if value := await self.run(there):
                    return value
            except PageError as error:
                said = str(error)
            await asyncio.sleep(0.02)
        raise AssertionError(script, said, self.errors, await self.run("document.documentElement.outerHTML"))

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key."""
        named = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 if shift else 0}
        text = {"text": "\r"} if key == "Enter" else {}
        await self.send("Input.dispatchKeyEvent", type="keyDown", **named, **text)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **named)

    async def write(self, text: str) -> None:
        """Write into what has the focus."""
        await self.send("Input.insertText", text=text)

    async def spoken(self) -> list[tuple[str, str]]:
        """Return (role, name) of all that a screen reader is told of."""
        nodes = (await self.send("Accessibility.getFullAXTree"))["nodes"]
        shown = [node for node in nodes if not node["ignored"] and "role" in node]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in shown]

    async def picture(self) -> bytes:
        """Return what is seen, as a PNG."""
        return base64.b64decode((await self.send("Page.captureScreenshot", format="png"))["data"])


@contextlib.asynccontextmanager
async def browsing() -> AsyncIterator[Tab]:
    """Open a tab of a fresh browser while the block lasts."""
    program = found()
    assert program is not None
    home = Path(tempfile.mkdtemp(prefix="magnet-browser-"))
    alone = ("--no-sandbox",) if os.geteuid() == 0 else ()  # its sandbox does not work for root
    process = await asyncio.create_subprocess_exec(
        *(program, *FLAGS, *alone, f"--user-data-dir={home}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with connect(await _address(home), max_size=None, proxy=None) as socket:
            tab = Tab(socket)
            listening = asyncio.create_task(tab.listen())
            target = (await tab.send("Target.createTarget", url="about:blank"))["targetId"]
            tab.session = (await tab.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Accessibility"):
                await tab.send(f"{domain}.enable")
            yield tab
            listening.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()
        shutil.rmtree(home, ignore_errors=True)


async def _address(home: Path) -> str:
    """Return where the browser listens, once it says so."""
    file = home / "DevToolsActivePort"
    async with asyncio.timeout(PATIENCE):
        while not (file.exists() and len(lines := file.read_text().split()) == 2):
            await asyncio.sleep(0.02)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
