"""Cutting texts: every chunk is a part of the text, all of the text is in some chunk, and sizes are kept."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.reading import words
from adapters.reading.cutting import cut, lines, sentences, tokens
from adapters.reading.plain import headings_of
from commands.knowledge.reading import Text

STRATEGIES = ("recursive", "sentence", "markdown", "html_headings", "code", "none")
PIECES = st.sampled_from(
    [
        "word",
        " ",
        "\n",
        "\n\n",
        ". ",
        "!?",
        "# Head\n",
        "世界。",
        "x" * 100,
        "a,b;",
        "\t",
        "é",
        "😀",
        "\u2003",
        "(a) ",
        '"q" ',
    ]
)
TEXTS = st.lists(PIECES, max_size=120).map("".join)


@given(text=TEXTS, strategy=st.sampled_from(STRATEGIES), size=st.integers(16, 40), overlap=st.integers(0, 15))
@settings(deadline=None)
def test_chunks_are_parts_of_the_text_in_its_order_that_cover_all_but_blanks(text, strategy, size, overlap):
    read = Text(text=text, headings=list(headings_of(text, "markdown")))
    chunks = cut(read, {"strategy": strategy, "size": size, "overlap": overlap})
    assert all(chunk.text == text[chunk.start : chunk.end] for chunk in chunks)
    assert all(chunk.text.strip() == chunk.text != "" for chunk in chunks)
    assert [chunk.start for chunk in chunks] == sorted(chunk.start for chunk in chunks)
    assert all(before.end < after.end for before, after in pairwise(chunks))
    covered = 0
    for chunk in chunks:
        assert not text[covered : chunk.start].strip()
        covered = chunk.end
    assert not text[covered:].strip()
    if strategy != "none":
        assert all(tokens(chunk.text) <= size for chunk in chunks)


@given(text=st.text(max_size=400) | TEXTS)
@settings(deadline=None)
def test_sentences_and_lines_together_are_the_text(text: str):
    assert "".join(sentences(text)) == text
    assert "".join(lines(text)) == text


def test_sentences_end_where_people_end_them():
    assert sentences('One. Two? "Three!" (four.) 3.14 is pi… Yes\n\nNew 世界。你好。') == [
        "One. ",
        "Two? ",
        '"Three!" ',
        "(four.) ",
        "3.14 is pi… ",
        "Yes\n\n",
        "New 世界。",
        "你好。",
    ]


def test_chunks_overlap_as_asked():
    text = Text(text="".join(f"Sentence number {number} is here. " for number in range(60)))
    chunks = cut(text, {"strategy": "sentence", "size": 40, "overlap": 16})
    assert all(after.start < before.end for before, after in pairwise(chunks))


def test_sections_are_not_mixed_where_headings_cut():
    said = "# One\n" + "a b c. " * 10 + "\n# Two\n" + "d e f. " * 10
    chunks = cut(
        Text(text=said, headings=list(headings_of(said, "markdown"))),
        {"strategy": "markdown", "size": 64, "overlap": 8},
    )
    assert [(chunk.heading, chunk.text[:5]) for chunk in chunks] == [("One", "# One"), ("Two", "# Two")]


def test_lines_of_code_are_not_broken():
    said = "".join(f"def f{number}(x):\n    return x + {number}\n\n" for number in range(50))
    chunks = cut(Text(text=said), {"strategy": "code", "size": 32, "overlap": 0})
    assert {line for chunk in chunks for line in chunk.text.splitlines() if line} <= {
        line for line in said.splitlines() if line
    } | {line.strip() for line in said.splitlines()}


@pytest.mark.parametrize("evil", ["." * 200_000 + "x", "\n" * 200_000, "\n" + " " * 200_000 + "x", "a" * 200_000])
def test_no_text_takes_longer_than_its_length_asks_for(evil: str):
    # Were the time a square of the length, this would not end within the test's patience.
    assert "".join(sentences(evil)) == evil


@pytest.mark.parametrize("long", ["a" + " " * 100_000 + "b", "x" * 100_000, "\u4f60" * 100_000, "a b " * 25_000])
def test_what_has_no_sentences_is_cut_to_the_same_size(long: str):
    chunks = cut(Text(text=long), {"strategy": "recursive", "size": 512, "overlap": 0})
    assert all(chunk.text for chunk in chunks)
    assert all(256 < tokens(chunk.text) <= 512 for chunk in chunks[:-1] if len(long.split()) != 2)


@given(text=TEXTS, size=st.integers(16, 24), overlap=st.integers(0, 8))
@settings(deadline=None, max_examples=60)
def test_parts_are_inside_of_what_they_are_part_of_and_together_all_of_it(text: str, size: int, overlap: int):
    chunking = {"strategy": "parent_child", "size": size, "overlap": overlap, "parent_size": 60}
    chunks = cut(Text(text=text), chunking)
    given = [each for each in chunks if each.parent is None]
    assert chunks[: len(given)] == given
    covered = 0
    for number, parent in enumerate(given):
        parts = [each for each in chunks if each.parent == number]
        assert tokens(parent.text) <= 60 and not text[covered : parent.start].strip()
        covered = parent.end
        assert (parent.searched == "") == bool(parts)
        assert all(tokens(each.text) <= size for each in parts or [parent])
        inside = parent.start
        for part in parts:
            assert parent.start <= part.start < part.end <= parent.end
            assert not text[inside : part.start].strip()
            inside = part.end
        assert not parts or not text[inside : parent.end].strip()
    assert not text[covered:].strip()


@pytest.mark.parametrize("strategy", ["recursive", "sentence", "code", "markdown"])
def test_a_long_text_is_cut_as_it_is_where_all_of_it_is_counted(strategy: str, monkeypatch: pytest.MonkeyPatch):
    said = [f"w{number % 97}" + ("." if number % 11 == 0 else "") for number in range(4000)]
    text = Text(text="\n\n".join(" ".join(said[at : at + 400]) for at in range(0, len(said), 400)))
    chunking = {"strategy": strategy, "size": 48, "overlap": 8}
    counted: list[int] = []

    def count(said: str) -> int:
        counted.append(len(said))
        return len(said.split())

    chunks, some = cut(text, chunking, count), sum(counted)
    counted.clear()
    monkeypatch.setattr(words, "BEGINNING", len(text.text))
    assert cut(text, chunking, count) == chunks
    assert some < sum(counted)
