"""Grounding: an answer's sentences, and the passages that support them."""

import itertools
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.models.model_json import WrongOutput
from commands.retrieval.grounding import judged_in
from domain.grounding import MOST_PARTS, Sentence, by_overlap, by_scores, document, parts_of, sentences_of, share
from domain.retrieval import Passage


def passage(text: str, title: str = "") -> Passage:
    return Passage(
        id=uuid4(),
        text=text,
        score=1,
        scores={},
        document_id=uuid4(),
        document_version=1,
        external_id="a",
        title=title,
        url=None,
        start=0,
        end=len(text),
        page=None,
        heading=None,
        metadata={},
        source_id=uuid4(),
    )


@pytest.mark.parametrize(
    ("answer", "sentences"),
    [
        ("", []),
        ("[1] --- !", []),
        ("You get thirty days [1].", [("You get thirty days [1].", "You get thirty days .")]),
        (
            " At noon. [1, 2] On 3.5 tables!\n\n* Bring v1.2 [3]\n",
            [
                ("At noon. [1, 2]", "At noon."),
                ("On 3.5 tables!", "On 3.5 tables!"),
                ("* Bring v1.2 [3]", "* Bring v1.2"),
            ],
        ),
    ],
)
def test_sentences_are_told_by_their_places_with_the_markers_that_follow(answer: str, sentences: list[tuple[str, str]]):
    found = sentences_of(answer)
    assert [(answer[each.start : each.end], each.text) for each in found] == sentences


@given(st.text(alphabet="ab1 .!?\n[],会议。」", max_size=60))
def test_sentences_stand_in_order_and_leave_out_no_word(answer: str):
    found = sentences_of(answer)
    for before, after in itertools.pairwise(found):
        assert before.end <= after.start
    left = list(answer)
    for each in found:
        assert each.start < each.end
        left[each.start : each.end] = " " * (each.end - each.start)
    assert not any(sign.isalpha() for sign in left)


def test_by_words_a_sentence_is_supported_by_the_passages_that_have_enough_of_them_the_best_first():
    passages = [passage("Holidays are thirty days."), passage("Everyone has thirty holidays a year.", "Days")]
    judged = by_overlap(sentences_of("Holidays are thirty days a year. The moon is cheese."), passages, 0.5)
    assert [each.passages for each in judged] == [[1, 0], []]
    assert share(judged) == 0.5
    told = document(judged, passages)
    assert told[0] == {
        "start": 0,
        "end": 32,
        "supported": True,
        "passages": [str(passages[1].id), str(passages[0].id)],
        "score": 1.0,
    }
    assert (told[1]["supported"], told[1]["passages"], told[1]["score"]) == (False, [], 0.0)


def test_sentences_without_blanks_are_each_supported_by_the_passages_that_have_their_parts():
    passages = [passage("会议在十点半开始。"), passage("每位员工每年有三十天的假期。")]
    judged = by_overlap(sentences_of("员工每年有三十天假期。[2] 月亮是奶酪做的。会议在十点半开始！[1]"), passages, 0.5)  # noqa: RUF001
    assert [each.passages for each in judged] == [[1], [], [0]]
    assert [each.text for each in judged][1:] == ["月亮是奶酪做的。", "会议在十点半开始！"]  # noqa: RUF001


def test_what_has_no_sentence_is_supported_and_what_was_given_nothing_is_not():
    assert share([]) == 1
    [judged] = by_scores(sentences_of("At noon."), [[]], 0)
    assert (judged.passages, judged.score) == ([], None)


def test_a_passage_of_many_sentences_is_compared_in_few_parts_without_leaving_any_out():
    text = " ".join(f"Line {number}." for number in range(3 * MOST_PARTS + 1))
    parts = parts_of(passage(text))
    assert len(parts) <= MOST_PARTS
    assert " ".join(parts) == text
    assert parts_of(passage("...")) != []


def said(text: str) -> Any:
    class Said:
        finish_reason = "stop"

    Said.text = text  # type: ignore[attr-defined]
    return Said


TWO = [Sentence(start=0, end=1, text="a"), Sentence(start=2, end=3, text="b")]


def test_a_judges_answer_is_read_by_the_numbers_it_was_given():
    judged = judged_in(
        said('{"sentences": [{"sentence": 2, "passages": []}, {"sentence": 1, "passages": [3, 1, 3]}]}'), TWO, 3
    )
    assert [each.passages for each in judged] == [[2, 0], []]


@pytest.mark.parametrize(
    "text",
    [
        "none",
        "[]",
        '{"sentences": [{"sentence": 1, "passages": []}]}',
        '{"sentences": [{"sentence": 1, "passages": []}, {"sentence": 1, "passages": []}]}',
        '{"sentences": [{"sentence": 1, "passages": []}, {"sentence": 3, "passages": []}]}',
        '{"sentences": [{"sentence": 1, "passages": [4]}, {"sentence": 2, "passages": []}]}',
        '{"sentences": [{"sentence": 1, "passages": [true]}, {"sentence": 2, "passages": []}]}',
        '{"sentences": [{"sentence": 1, "passages": 1}, {"sentence": 2, "passages": []}]}',
    ],
)
def test_a_judge_that_leaves_out_doubles_or_invents_is_not_believed(text: str):
    with pytest.raises(WrongOutput):
        judged_in(said(text), TWO, 3)
