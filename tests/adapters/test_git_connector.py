"""Files of git repositories: at a branch, tag or commit, from one checked address, and nothing of this machine goes along."""

import asyncio
import base64
import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.connectors import git as connectors_git
from adapters.connectors import git_command
from adapters.connectors.git import GitConnector
from adapters.connectors.git_command import environment_of, way_to
from adapters.connectors.roots import Roots
from adapters.connectors.web import Web
from adapters.egress import Egress
from commands.knowledge.connectors import GivenDocument, NotFetched, Place, SourceUnavailable
from domain.errors import Invalid
from tests.support.git_server import Repository, repository, served
from tests.support.site import Answer, Asked, Site, site


@pytest.fixture
def docs(tmp_path: Path) -> Repository:
    return repository(tmp_path / "repositories" / "docs")


@pytest.fixture
async def door(docs: Repository) -> AsyncIterator[Site]:
    async with site(lambda asked: served(docs.path.parent, asked)) as made:
        yield made


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
async def connector(door: Site, tmp_path: Path, pauses: list[float]) -> AsyncIterator[GitConnector]:
    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    egress = Egress([door.place])
    web = Web(egress, pause=pause)
    yield at(tmp_path, egress, web)
    await web.close()


def at(tmp_path: Path, egress: Egress, web: Web | None = None) -> GitConnector:
    home = tmp_path / "home"
    roots = Roots([tmp_path / "repositories"], forbidden=[home])
    return GitConnector(home / "cache", egress, roots, web or Web(egress))


def place(url: str, secrets: dict[str, str] | None = None, **config: Any) -> Place:
    return Place(source=uuid4(), config={"url": url, **config}, secrets=secrets or {})


async def listed(connector: GitConnector, where: Place) -> dict[str, str | None]:
    return {each.external_id: each.version async for each in connector.list(where) if each is not None}


async def test_files_are_documents_with_the_commit_they_are_of(connector: GitConnector, docs: Repository, door: Site):
    docs.write("a b/ü.md", "# Ü")
    docs.write("code.py", "print(1)")
    commit = docs.commit()
    where = place(f"{door.url}/docs", link="https://git.example.com/docs/blob/{commit}/{path}")
    assert sorted(await listed(connector, where)) == ["a b/ü.md", "code.py"]
    found = await connector.fetch(where, "a b/ü.md")
    assert (found.content.decode(), found.title, found.acl) == ("# Ü", "a b/ü.md", None)
    assert found.url == f"https://git.example.com/docs/blob/{commit}/a%20b/%C3%BC.md"
    then = found.metadata["committed_at"].replace("Z", "+00:00")
    assert then == "2026-01-02T03:04:05+00:00"
    assert found.metadata == {**found.metadata, "path": "a b/ü.md", "ref": "HEAD", "commit": commit}
    with pytest.raises(NotFetched, match=f"no such file at commit {commit}") as missing:
        await connector.fetch(where, "missing.md")
    assert missing.value.error_code == "gone"


async def test_a_file_that_can_not_be_read_out_of_the_copy_is_not_gone(
    connector: GitConnector, docs: Repository, door: Site, tmp_path: Path
):
    docs.write("a.md", "a")
    docs.commit()
    where = place(f"{door.url}/docs")
    assert list(await listed(connector, where)) == ["a.md"]
    for part in (tmp_path / "home").rglob("objects/**/*"):
        if part.is_file():
            part.unlink()
    with pytest.raises(NotFetched) as unread:
        await connector.fetch(where, "a.md")
    assert unread.value.error_code == "not_fetched", "what is gone is taken away"


async def test_a_version_is_that_of_the_content(connector: GitConnector, docs: Repository, door: Site):
    docs.write("a.md", "a")
    docs.write("b.md", "b")
    docs.commit()
    where = place(f"{door.url}/docs")
    before = await listed(connector, where)
    docs.write("a.md", "changed")
    docs.git("mv", "b.md", "c.md")
    docs.commit()
    after = await listed(connector, where)
    assert (set(after), after["c.md"], after["a.md"] != before["a.md"]) == ({"a.md", "c.md"}, before["b.md"], True)
    assert (await connector.fetch(where, "a.md")).content == b"changed"


async def test_a_branch_a_tag_or_a_commit_may_be_meant(connector: GitConnector, docs: Repository, door: Site):
    docs.write("a.md", "first")
    first = docs.commit()
    docs.git("tag", "--annotate", "v1", "--message", "one")
    docs.git("switch", "--quiet", "--create", "feature/ü-1")
    docs.write("a.md", "second")
    docs.commit()
    docs.git("switch", "--quiet", "main")
    docs.write("a.md", "third")
    docs.commit()
    for ref, text in (("v1", b"first"), (first, b"first"), ("feature/ü-1", b"second"), ("main", b"third")):
        where = place(f"{door.url}/docs", ref=ref)
        await listed(connector, where)
        assert (await connector.fetch(where, "a.md")).content == text, ref
    with pytest.raises(SourceUnavailable, match="couldn't find remote ref gone"):
        await listed(connector, place(f"{door.url}/docs", ref="gone"))


async def test_what_is_no_file_or_not_wanted_is_left_out(connector: GitConnector, docs: Repository, door: Site):
    docs.write("keep.md", "x")
    docs.write("old/skip.md", "x")
    docs.write(".hidden/x.md", "x")
    docs.write("picture.png", b"\x89PNG")
    docs.write("empty.md", "")
    os.symlink("/etc/passwd", docs.path / "passwd.md")
    os.symlink("keep.md", docs.path / "link.md")
    docs.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    docs.write(os.fsdecode(b"\xff.md"), "x")
    docs.commit()
    where = place(f"{door.url}/docs", exclude=["old/*"])
    everything = [each async for each in connector.list(where)]
    assert [each.external_id for each in everything if each] == ["keep.md"]
    assert everything.count(None) >= 7
    for path in ("link.md", "passwd.md", "module"):
        found = await asyncio.gather(connector.fetch(where, path), return_exceptions=True)
        assert isinstance(found[0], NotFetched) or b"root:" not in found[0].content


async def test_a_pointer_of_lfs_is_not_taken_for_the_file(connector: GitConnector, docs: Repository, door: Site):
    docs.write("big.md", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    docs.write(".gitattributes", "*.md filter=lfs")
    docs.commit()
    where = place(f"{door.url}/docs")
    await listed(connector, where)
    with pytest.raises(NotFetched, match="Git LFS"):
        await connector.fetch(where, "big.md")


async def test_only_what_is_new_is_fetched_again_and_another_process_goes_on(
    connector: GitConnector, docs: Repository, door: Site, tmp_path: Path
):
    docs.write("large.txt", base64.b64encode(os.urandom(200_000)))
    docs.commit()
    where = place(f"{door.url}/docs")
    await listed(connector, where)
    connector.end(where)
    door.asked.clear()
    docs.write("small.txt", "x")
    docs.commit()
    await listed(connector, where)
    [pack] = sorted((tmp_path / "home/cache").glob("*/objects/pack/*.pack"), key=lambda each: each.stat().st_size)[:1]
    assert pack.stat().st_size < 10_000
    another = at(tmp_path, Egress([door.place]))
    assert (await another.fetch(where, "small.txt")).content == b"x"


async def test_a_copy_that_is_broken_or_was_left_locked_is_made_anew(
    connector: GitConnector, docs: Repository, door: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    docs.write("a.md", "a")
    docs.commit()
    where = place(f"{door.url}/docs")
    await listed(connector, where)
    [copy] = (tmp_path / "home/cache").glob("[!.]*")
    (copy / "shallow.lock").touch()
    assert list(await listed(connector, where)) == ["a.md"]
    for pack in (copy / "objects/pack").iterdir():
        pack.unlink()
    found = await asyncio.gather(listed(connector, where), return_exceptions=True)
    assert isinstance(found[0], dict | SourceUnavailable)
    assert list(await listed(connector, where)) == ["a.md"]
    monkeypatch.setattr(connectors_git, "MOST_KEPT", 0)
    assert list(await listed(connector, where)) == ["a.md"]


async def test_several_may_fetch_the_same_at_once(
    connector: GitConnector, docs: Repository, door: Site, tmp_path: Path
):
    docs.write("a.md", "a")
    docs.commit()
    where = place(f"{door.url}/docs")
    others = [at(tmp_path, Egress([door.place])) for _ in range(3)]
    found = await asyncio.gather(*(listed(each, where) for each in (connector, *others)))
    assert [list(each) for each in found] == [["a.md"]] * 4
    docs.write("b.md", "b")
    docs.commit()
    await listed(others[0], where)
    assert (await connector.fetch(where, "a.md")).content == b"a"


async def test_copies_that_nobody_needs_are_taken_away(
    connector: GitConnector, docs: Repository, door: Site, tmp_path: Path
):
    repository(docs.path.parent / "others")
    one, two = place(f"{door.url}/docs"), place(f"{door.url}/docs")
    await listed(connector, one)
    await listed(connector, two)
    moved = Place(source=one.source, config={"url": f"{door.url}/others"})
    await listed(connector, moved)
    copies = {each.name.rpartition("-")[0]: each for each in (tmp_path / "home/cache").glob("[!.]*")}
    assert len(copies) == len(list((tmp_path / "home/cache").glob("[!.]*"))) == 2
    os.utime(copies[str(two.source)], (0, 0))
    await listed(connector, moved)
    assert list((tmp_path / "home/cache").glob("[!.]*")) == [copies[str(one.source)]]


# Secrets and addresses --------------------------------------------------------


def asking_for(expected: str, docs: Repository, asked: Asked) -> Answer:
    if asked.headers.get("authorization") != f"Basic {base64.b64encode(expected.encode()).decode()}":
        return Answer(status=401, headers={"WWW-Authenticate": "Basic"})
    return served(docs.path.parent, asked)


@pytest.mark.parametrize(
    ("secrets", "expected"), [({"token": "canary"}, "x-access-token:canary"), ({"basic": "me:canary"}, "me:canary")]
)
async def test_a_token_goes_along_and_a_wrong_one_is_told_as_that(
    connector: GitConnector, docs: Repository, door: Site, secrets: dict[str, str], expected: str, tmp_path: Path
):
    door.answers = lambda asked: asking_for(expected, docs, asked)
    docs.write("a.md", "a")
    docs.commit()
    assert list(await listed(connector, place(f"{door.url}/docs", secrets))) == ["a.md"]
    for kept in (tmp_path / "home").rglob("*"):
        assert kept.is_dir() or b"canary" not in kept.read_bytes()
    for wrong in ({}, {"token": "other-canary"}):
        with pytest.raises(SourceUnavailable) as told:
            await listed(connector, place(f"{door.url}/docs", wrong))
        assert told.value.error_code == "credentials_refused"
        assert "canary" not in str(told.value)


@pytest.mark.parametrize("busy", ["GET", "POST"])
async def test_who_is_busy_is_asked_again_when_it_says_so(
    connector: GitConnector, docs: Repository, door: Site, pauses: list[float], busy: str
):
    left = 3

    def answered(asked: Asked) -> Answer:
        nonlocal left
        if left and (asked.method == busy or left < 3):
            left -= 1
            return Answer(status=429, headers={"Retry-After": "7"})
        return asking_for("x-access-token:canary", docs, asked)

    door.answers = answered
    docs.write("a.md", "a")
    docs.commit()
    assert list(await listed(connector, place(f"{door.url}/docs", {"token": "canary"}))) == ["a.md"]
    assert pauses and all(6 < each <= 7 for each in pauses)


async def test_who_stays_away_is_told_after_some_attempts_and_who_refuses_is_asked_once(
    connector: GitConnector, door: Site, pauses: list[float]
):
    door.answers = lambda _: Answer(status=503)
    with pytest.raises(SourceUnavailable, match=r"answered 503 \(5 attempts\)"):
        await listed(connector, place(f"{door.url}/docs"))
    assert len(pauses) == 4
    for status in (403, 404):
        del door.asked[:]
        door.answers = lambda _, status=status: Answer(status=status)  # type: ignore[misc]
        with pytest.raises(SourceUnavailable):
            await listed(connector, place(f"{door.url}/docs"))
        assert len(door.asked) == 1


async def test_nobody_is_sent_on_to_another_address(connector: GitConnector, docs: Repository, door: Site):
    async with site(lambda asked: served(docs.path.parent, asked)) as other:
        door.answers = lambda asked: Answer(status=302, headers={"Location": f"{other.url}{asked.path}"})
        with pytest.raises(SourceUnavailable, match=r"redirect|302"):
            await listed(connector, place(f"{door.url}/docs", {"token": "canary"}))
        assert (len(door.asked) > 0, other.asked) == (True, [])


async def test_what_is_connected_to_is_the_address_that_was_checked(docs: Repository, door: Site, tmp_path: Path):
    class Checked(Egress):
        async def addresses(self, host: str, port: int) -> Sequence[str]:
            assert (host, port) == ("git.example.com", door.port)
            return ["127.0.0.1"]

    docs.write("a.md", "a")
    docs.commit()
    connector = at(tmp_path, Checked())
    assert list(await listed(connector, place(f"http://git.example.com:{door.port}/docs"))) == ["a.md"]
    assert door.asked[0].headers["host"] == f"git.example.com:{door.port}"


async def test_private_addresses_are_not_asked(docs: Repository, door: Site, tmp_path: Path):
    connector = at(tmp_path, Egress([]))
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(SourceUnavailable, match="MAGNET_EGRESS_ALLOW") as told:
            await listed(connector, place(f"http://{host}:{door.port}/docs"))
        assert told.value.error_code == "address_refused"
    assert door.asked == []


async def test_git_is_told_nothing_of_this_machine(
    connector: GitConnector, docs: Repository, door: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "person"
    home.mkdir()
    marker = tmp_path / "ran"
    config = home / ".gitconfig"
    config.write_text(
        f'[url "{door.url}/elsewhere"]\n\tinsteadOf = {door.url}/docs\n[core]\n\thooksPath = {home}\n'
        f"[credential]\n\thelper = !touch {marker}\n"
    )
    (home / "post-checkout").write_text(f"#!/bin/sh\ntouch {marker}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_ASKPASS", f"touch {marker}")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("DATABASE_URL", "canary")
    docs.write("a.md", "a")
    docs.commit()
    assert list(await listed(connector, place(f"{door.url}/docs"))) == ["a.md"]
    door.answers = lambda _: Answer(status=401, headers={"WWW-Authenticate": "Basic"})
    with pytest.raises(SourceUnavailable):
        await listed(connector, place(f"{door.url}/docs"))
    assert not marker.exists()
    way = await way_to(f"{door.url}/docs", {"token": "canary"}, Egress([door.place]))
    assert "canary" not in str(environment_of(tmp_path, way)) + repr(way)


async def test_a_repository_that_takes_too_long_is_left(connector: GitConnector, docs: Repository, tmp_path: Path):
    connected = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connector = at(tmp_path, Egress([f"127.0.0.1:{port}"]))
        with pytest.raises(SourceUnavailable, match="more than 1 s"):
            await listed(connector, place(f"http://127.0.0.1:{port}/docs", seconds=1))
    assert len(connected) == 1


async def test_a_repository_that_is_too_large_is_not_fetched(
    connector: GitConnector, docs: Repository, door: Site, monkeypatch: pytest.MonkeyPatch
):
    docs.write("large.txt", base64.b64encode(os.urandom(300_000)))
    docs.commit()
    small = re.sub(r"ulimit -f \d+", "ulimit -f 100", git_command.LIMITED)
    monkeypatch.setattr(git_command, "LIMITED", small)
    with pytest.raises(SourceUnavailable, match="has more than"):
        await listed(connector, place(f"{door.url}/docs"))


def test_a_file_that_outgrew_the_limit_is_told_as_that():
    assert "more than" in git_command.reason_of(b"", -signal.SIGXFSZ)
    assert git_command.reason_of(b"remote: canary\nfatal: no such thing.\n", 128) == "no such thing"


@pytest.mark.parametrize(
    "url",
    [
        "ssh://git@example.com/a", "git@example.com:a/b", "git://example.com/a", "ext::sh -c x", "https://u:p@example.com/a",
        "https://example.com/a?b", "https://[::1", "--upload-pack=x", "/etc", "file:///etc", "file://host/etc", "https:///a", "file:///a/../b",
    ],
)  # fmt: skip
def test_addresses_of_other_kinds_are_refused_when_set(connector: GitConnector, url: str):
    with pytest.raises(Invalid):
        connector.check({"url": url})


@pytest.mark.parametrize("ref", ["", "-x", "--upload-pack=x", "a:b", "a b", "+a", "a\x00", "a^", "../x", "/x", "a*"])
def test_references_that_are_none_are_refused_when_set(connector: GitConnector, ref: str):
    with pytest.raises(Invalid):
        connector.check({"url": "https://example.com/a", "ref": ref})


# On this machine --------------------------------------------------------------


async def test_a_repository_below_the_roots_is_read_where_it_is(connector: GitConnector, docs: Repository):
    docs.write("a.md", "a")
    docs.commit()
    where = place(f"file://{docs.path}")
    assert list(await listed(connector, where)) == ["a.md"]
    assert isinstance(await connector.fetch(where, "a.md"), GivenDocument)


async def test_a_repository_that_leads_out_of_the_roots_is_refused(
    connector: GitConnector, docs: Repository, tmp_path: Path
):
    outside = repository(tmp_path / "outside")
    outside.write("secret.md", "secret")
    outside.commit()
    inside = tmp_path / "repositories"
    cases = {name: inside / name for name in ("link", "worktree", "alternates", "objects")}
    cases["link"].symlink_to(outside.path)
    cases["worktree"].mkdir()
    (cases["worktree"] / ".git").write_text(f"gitdir: {outside.path}/.git\n")
    borrowing = repository(cases["alternates"])
    (borrowing.path / ".git/objects/info/alternates").write_text(f"{outside.path}/.git/objects\n")
    linked = repository(cases["objects"])
    for each in (outside.path / ".git/objects").iterdir():
        if len(each.name) == 2 and not (linked.path / ".git/objects" / each.name).exists():
            (linked.path / ".git/objects" / each.name).symlink_to(each)
    for name, path in cases.items():
        with pytest.raises(Invalid) as told:
            connector.check({"url": f"file://{path}"})
        assert told.value.error_code == "folder_not_allowed", name
