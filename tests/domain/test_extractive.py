"""What is quoted where no model answers."""

from uuid import uuid4

import pytest

from domain.citations import CitationFilter
from domain.extractive import LONGEST, quote
from domain.retrieval import Passage

QUESTION = "How do I parse an ISO 8601 date string?"
FITS = "Construct a date from a string in one of the ISO 8601 formats."
STRAYS = "An empty string is returned if the value is not known."


def passage(text: str, title: str = "") -> Passage:
    return Passage(
        id=uuid4(), document_id=uuid4(), document_version=1, source_id=uuid4(), external_id="d", title=title, url=None,
        text=text, start=0, end=len(text), page=None, heading=None, score=1.0, scores={}, metadata={},
    )  # fmt: skip


def test_a_passage_that_only_shares_a_common_word_is_not_quoted_beside_one_that_answers():
    said = quote(QUESTION, [passage(STRAYS), passage(FITS), passage("The string has a length.")])
    assert said == f'"{FITS}" [2]'


LEAVE = "每位员工每年有三十天的假期。"
LUNCH = "会议在十点半开始。午餐十二点在食堂。Python 记录日志。"


def test_texts_without_blanks_are_quoted_by_sentences_that_share_parts_with_the_question():
    assert quote("员工每年有多少天假期？", [passage(LUNCH), passage(f"申请交给人事部门。{LEAVE}")]) == f'"{LEAVE}" [2]'  # noqa: RUF001
    assert quote("午餐在哪里？", [passage(LUNCH), passage(LEAVE)]).startswith('"午餐十二点在食堂。')  # noqa: RUF001
    assert quote("怎么用python？", [passage(LEAVE), passage(LUNCH)]) == '"Python 记录日志。" [2]'  # noqa: RUF001
    assert quote("회의실은 어디에 있나요?", [passage("전화는 복도에 있다."), passage("회의실에서 만나요.")]).endswith(
        "[2]"
    )


def test_passages_that_fit_alike_are_quoted_in_their_order():
    other = "Return the ISO 8601 string of a date."
    assert quote(QUESTION, [passage(other), passage(FITS)], first=4) == f'"{other}" [4]\n\n"{FITS}" [5]'


def test_a_title_counts_as_what_a_passage_is_about():
    said = quote(
        "What does lru_cache do?", [passage("Bounds the size.", title="functools.lru_cache"), passage("Do it.")]
    )
    assert said == '"Bounds the size." [1]'


def test_where_no_passage_shares_a_word_the_best_one_is_quoted():
    assert quote("Qué?", [passage(STRAYS), passage(FITS)]) == f'"{STRAYS}" [1]'


def test_the_quotation_begins_where_the_passage_fits_best_and_has_a_bound():
    text = f"Nothing here. {FITS} " + "More of the same follows here. " * 100
    said = quote(QUESTION, [passage(text)])
    assert said.startswith(f'"{FITS} More') and len(said) <= LONGEST + 10


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Hooks stand in sys.argv[0], see [1, 2].", "Hooks stand in `sys.argv[0]`, see `[1, 2]`."),
        ("Hooks stand in rows[0][1] and [9](hooks.md).", "Hooks stand in `rows[0][1]` and `[9]`(hooks.md)."),
        ("Hooks stand in `argv[1]` and in [0, 1].", "Hooks stand in `argv[1]` and in [0, 1]."),
        ("Hooks stand in ` alone and argv[1].", "Hooks stand in ` alone and argv(1)."),
    ],
)
def test_what_looks_like_a_marker_in_a_quoted_text_is_none_and_stays_as_it_is(text: str, told: str):
    said = quote("where do hooks stand", [passage(text)])
    assert said == f'"{told}" [1]'
    checked = CitationFilter(range(1, 2))
    assert (checked.feed(said) + checked.rest(), checked.cited, checked.invented) == (said, [1], 0)


def test_words_that_every_question_has_are_not_what_it_is_about():
    asking = passage("How does one do what one does?")
    answering = passage("A projection folds events.")
    assert quote("what does a projection do", [asking, answering]) == '"A projection folds events." [2]'


def test_prose_that_says_it_is_quoted_and_a_call_that_only_names_it_is_not():
    call = passage('answer = client.ask(model="guide", input="How is the log verified?")\nprint(answer["text"])')
    prose = passage("# The log\nEach event has a hash. Who verifies the log reads all of it. That takes a minute.")
    said = quote("How is the log verified?", [call, prose])
    assert said == '"Who verifies the log reads all of it. That takes a minute." [2]'


def test_where_there_is_only_code_it_is_quoted():
    assert quote("What is read_all?", [passage("x = {}"), passage("x = read_all(y={})")]) == '"x = read_all(y={})" [2]'


def test_a_word_is_found_in_its_other_forms_and_in_names_of_programs():
    plain, name = passage("Splitting a string."), passage("Nothing of it.", title="shlex.split_lines")
    assert quote("What splits?", [passage("Joins strings."), plain]) == '"Splitting a string." [2]'
    assert quote("What splits?", [passage("Joins strings."), name]) == '"Nothing of it." [2]'
