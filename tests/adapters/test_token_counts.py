"""Counting tokens: as the embedding model does where its tokenizer is here, in the process that reads documents."""

import os
from base64 import b64decode
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from adapters.reading import words
from adapters.reading.counting import CL100K_PATTERN, count_of
from adapters.reading.cutting import cut
from adapters.reading.reader import Reader
from adapters.reading.tokenizers import CL100K, InstalledTokenizers
from adapters.reading.words import Count, Words
from commands.knowledge.reading import Text, Tokenizer, Unreadable
from commands.knowledge.tokenizing import TokenizerGone
from domain.errors import NotFound
from domain.model import Model
from domain.provider import Provider
from tests.support import tiny_bert

WORDS = "The cat sat on the mat, and 世界 was 😀 there: unbelievable-tokenisation. "
SETTINGS = {"strategy": "recursive", "size": 16, "overlap": 4}


class Things:
    """One provider and one model, as commands see them."""

    def __init__(self, provider: dict[str, Any], model: str) -> None:
        self.provider = Provider.create(name="p", definition=provider)
        definition = {"provider": str(self.provider.id), "model": model, "kind": "embedding"}
        self.model = Model.create(name="m", definition=definition)

    async def newest(self, kind: Any, id: UUID) -> Any:
        found = {self.provider.id: self.provider, self.model.id: self.model}.get(id)
        if found is None:
            raise NotFound
        return found


def openai(model: str) -> Any:
    return Things({"type": "openai", "base_url": "https://api.openai.com/v1"}, model)


def local(directory: Path) -> Any:
    return Things({"type": "local", "base_url": f"file://{directory}"}, "tiny")


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    made = Reader(processes=1)
    yield made
    await made.close()


async def the_tokenizer(things: Any) -> Tokenizer:
    installed = InstalledTokenizers(things)
    name = await installed.of(things.model.id)
    assert name is not None
    return await installed.load(name, things.model.id)


async def test_openai_models_are_counted_as_their_own_tokenizer_counts(monkeypatch: pytest.MonkeyPatch):
    tokenizer = await the_tokenizer(openai("text-embedding-3-small"))
    assert tokenizer.name == CL100K
    folder = InstalledTokenizers(openai("x"))._vocabulary.parent
    monkeypatch.setitem(os.environ, "TIKTOKEN_CACHE_DIR", str(folder))
    theirs = tiktoken.Encoding(**openai_public.cl100k_base())
    assert theirs._pat_str == CL100K_PATTERN
    assert count_of(tokenizer.name, tokenizer.data)(WORDS * 20) == len(theirs.encode_ordinary(WORDS * 20))


@cache
def counts() -> tuple[Count, Count]:
    """Return what counts as cl100k_base does here, and the library's own way."""
    vocabulary = InstalledTokenizers(openai("x"))._vocabulary.read_bytes()
    ranks = {b64decode(token): int(rank) for token, rank in map(bytes.split, vocabulary.splitlines())}
    theirs = tiktoken.Encoding("theirs", pat_str=CL100K_PATTERN, mergeable_ranks=ranks, special_tokens={})
    return count_of(CL100K, vocabulary), lambda text: len(theirs.encode_ordinary(text))


AWKWARD = [
    "  ",
    " ",
    "\n",
    "\r\n",
    "\t",
    "\x1c",
    "\x85",
    "\xa0",
    "\u2028",
    "\u3000",
    ".",
    "...",
    "'s",
    "'LL",
    "word",
    "12345",
    "½",
]
PARTS = st.one_of(st.sampled_from(AWKWARD), st.sampled_from(WORDS.split()), st.characters(codec="utf-8"))


@settings(max_examples=400, deadline=None)
@given(st.lists(PARTS, max_size=16).map("".join))
def test_the_tokens_of_a_text_are_those_of_its_pieces_whatever_is_in_it(text: str):
    ours, theirs = counts()
    assert ours(text) == theirs(text)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(PARTS, max_size=24).map("".join), st.data(), st.sampled_from([1, 8, 1000]), st.sampled_from([2, 9, 1000])
)
def test_the_tokens_of_each_part_of_a_text_are_those_of_the_part_alone(
    text: str, data: st.DataObject, block: int, long: int
):
    ours, theirs = counts()
    assert isinstance(ours, Words)
    with patch.multiple(words, BLOCK=block, LONG=long):
        counted = ours.within(text)
        for _ in range(8):
            start = data.draw(st.integers(0, len(text)))
            end = data.draw(st.integers(start, len(text)))
            most = data.draw(st.sampled_from([1, 3, 100]))
            number = theirs(text[start:end])
            assert counted(start, end, None) == number
            found = counted(start, end, most)
            assert found == number or (found > most and number > most)


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("around", ["{}", "a {}", "a {} b", "a  {} b", "a  {}"])
def test_a_word_of_about_as_many_characters_as_are_counted_as_a_whole_is_counted(around: str, more: int):
    ours, theirs = counts()
    assert isinstance(ours, Words)
    text = around.format("ab" * ((words.LONG + more) // 2) + "c" * ((words.LONG + more) % 2))
    assert ours.within(text)(0, len(text), None) == theirs(text)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(PARTS | st.sampled_from(["\n\n", ". ", " ", " word"]), max_size=120).map("".join),
    st.sampled_from(["recursive", "sentence", "code", "none", "parent_child"]),
    st.integers(16, 30),
)
def test_a_text_is_cut_alike_whether_its_tokens_are_counted_once_or_those_of_each_part(
    text: str, strategy: str, size: int
):
    ours, theirs = counts()
    chunking = {"strategy": strategy, "size": size, "overlap": 5, "parent_size": 60}
    assert cut(Text(text=text), chunking, ours) == cut(Text(text=text), chunking, theirs)


def test_words_are_counted_alike_once_many_others_were_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(words, "MOST_PIECES", 5)
    vocabulary = InstalledTokenizers(openai("x"))._vocabulary.read_bytes()
    ours, (_, theirs) = count_of(CL100K, vocabulary), counts()
    for number in range(30):
        text = " ".join(f"word{each % 7} 世界{each}." for each in range(number, number + 9))
        assert cut(Text(text=text), SETTINGS, ours) == cut(Text(text=text), SETTINGS, theirs)


async def test_a_local_model_is_counted_by_the_tokenizer_in_its_directory(tmp_path: Path, reader: Reader):
    tiny_bert.write(tmp_path)
    tokenizer = await the_tokenizer(local(tmp_path))
    text = "the cat sat the dog " * 30
    chunks = await reader.cut(Text(text=text), SETTINGS, tokenizer)
    count = tiny_bert.tokenizer()
    count.no_truncation()
    sizes = [len(count.encode(each.text, add_special_tokens=False).ids) for each in chunks]
    assert [each.tokens for each in chunks] == sizes
    assert all(0 < size <= 16 for size in sizes)


async def test_no_chunk_has_more_tokens_than_its_size_and_all_of_the_text_is_in_one(reader: Reader):
    tokenizer = await the_tokenizer(openai("text-embedding-3-large"))
    count = count_of(tokenizer.name, tokenizer.data)
    for text in (WORDS * 40, "x" * 3000, "😀" * 500, "世界" * 300, "a, b; " * 200, "\n\n".join(["word"] * 99)):
        chunks = await reader.cut(Text(text=text), SETTINGS, tokenizer)
        assert all(count(each.text) == each.tokens <= 16 for each in chunks)
        covered = 0
        for each in chunks:
            assert not text[covered : each.start].strip()
            covered = each.end
        assert not text[covered:].strip()


async def test_other_models_are_estimated_and_so_are_those_whose_files_are_elsewhere(tmp_path: Path):
    things = openai("an-embedding-model")
    assert await InstalledTokenizers(things).of(things.model.id) is None
    absent = local(tmp_path / "elsewhere")
    assert await InstalledTokenizers(absent).of(absent.model.id) is None
    openai_without = openai("text-embedding-3-small")
    assert await InstalledTokenizers(openai_without, tmp_path / "nothing").of(openai_without.model.id) is None


async def test_a_tokenizer_that_is_another_now_is_told(tmp_path: Path):
    tiny_bert.write(tmp_path)
    things = local(tmp_path)
    name = await InstalledTokenizers(things).of(things.model.id)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerGone):
        await InstalledTokenizers(things).load(name or "", things.model.id)


async def test_a_tokenizer_that_is_none_fails_the_document_in_words(reader: Reader):
    with pytest.raises(Unreadable, match=r"tokenizer\.json"):
        await reader.cut(Text(text="some text"), SETTINGS, Tokenizer(name="broken", data=b"{}"))
    assert (await reader.cut(Text(text="some text"), SETTINGS))[0].text == "some text"
