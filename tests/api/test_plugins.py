"""Plugins of an installation: the example is installed and synced, a reader of LlamaIndex is named and synced."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from adapters.plugins.checking import SOURCES
from tests.api.cli.conftest import Magnet, on
from tests.api.test_secrets import assert_nowhere, dumped
from tests.support.plugin_modules import module_of
from tests.support.postgres import Database
from tests.support.server import Running, serving
from tests.support.synced import SOURCE, SyncedSource, counts

ROOT = Path(__file__).parents[2]
SECRET = "canary-0815-CANARY-4711"


class SimpleConfig(BaseModel, extra="forbid"):
    """Nothing to be set."""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a directory in which the example package is installed."""
    target, source = tmp_path / "packages", tmp_path / "plugin-notes"
    source.mkdir()
    for each in (ROOT / "examples" / "plugin-notes").iterdir():
        if each.is_file():
            (source / each.name).write_bytes(each.read_bytes())
    command = [
        "pip",
        "install",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--target",
        str(target),
        str(source),
    ]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def importable(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(installed))
    yield installed
    sys.modules.pop("magnet_notes", None)


async def sources(magnet: Running) -> dict[str, Any]:
    items = (await magnet.get("/v1/plugins"))["items"]
    return {each["name"]: each for each in items if each["group"] == SOURCES}


async def test_the_example_is_installed_listed_and_synced(importable: Path, database: Database, tmp_path: Path):
    notes = tmp_path / "notes.txt"
    notes.write_text("# Returns\nGoods come back within 30 days.\n\n# Hours\nOpen from nine to five.\n")
    async with serving(database, tmp_path / "home") as magnet:
        shown = (await sources(magnet))["notes"]
        assert (shown["package"], shown["version"], shown["state"]) == ("plugin-notes", "1.0.0", "ready")
        assert (shown["error"], shown["built_in"]) == (None, False)
        assert set(shown["schema"]["properties"]) == {"file", "group"}
        wrong = await magnet.call("POST", "/v1/knowledge-sources", {"name": "docs", "type": "notes", "config": {}})
        assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/config/file")
        body = {"name": "docs", "type": "notes", "config": {"file": str(notes)}}
        await magnet.do("POST", "/v1/knowledge-sources", body)
        tried = await magnet.do("POST", f"{SOURCE}/test")
        assert tried["documents"] == ["Returns", "Hours"]
        assert tried["proposed_metadata"] == {"words": {"path": "words", "type": "number"}}
        source = SyncedSource(magnet=magnet)
        assert (await source.sync())["counts"] == counts(listed=2, added=2)
        await magnet.do("POST", "/v1/retrieval-tools", {"name": "docs", "sources": ["docs"], "mode": "lexical"})
        answer = await magnet.do("POST", "/v1/retrieval-tools/docs/search", {"query": "when do goods come back"})
        assert answer["passages"][0]["document"]["external_id"] == "Returns"

        notes.write_text("# Returns\nGoods come back within 60 days.\n\n# Hours\nOpen from nine to five.\n")
        assert (await source.sync())["counts"] == counts(listed=2, changed=1, unchanged=1)
        notes.rename(tmp_path / "away.txt")
        away = await source.sync()
        assert (away["state"], away["error"]["code"]) == ("failed", "source_unavailable")
        assert "FileNotFoundError" in away["error"]["reason"]
        assert set(await source.documents()) == {"Returns", "Hours"}


async def test_a_reader_of_llama_index_is_named_by_a_module_and_synced(database: Database, tmp_path: Path):
    from tests.support.llama_readers import SimpleDirectoryReader

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "returns.txt").write_text("Goods come back within 30 days.")
    with module_of("house_readers", {SOURCES: [SimpleDirectoryReader]}):
        async with serving(database, tmp_path / "home", MAGNET_PLUGINS="house_readers") as magnet:
            shown = (await sources(magnet))["simple_directory_reader"]
            assert (shown["package"], shown["state"]) == ("house_readers", "ready")
            config = {"input_dir": str(folder)}
            body = {"name": "docs", "type": "simple_directory_reader", "config": config}
            await magnet.do("POST", "/v1/knowledge-sources", body)
            source = SyncedSource(magnet=magnet)
            assert (await source.sync())["counts"] == counts(listed=1, added=1)
            assert (await source.sync())["counts"] == counts(listed=1, unchanged=1)
            assert list(await source.documents()) == [str(folder / "returns.txt")]


async def test_a_source_whose_plugin_is_gone_keeps_its_documents_and_says_so(database: Database, tmp_path: Path):
    from tests.support.llama_readers import SimpleDirectoryReader

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "returns.txt").write_text("Goods come back within 30 days.")
    with module_of("house_readers", {SOURCES: [SimpleDirectoryReader]}):
        async with serving(database, tmp_path / "home", MAGNET_PLUGINS="house_readers") as magnet:
            body = {"name": "docs", "type": "simple_directory_reader", "config": {"input_dir": str(folder)}}
            await magnet.do("POST", "/v1/knowledge-sources", body)
            await SyncedSource(magnet=magnet).sync()
    async with serving(database, tmp_path / "home") as magnet:
        refused = await magnet.call("POST", f"{SOURCE}/sync", {})
        assert (refused.status_code, refused.json()["code"]) == (409, "not_syncable")
        assert list(await SyncedSource(magnet=magnet).documents()) == [str(folder / "returns.txt")]


async def test_built_in_connectors_stand_beside_what_failed_to_load(database: Database, tmp_path: Path):
    async with serving(database, tmp_path / "home", MAGNET_PLUGINS="no_such_module") as magnet:
        found = (await magnet.get("/v1/plugins"))["items"]
        failed = next(each for each in found if each["name"] == "no_such_module")
        assert (failed["state"], failed["built_in"]) == ("failed", False)
        assert "No module named" in failed["error"]
        built_in = {each["name"]: each for each in found if each["built_in"]}
        assert {"folder", "http_json", "url"} <= set(built_in)
        assert built_in["http_json"]["package"] == "magnet"
        assert built_in["http_json"]["description"]
        assert "token" in built_in["http_json"]["secrets"]
        assert built_in["http_json"]["schema"]["properties"]["url"]["description"]


async def test_secrets_reach_the_plugin_and_nothing_else(database: Database, tmp_path: Path):
    given: list[str] = []

    class Opening:
        """What opens with a token."""

        name = "opening"
        Config = SimpleConfig
        secrets = {"token": "What opens it."}  # noqa: RUF012

        def load(self, config: Any, secrets: Any) -> Any:
            given.append(secrets["token"])
            raise PermissionError(f"refused {secrets['token']}")

    with module_of("opening_module", {SOURCES: [Opening]}):
        async with serving(database, tmp_path / "home", MAGNET_PLUGINS="opening_module") as magnet:
            body = {"name": "docs", "type": "opening", "secrets": {"token": SECRET}}
            await magnet.do("POST", "/v1/knowledge-sources", body)
            unknown = {"name": "more", "type": "opening", "secrets": {"key": SECRET}}
            assert (await magnet.call("POST", "/v1/knowledge-sources", unknown)).json()["code"] == "unknown_secret"
            failed = await SyncedSource(magnet=magnet).sync()
            assert failed["error"]["reason"].endswith("PermissionError: refused ***")
            assert given == [SECRET]
    for table, rows in dumped(database).items():
        assert_nowhere(rows, table, SECRET)


def test_the_command_lists_what_was_found_in_a_process_of_its_own(installed: Path, database: Database, tmp_path: Path):
    magnet = on(database, tmp_path / "home")
    magnet = Magnet(home=magnet.home, more={**magnet.more, "PYTHONPATH": f"{ROOT}:{installed}"})
    found = {each["name"]: each for each in magnet.ok("plugins", "--json", MAGNET_PLUGINS="nowhere").json["items"]}
    assert (found["notes"]["state"], found["nowhere"]["state"]) == ("ready", "failed")
    table = magnet.ok("plugins").out
    assert "notes" in table and "plugin-notes" in table and "folder" in table
