"""Documents from a git repository: the files of one branch, tag or commit."""

import asyncio
import fcntl
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from pydantic import Field

from adapters.connectors.git_command import GitFailed, Way, git, way_to
from adapters.connectors.given_values import must_be_root
from adapters.connectors.local_repository import local_repository
from adapters.connectors.roots import Roots
from adapters.connectors.selection import Selection, wanted
from adapters.connectors.web import ATTEMPTS, Ask, Web
from adapters.egress import Egress
from commands.knowledge.connectors import FINDS, GivenDocument, Listed, NotFetched, Place, SourceUnavailable
from commands.knowledge.document_checks import MOST_BYTES
from domain.definition import parse
from domain.errors import Invalid

REFERENCE = r"^[^\x00-\x20\x7f~^:?*\[\\/.+-][^\x00-\x20\x7f~^:?*\[\\]*$"
MOST_LISTED = 256_000_000
"""Bytes of a list of files."""

MOST_KEPT = 4_000_000_000
"""Bytes that are kept of a repository between syncs; with more, it is fetched anew."""

UNUSED_SECONDS = 30 * 86_400
"""After which a copy is taken away: its source is archived, or synced elsewhere."""

LOCKS = ".locks"
LOOK_AGAIN_SECONDS = 0.1
QUICK = 60.0
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
REFUSED = re.compile(r"Authentication failed|could not read (Username|Password)|returned error: 40[13]")
FILES = ("100644", "100755")
HEAD = "refs/magnet/head"


class GitConfig(Selection):
    """The files of a git repository, as they are at a branch, tag or commit; `include` and `exclude` are of whole paths."""

    url: Annotated[str, FINDS] = Field(
        min_length=1,
        max_length=2000,
        description="https://host/path; or file:///path of a repository below MAGNET_FOLDERS.",
    )
    ref: str = Field(
        "HEAD", max_length=250, pattern=REFERENCE, description="A branch, a tag, or the whole id of a commit."
    )
    link: str | None = Field(
        None,
        max_length=2000,
        description="The address that people open, such as https://github.com/me/it/blob/{commit}/{path}.",
    )
    seconds: Annotated[int, FINDS] = Field(600, ge=1, le=86_400, description="How long fetching it may take.")


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What was fetched of a repository: where it lies, and at which commit."""

    directory: Path
    commit: str
    date: str


class GitConnector:
    """Keeps a bare copy without history; a sync fetches what is new in it, and reads all files from there."""

    config = GitConfig
    secrets: Mapping[str, str] = {
        "token": "Sent as the password of the user `x-access-token`, as GitHub and GitLab take it.",
        "basic": "`user:password`.",
    }

    def __init__(self, cache: Path, egress: Egress, roots: Roots, web: Web) -> None:
        self._cache = cache.resolve()
        self._web = web
        self._egress = egress
        self._roots = roots
        self._copies: dict[UUID, Copy] = {}
        self._turns: dict[UUID, asyncio.Lock] = {}

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where the address is none that may be fetched from."""
        self._settings(config)

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all files of the commit that the reference stands for now."""
        settings = self._settings(place.config)
        self._copies.pop(place.visit, None)
        copy = await self._copy(place, settings)
        try:
            told = await git(
                copy.directory, NO_WAY, "ls-tree", "-r", "-z", "--long", "--full-tree", copy.commit,
                seconds=QUICK, most=MOST_LISTED,
            )  # fmt: skip
        except GitFailed as error:
            self._drop(place.visit, copy.directory)
            raise SourceUnavailable(f"The copy of the repository can't be read: {error}.") from None
        if len(told) > MOST_LISTED:
            raise SourceUnavailable(f"The list of its files has more than {MOST_LISTED:,} bytes.")
        for entry in told.split(b"\x00")[:-1]:
            yield listed(entry, settings)

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return a file as a document."""
        settings = self._settings(place.config)
        copy = await self._copy(place, settings)
        name = f"{copy.commit}:{external_id}"
        try:
            content = await git(copy.directory, NO_WAY, "cat-file", "blob", name, seconds=QUICK, most=MOST_BYTES)
        except GitFailed as error:
            with suppress(GitFailed):  # what git says is the same where the tree can't be read
                tree = ("ls-tree", "-z", "--full-tree", copy.commit, "--", external_id)
                if not await git(copy.directory, NO_WAY, *tree, seconds=QUICK, most=MOST_LISTED):
                    raise NotFetched(f"There is no such file at commit {copy.commit}.", code="gone") from None
            raise NotFetched(f"It can't be read out of the copy of the repository: {error}.") from None
        if len(content) > MOST_BYTES:
            raise NotFetched(f"It has more than {MOST_BYTES:,} bytes.", code="too_large")
        if content.startswith(LFS_POINTER):
            raise NotFetched("It is kept in Git LFS; here is only a pointer to it.", code="lfs_pointer")
        return document_of(content, external_id, copy, settings)

    def end(self, place: Place) -> None:
        """Forget which commit was listed; the copy stays for the next sync."""
        self._copies.pop(place.visit, None)
        self._turns.pop(place.visit, None)

    def _settings(self, config: Mapping[str, Any]) -> GitConfig:
        settings = parse(GitConfig, dict(config), "/config")
        if settings.url.startswith("file:"):
            local_repository(settings.url, self._roots)
        elif re.match(r"ssh:|[^/]+@[^/]+:", settings.url, re.IGNORECASE):
            raise Invalid(
                "Repositories are fetched by https://, not by ssh.", code="invalid_url", pointer="/config/url"
            )
        else:
            must_be_root(settings.url, "/config/url")
        return settings

    async def _copy(self, place: Place, settings: GitConfig) -> Copy:
        """Return the copy that was fetched for this sync; a process that did not list fetches once."""
        async with self._turns.setdefault(place.visit, asyncio.Lock()):
            if place.visit not in self._copies:
                self._copies[place.visit] = await self._fetched(place, settings)
            return self._copies[place.visit]

    async def _fetched(self, place: Place, settings: GitConfig) -> Copy:
        if settings.url.startswith("file:"):
            way = Way(protocol="file")
        else:
            way = await way_to(settings.url, place.secrets, self._egress)
        of_url = sha256(settings.url.encode()).hexdigest()[:16]
        directory = self._cache / f"{place.source}-{of_url}"
        async with alone_with(self._cache / LOCKS / directory.name, settings.seconds):
            return await self._brought_up(place, settings, way, directory)

    async def _brought_up(self, place: Place, settings: GitConfig, way: Way, directory: Path) -> Copy:
        """Return a copy that has the commit of now."""
        await asyncio.to_thread(prepare, directory)
        try:
            if not (directory / "HEAD").exists():
                await git(directory, NO_WAY, "init", "--quiet", "--bare", "--template=", seconds=QUICK, most=0)
            await self._fetch(settings, way, directory)
            said = await git(directory, NO_WAY, "log", "-1", "--format=%H %cI", HEAD, "--", seconds=QUICK, most=1000)
        except GitFailed as error:
            if not error.again and "unable to access" not in str(error):
                self._drop(place.visit, directory)  # so that a copy that is broken is not the reason for ever
            code = "credentials_refused" if REFUSED.search(str(error)) else None
            raise SourceUnavailable(f"The repository can't be fetched: {error}.", code=code) from None
        commit, _, date = said.decode().strip().partition(" ")
        return Copy(directory=directory, commit=commit, date=date)

    async def _fetch(self, settings: GitConfig, way: Way, directory: Path) -> None:
        """Fetch; where the other side did not answer, once it does, as all others that are asked by HTTP are waited for."""
        for attempt in range(ATTEMPTS):
            try:
                await git(
                    directory, way, "fetch", "--quiet", "--no-tags", "--depth=1", "--force", "--no-write-fetch-head",
                    "--no-recurse-submodules", "--", settings.url, f"+{settings.ref}:{HEAD}",
                    seconds=settings.seconds, most=0,
                )  # fmt: skip
            except GitFailed as error:
                if not error.again or attempt + 1 == ATTEMPTS or way.protocol == "file":
                    raise
            else:
                return
            # git does not tell how long it was asked to wait
            url = f"{settings.url.rstrip('/')}/info/refs?service=git-upload-pack"
            await self._web.ask(Ask(url=url, headers={"Git-Protocol": "version=2"}, credentials=way.credentials))

    def _drop(self, visit: UUID, directory: Path) -> None:
        self._copies.pop(visit, None)
        shutil.rmtree(directory, ignore_errors=True)


NO_WAY = Way(protocol="none")
"""For what is done with a copy: git may go nowhere."""


@asynccontextmanager
async def alone_with(lock: Path, seconds: float) -> AsyncIterator[None]:
    """Keep other processes, and trials beside a sync, from a copy while it changes; reading goes on meanwhile."""
    lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    until = time.monotonic() + seconds
    with lock.open("wb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise SourceUnavailable("The repository is being fetched already, for too long.") from None
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        yield


def prepare(directory: Path) -> None:
    """Make the directory of a copy; one that has grown too large begins anew, and locks of the dead are taken away.

    Copies that the same source had of another address go, and those that no sync has used for long.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    source, _, _ = directory.name.rpartition("-")
    unused = time.time() - UNUSED_SECONDS
    for other in directory.parent.iterdir():
        if (
            other.name != LOCKS
            and other != directory
            and (other.name.startswith(source) or other.stat().st_mtime < unused)
        ):
            shutil.rmtree(other)
    if sum(each.stat().st_size for each in directory.rglob("*") if each.is_file()) > MOST_KEPT:
        shutil.rmtree(directory)
        directory.mkdir(mode=0o700)
    for lock in directory.rglob("*.lock"):
        lock.unlink()
    os.utime(directory)


def listed(entry: bytes, settings: GitConfig) -> Listed | None:
    """Return a file of a tree; None: it is a link, a submodule, empty, or not wanted."""
    head, _, path = entry.partition(b"\t")
    mode, _, blob, size = head.decode("ascii").split()
    name = path.decode(errors="surrogateescape")
    if mode not in FILES or size == "0" or not wanted(name, settings):
        return None
    return Listed(external_id=name, version=blob)


def document_of(content: bytes, path: str, copy: Copy, settings: GitConfig) -> GivenDocument:
    """Return a file as a document."""
    link = settings.link and settings.link.replace("{commit}", copy.commit).replace("{path}", quote(path))
    return GivenDocument(
        external_id=path,
        title=path[:1000],
        url=link or None,
        media_type="",
        content=content,
        metadata={"path": path, "ref": settings.ref, "commit": copy.commit, "committed_at": copy.date},
        acl=None,
    )
