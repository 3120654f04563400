"""The command `git` in a child process that knows nothing of this machine, goes to one checked address, and has limits."""

import asyncio
import base64
import contextlib
import functools
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from adapters.child_processes import kept_environment
from adapters.connectors.web import origin_of
from adapters.egress import Egress, EgressRefused
from commands.knowledge.connectors import SourceUnavailable

MOST_BYTES = 2_000_000_000
"""Of any file that git writes, such as all that is fetched at once."""

OLDEST = (2, 37)
"""The version that knows `http.curloptResolve`."""

MOST_MEMORY = 4_000_000_000
MOST_TOLD = 20_000
BLOCK = 512
LIMITED = f'ulimit -f {MOST_BYTES // BLOCK}; ulimit -v {MOST_MEMORY // 1024}; exec git "$@"'
"""Limits hold for git and all its children from the start; what is run comes as arguments, never as text."""

TOO_LARGE = re.compile(r"File too large|invalid index-pack output")
ALWAYS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "credential.helper": "",
    "fetch.unpackLimit": "1",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "http.followRedirects": "false",
    "http.proxy": "",
    "maintenance.auto": "false",
    "transfer.bundleURI": "false",
}


UNANSWERED = re.compile(r"unable to access|RPC failed|early EOF|unexpected disconnect|hung up unexpectedly")
TOLD_NO = re.compile(r"returned error: (?!429)[34]\d\d|HTTP (?!429)[34]\d\d")


class GitFailed(Exception):
    """Git could not do it; the text says why, `again` whether the other side may do better another time."""

    def __init__(self, told: str, *, again: bool = False) -> None:
        super().__init__(told)
        self.again = again


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a repository is come to: settings for git, and the one protocol that it may speak."""

    protocol: str
    settings: Sequence[tuple[str, str]] = field(default_factory=tuple, repr=False)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


async def way_to(url: str, secrets: Mapping[str, str], egress: Egress) -> Way:
    """Return how to come to a repository on the web: to the address that was checked, and with its own secrets."""
    origin = origin_of(url)
    parts = urlsplit(origin)
    host, port = parts.hostname or "", parts.port or 0
    try:
        addresses = await egress.addresses(host, port)
    except EgressRefused as error:
        raise SourceUnavailable(f"{origin}: {error}", code="address_refused") from None
    except OSError as error:
        raise SourceUnavailable(f"{origin}: the name of the host is not known: {error.strerror or error}.") from None
    named = ",".join(f"[{each}]" if ":" in each else each for each in addresses)
    settings = [("http.curloptResolve", f"{host}:{port}:{named}")]
    credentials = {}
    if password := secrets.get("basic") or (f"x-access-token:{secrets['token']}" if "token" in secrets else ""):
        credentials["Authorization"] = f"Basic {base64.b64encode(password.encode()).decode()}"
        settings.append((f"http.{origin}/.extraHeader", f"Authorization: {credentials['Authorization']}"))
    return Way(protocol=parts.scheme, settings=settings, credentials=credentials)


def environment_of(home: Path, way: Way) -> dict[str, str]:
    """Return what git is told: nothing of the machine's or of a person's configuration, and nobody to be asked."""
    settings = [*ALWAYS.items(), *way.settings]
    numbered: dict[str, str] = {}
    for number, (name, value) in enumerate(settings):
        numbered |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return {
        **kept_environment(),
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GIT_ALLOW_PROTOCOL": way.protocol,
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_CONFIG_COUNT": str(len(settings)),
        **numbered,
    }


async def git(repository: Path, way: Way, *arguments: str, seconds: float, most: int) -> bytes:
    """Return what git says, or raise GitFailed; what it says beyond `most` bytes and one more is not waited for."""
    await asyncio.to_thread(must_be_there)
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", LIMITED, "git", f"--git-dir={repository}", *arguments,
        cwd=repository, env=environment_of(repository, way), start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    try:
        async with asyncio.timeout(seconds):
            said, told = await asyncio.gather(up_to(process.stdout, most + 1), ending_of(process.stderr))
            if len(said) <= most:
                await process.wait()
    except TimeoutError:
        raise GitFailed(f"it took more than {seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if len(said) <= most and process.returncode:
        said_of_it = told.decode(errors="replace")
        again = bool(UNANSWERED.search(said_of_it)) and not TOLD_NO.search(said_of_it)
        raise GitFailed(reason_of(told, process.returncode), again=again)
    return said


@functools.cache
def must_be_there() -> None:
    """Raise SourceUnavailable unless git is installed, and new enough to go to a given address."""
    try:
        said = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        raise SourceUnavailable("The command git is not installed on this machine.", code="git_missing") from None
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise SourceUnavailable(f"The command git on this machine is older than {oldest}.", code="git_missing")


async def up_to(stream: asyncio.StreamReader, most: int) -> bytes:
    """Return what comes, so many bytes of it."""
    said = bytearray()
    while len(said) < most and (piece := await stream.read(min(65536, most - len(said)))):
        said += piece
    return bytes(said)


async def ending_of(stream: asyncio.StreamReader) -> bytes:
    """Return the end of what comes."""
    told = b""
    while piece := await stream.read(65536):
        told = (told + piece)[-MOST_TOLD:]
    return told


def reason_of(told: bytes, code: int) -> str:
    """Return what git says of a failure in one line; what the other side says is not repeated."""
    lines = told.decode(errors="replace").splitlines()
    said = [line.removeprefix("fatal: ") for line in lines if line.startswith("fatal: ")]
    if code in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ) or any(TOO_LARGE.search(line) for line in lines):
        return f"it has more than {MOST_BYTES:,} bytes, or what came is no objects"
    return (said[0] if said else f"git ended with {code}").strip().rstrip(".")[:300]
