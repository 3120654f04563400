"""Readers of LlamaIndex as knowledge sources: what they are made with and load by is their Config, secrets are none of it."""

from pathlib import Path
from typing import Any

import pytest

from adapters.plugins.checking import SOURCES
from commands.knowledge.connectors import SourceUnavailable
from domain.errors import Invalid
from tests.adapters.test_plugins import SECRET, opened
from tests.support.asked_connectors import listed, place_of


@pytest.fixture(scope="module")
def llama() -> Any:
    """The readers: their package takes a second to import, and each worker collects all tests."""
    from tests.support import llama_readers

    return llama_readers


async def test_its_arguments_are_its_config_and_its_secrets_stand_apart(llama: Any):
    async with opened({SOURCES: [llama.WikiReader]}) as made:
        shown = (await made.shown())[0]
        assert (shown.name, shown.state, shown.error, shown.description) == (
            "wiki_reader", "ready", None, "Pages of a wiki."
        )  # fmt: skip
        assert shown.schema is not None
        assert set(shown.schema["properties"]) == {"space", "limit", "json"}
        assert set(shown.secrets) == {"token"}
        source = made.connectors["wiki_reader"]
        place = place_of({"space": "home", "limit": 3}, {"token": SECRET})
        found = await listed(source, place)
        assert found == await listed(source, place)
        assert set(found) == {"", *(f"https://wiki.example/home/{number}" for number in range(3))}
        given = await source.fetch(place, "https://wiki.example/home/1")
        assert given.content == f"page 1 {len(SECRET)}".encode()
        assert (given.title, given.url) == ("Page 1", "https://wiki.example/home/1")
        with pytest.raises(Invalid):
            await listed(source, place_of({"spaces": "home"}, {"token": SECRET}))
        with pytest.raises(Invalid):
            await listed(source, place_of({"limit": "many"}, {"token": SECRET}))
        with pytest.raises(SourceUnavailable, match="secret `token`"):
            await listed(source, place_of({}, {}))


async def test_what_is_a_secret_by_its_type_is_one(llama: Any):
    async with opened({SOURCES: [llama.Sealed]}) as made:
        source = made.connectors["sealed"]
        assert set(source.secrets) == {"pin"}
        place = place_of({}, {"pin": SECRET})
        await listed(source, place)
        assert (await source.fetch(place, "one")).content == SECRET[:6].encode()


async def test_texts_without_a_place_keep_their_ids_as_long_as_they_are_the_same(llama: Any):
    async with opened({SOURCES: [llama.StringIterableReader()]}) as made:
        source = made.connectors["string_iterable_reader"]
        found = await listed(source, place_of({"texts": ["one", "two", "two"]}, {}))
        again = await listed(source, place_of({"texts": ["two", "three"]}, {}))
    assert len(found) == 3
    assert len(set(found) & set(again)) == 1


async def test_a_directory_is_read_by_the_reader_that_comes_with_llama_index(llama: Any, tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"{name}word")
    async with opened({SOURCES: [llama.SimpleDirectoryReader]}) as made:
        source = made.connectors["simple_directory_reader"]
        place = place_of({"input_dir": str(tmp_path), "required_exts": [".txt"]}, {})
        found = await listed(source, place)
        assert set(found) == {str(tmp_path / "a.txt"), str(tmp_path / "b.txt")}
        assert (await source.fetch(place, str(tmp_path / "a.txt"))).content == b"aword"
        with pytest.raises(SourceUnavailable, match="plugin simple_directory_reader failed"):
            await listed(source, place_of({"input_dir": str(tmp_path / "away")}, {}))


async def test_one_that_only_loads_asynchronously_is_awaited(llama: Any):
    async with opened({SOURCES: [llama.AsyncReader]}) as made:
        assert set(await listed(made.connectors["async_reader"], place_of({"name": "it"}, {}))) == {"it"}


@pytest.mark.parametrize("name", ["Picky", "BaseReader"], ids=["argument", "method"])
async def test_one_that_json_can_not_make_or_that_loads_nothing_is_refused(llama: Any, name: str):
    async with opened({SOURCES: [getattr(llama, name), llama.StringIterableReader]}) as made:
        shown = {each.name: each for each in await made.shown()}
        assert shown["string_iterable_reader"].state == "ready"
        assert shown[name].state == "failed"


async def test_an_instance_needs_only_what_it_loads_by(llama: Any):
    async with opened({SOURCES: [llama.Picky(str.upper)]}) as made:
        source = made.connectors["picky"]
        place = place_of({}, {})
        await listed(source, place)
        assert (await source.fetch(place, "one")).content == b"MADE"
