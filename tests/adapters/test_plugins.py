"""Plugins: found, checked, started, asked how they are and stopped; one that fails is told and hurts nothing else."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from adapters.plugins import connector, plugins
from adapters.plugins.checking import METHODS, SOURCES
from adapters.plugins.connector import PluginConnector
from adapters.plugins.document import Document
from adapters.plugins.plugins import Plugins
from commands.knowledge.connectors import Connector, NotFetched, SourceUnavailable
from domain.errors import Invalid
from tests.support.asked_connectors import listed, place_of
from tests.support.plugin_modules import module_of

SECRET = "canary-0815-CANARY-4711"


GOOD = b"[magnet.knowledge_sources]\nthings = tests.adapters.test_plugins:Source\n"


class Settings(BaseModel, extra="forbid"):
    """What a test's plugin is set to."""

    count: int = 2


class Source:
    """Documents of a test."""

    name = "things"
    Config = Settings
    secrets: Mapping[str, str] = {"token": "What opens it."}

    def load(self, config: Settings, secrets: Mapping[str, str]) -> Any:
        return [Document(id=f"d{number}", text=f"text {number}") for number in range(config.count)]


class Sealed(BaseModel):
    inner: dict[str, SecretStr] = {}


class Loading(Source):
    """A source whose load is what a test says."""

    def __init__(self, load: Any) -> None:
        self._load = load

    def load(self, config: Settings, secrets: Mapping[str, str]) -> Any:
        return self._load(config, secrets)


@asynccontextmanager
async def opened(groups: Any, name: str = "plugins_of_a_test") -> AsyncIterator[Plugins]:
    with module_of(name, groups):
        made = Plugins({}, [name])
        await made.open()
        try:
            yield made
        finally:
            await made.close()


@asynccontextmanager
async def loading(load: Any) -> AsyncIterator[Connector]:
    async with opened({SOURCES: [Loading(load)]}) as made:
        yield made.connectors["things"]


async def states(made: Plugins) -> dict[str, tuple[str, str | None]]:
    return {each.name: (each.state, each.error) for each in await made.shown()}


async def test_a_tool_without_a_model_of_its_arguments_is_no_plugin():
    tool = {"name": "tool", "Config": Settings, "call": lambda self: None}
    async with opened({"magnet.tools": [type("Tool", (), tool)]}) as made:
        [shown] = [each for each in await made.shown() if not each.built_in]
    assert (shown.state, made.tools) == ("failed", {})
    assert "`Arguments`" in (shown.error or "")


async def test_a_plugin_of_every_group_is_found_and_shown_with_its_schema():
    has = {"Config": Settings, "Arguments": Settings}
    groups = {
        group: [type(f"Of{method}", (), {"name": f"a-{method}", method: lambda self: None, **has})]
        for group, method in METHODS.items()
    }
    async with opened(groups) as made:
        found = {each.group: each for each in await made.shown()}
        assert list(made.connectors) == ["a-load"]
    assert set(found) == set(METHODS)
    assert {(each.state, each.error, each.package) for each in found.values()} == {("ready", None, "plugins_of_a_test")}
    assert found["magnet.tools"].schema is not None
    assert found["magnet.tools"].schema["properties"]["count"]["default"] == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "No Name"}, "name"),
        ({"name": None}, "name"),
        ({"Config": dict}, "pydantic"),
        ({"load": None}, "method `load`"),
        ({"secrets": ["token"]}, "secrets"),
        ({"Config": Sealed}, "field for a secret"),
        ({"description": "\ud800"}, "JSON"),
        ({"name": property(lambda self: 1 / 0)}, "ZeroDivisionError"),
        ({"name": "files"}, "taken"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_is_no_plugin_is_listed_with_what_is_wrong(changes: dict[str, Any], expected: str):
    wrong = type("Wrong", (Source,), changes)
    async with opened({SOURCES: [wrong, Source]}) as made:
        shown = await made.shown()
        assert [(each.name, each.state) for each in shown if each.state == "ready"] == [("things", "ready")]
        failed = next(each for each in shown if each.state == "failed")
        assert expected in str(failed.error)
        assert list(made.connectors) == ["things"]


async def test_a_name_that_is_taken_is_refused_and_the_first_one_stays():
    async with opened({SOURCES: [Source(), Source()]}) as made:
        assert sorted(each.state for each in await made.shown()) == ["failed", "ready"]
        assert "taken" in str(next(each.error for each in await made.shown() if each.error))


@pytest.mark.parametrize("groups", [None, {"magnet.nothing": []}, {SOURCES: Source}], ids=["none", "group", "no-list"])
async def test_a_module_that_names_none_as_it_should_is_told(groups: Any):
    async with opened(groups) as made:
        assert (await states(made))["plugins_of_a_test"][0] == "failed"


async def test_a_module_that_is_not_there_or_raises_hurts_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "raising_module.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with module_of("good_module", {SOURCES: [Source]}):
        made = Plugins({}, ["no_such_module", "raising_module", "good_module"])
        await made.open()
        found = await states(made)
        await made.close()
    assert found["things"] == ("ready", None)
    assert "ModuleNotFoundError" in str(found["no_such_module"][1])
    assert "SystemExit" in str(found["raising_module"][1])


async def test_what_it_prints_while_it_is_loaded_is_no_answer(capsys: pytest.CaptureFixture[str]):
    class Chatting(Source):
        def start(self) -> None:
            sys.stdout.write("here I am\n")

    async with opened({SOURCES: [Chatting]}):
        said = capsys.readouterr()
    assert (said.out, said.err) == ("", "here I am\n")


async def test_a_package_with_broken_metadata_hurts_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, points in (("broken", b"[magnet.knowledge_sources]\nwrong = \xff:\n"), ("good", GOOD)):
        directory = tmp_path / f"{name}_things-1.dist-info"
        directory.mkdir()
        (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-things\nVersion: 1\n")
        (directory / "entry_points.txt").write_bytes(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Plugins({})
    await made.open()
    shown = {each.package: each for each in await made.shown()}
    await made.close()
    assert shown["good-things"].state == "ready"
    assert shown["broken_things-1.dist-info"].state == "failed"


async def test_it_is_started_asked_how_it_is_and_stopped():
    said: list[str] = []
    well: list[Any] = [None]

    class Whole(Source):
        def start(self) -> None:
            said.append("start")

        async def health(self) -> Any:
            if isinstance(well[0], Exception):
                raise well[0]
            return well[0]

        async def stop(self) -> None:
            said.append("stop")

    async with opened({SOURCES: [Whole]}) as made:
        assert (await states(made))["things"] == ("ready", None)
        well[0] = False
        assert (await states(made))["things"][0] == "unhealthy"
        well[0] = OSError("the disk is full")
        assert (await states(made))["things"] == ("unhealthy", "OSError: the disk is full")
        well[0] = True
        assert (await states(made))["things"] == ("ready", None)
        assert said == ["start"]
    assert said == ["start", "stop"]


async def test_what_hangs_is_given_up_and_hurts_no_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plugins, "START_SECONDS", 0.2)
    monkeypatch.setattr(plugins, "HEALTH_SECONDS", 0.05)
    monkeypatch.setattr(plugins, "STOP_SECONDS", 0.05)
    never, asked = threading.Event(), []

    class Hanging(Source):
        name = "hanging"

        def start(self) -> None:
            never.wait()

    class Silent(Source):
        name = "silent"

        def health(self) -> None:
            asked.append(1)
            never.wait()

        stop = health

    try:
        async with opened({SOURCES: [Hanging, Silent, Source]}) as made:
            found = await states(made)
            assert found["things"] == ("ready", None)
            assert (found["hanging"][0], found["silent"][0]) == ("failed", "unhealthy")
            assert (await states(made))["silent"][0] == "unhealthy"
            assert len(asked) == 1
            assert set(made.connectors) == {"silent", "things"}
    finally:
        never.set()


async def test_an_error_tells_no_secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ACME_API_KEY", SECRET)
    monkeypatch.setenv("ACME_DATABASE_URL", "postgresql://me:open-sesame@db.example/acme")

    class Telling(Source):
        def start(self) -> None:
            raise OSError(
                f"no way to https://me:hunter22@acme.example/ with {SECRET}\x00 nor open-sesame " + "x" * 1000
            )

    async with opened({SOURCES: [Telling]}) as made:
        error = str((await states(made))["things"][1])
    assert error.startswith("OSError: no way to https://***@acme.example/ with *** nor *** ")
    assert error.endswith("…") and SECRET not in error


def sync_list(config: Settings, secrets: Mapping[str, str]) -> Any:
    return [Document(id="a", text="one"), None, Document(id="b", text="two")]


def generator(config: Settings, secrets: Mapping[str, str]) -> Any:
    yield from sync_list(config, secrets)


async def coroutine(config: Settings, secrets: Mapping[str, str]) -> Any:
    return generator(config, secrets)


async def async_generator(config: Settings, secrets: Mapping[str, str]) -> Any:
    for each in sync_list(config, secrets):
        await asyncio.sleep(0)
        yield each


@pytest.mark.parametrize("load", [sync_list, generator, coroutine, async_generator])
async def test_a_load_is_synchronous_or_not_and_returns_or_yields(load: Any):
    async with loading(load) as source:
        place = place_of({}, {})
        found = await listed(source, place)
        assert (set(found), found[""]) == ({"a", "b", ""}, "1")
        given = await source.fetch(place, "b")
        assert (given.content, given.title, given.media_type, given.acl) == (b"two", "b", "text/plain", None)
        source.end(place)
        assert (await source.fetch(place, "a")).content == b"one"
        assert await listed(source, place) == found
        with pytest.raises(NotFetched):
            await source.fetch(place, "c")


async def test_a_document_brings_what_a_source_may_tell():
    document = Document(
        id="a", title="A\ntitle", content=b"<p>", media_type="text/html", url="https://a.example/1",
        metadata={"of": [1]}, acl={"staff"}, version="7",
    )  # fmt: skip
    async with loading(lambda _, __: [document]) as source:
        place = place_of({}, {})
        assert await listed(source, place) == {"a": "7"}
        given = await source.fetch(place, "a")
    assert (given.title, given.content, given.media_type, given.url) == ("A title", b"<p>", "text/html", document.url)
    assert (given.metadata, given.acl) == ({"of": [1]}, ["staff"])


async def test_a_version_that_can_not_be_stored_is_told_by_its_hash():
    versions = ["a\x00", "\ud800", "x" * 10_000]
    documents = [Document(id=str(number), text="a", version=each) for number, each in enumerate(versions)]
    async with loading(lambda _, __: documents) as source:
        found = await listed(source, place_of({}, {}))
    assert len(set(found.values())) == 3
    assert all(version is not None and len(version) == 64 and version.isalnum() for version in found.values())


WRONG: dict[str, Any] = {
    "neither": {},
    "both": {"text": "a", "content": b"a"},
    "bytes": {"text": b"a"},
    "acl": {"text": "a", "acl": "staff"},
    "metadata": {"text": "a", "metadata": {"a": object()}},
    "list": {"text": "a", "metadata": []},
    "version": {"text": "a", "version": 7},
    "url": {"text": "a", "url": 7},
    "surrogate": {"text": "a", "title": "\ud800"},
}


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG)
async def test_a_document_that_is_wrong_harms_no_other(fields: dict[str, Any]):
    async with loading(lambda _, __: [Document(id="w", **fields), Document(id="a", text="one")]) as source:
        place = place_of({}, {})
        assert set(await listed(source, place)) == {"w", "a"}
        assert (await source.fetch(place, "a")).content == b"one"
        with pytest.raises(NotFetched):
            await source.fetch(place, "w")


async def exiting(config: Settings, secrets: Mapping[str, str]) -> Any:
    raise SystemExit(3)


async def cancelled(config: Settings, secrets: Mapping[str, str]) -> Any:
    raise asyncio.CancelledError


class Unreadable(Exception):
    def __str__(self) -> str:
        raise ValueError


def unreadable(config: Settings, secrets: Mapping[str, str]) -> Any:
    raise Unreadable


def raising(config: Settings, secrets: Mapping[str, str]) -> Any:
    yield Document(id="a", text="one")
    raise OSError(f"refused: {secrets['token']}")


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (raising, "OSError: refused: ***"),
        (lambda _, __: None, "NoneType"),
        (lambda _, __: {"a": 1}, "dict"),
        (lambda _, __: ["text"], "str where a Document"),
        (lambda _, __: [Document(id="", text="a")], "`id`"),
        (lambda _, __: [Document(id="a", text="a"), Document(id="a", text="b")], "more than one document"),
        (lambda _, __: exit(3), "SystemExit"),
        (exiting, "SystemExit"),
        (cancelled, "CancelledError"),
        (unreadable, "Unreadable: its message can't be read"),
        (lambda _, __: next(iter(())), "StopIteration"),
    ],
)
async def test_a_load_that_fails_makes_the_source_unavailable(load: Any, expected: str):
    async with loading(load) as source:
        with pytest.raises(SourceUnavailable) as caught:
            await listed(source, place_of({}, {"token": SECRET}))
    assert expected in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_settings_that_do_not_fit_are_refused():
    async with loading(sync_list) as source:
        with pytest.raises(Invalid):
            await listed(source, place_of({"count": "many"}, {}))


async def test_loads_that_never_return_are_given_up_and_not_piled_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connector, "LOAD_SECONDS", 0.02)
    never, begun = threading.Event(), []

    def hanging(config: Settings, secrets: Mapping[str, str]) -> Iterator[Document]:
        begun.append(1)
        yield Document(id="a", text="one")
        never.wait()

    try:
        async with loading(hanging) as source:
            for _ in range(connector.MOST_LEFT):
                with pytest.raises(SourceUnavailable, match=r"within 0\.02 seconds"):
                    await listed(source, place_of({}, {}))
            with pytest.raises(SourceUnavailable, match="have not returned"):
                await listed(source, place_of({}, {}))
            assert len(begun) == connector.MOST_LEFT
    finally:
        never.set()


async def test_a_listing_that_is_left_closes_what_the_plugin_opened():
    closed = threading.Event()

    def opening(config: Settings, secrets: Mapping[str, str]) -> Iterator[Document]:
        try:
            for number in range(1000):
                yield Document(id=str(number), text="one")
        finally:
            closed.set()

    async with loading(opening) as source:
        assert isinstance(source, PluginConnector)
        listing = source.list(place_of({}, {}))
        assert await anext(listing) is not None
        await listing.aclose()  # type: ignore[attr-defined]
        assert await asyncio.to_thread(closed.wait, 10)
