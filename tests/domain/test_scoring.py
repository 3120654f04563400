"""How an answer is scored beside the one that is expected, by plain comparing."""

from typing import Any

import pytest

from domain.replay import scores_of
from domain.scoring import is_same, same_calls, share_of


@pytest.mark.parametrize(
    ("answer", "ignore_case", "score"),
    [
        ("Thirty days [1].", False, 1.0),
        ("Thirty\n  days[3].", False, 1.0),
        ("Thirty days.", False, 1.0),
        ("thirty days.", False, 0.0),
        ("THIRTY days.", True, 1.0),
        ("Thirty days", False, 0.0),
    ],
)
def test_an_answer_is_the_same_whatever_it_cites_and_however_it_is_broken_into_lines(
    answer: str, ignore_case: bool, score: float
):
    assert is_same("Thirty days [9].", answer, ignore_case=ignore_case) == score


def test_what_an_answer_contains_is_scored_by_its_share():
    texts = ["thirty days", "by May", "paid"]
    assert share_of(texts, "You have Thirty\ndays [1], paid.", ignore_case=True) == (pytest.approx(2 / 3), ["by May"])
    assert share_of(["Thirty"], "thirty", ignore_case=False) == (0.0, ["Thirty"])


def a_call(function: str, arguments: str = "{}") -> dict[str, Any]:
    return {"function": function, "arguments": arguments, "outcome": "completed"}


@pytest.mark.parametrize(
    ("calls", "arguments", "order", "score"),
    [
        ([a_call("find", '{"b": 1, "a": 2}'), a_call("order")], True, True, 1.0),
        ([a_call("order"), a_call("find", '{"a":2,"b":1}')], True, False, 1.0),
        ([a_call("order"), a_call("find", '{"a":2,"b":1}')], True, True, 0.0),
        ([a_call("find", '{"a": 3}'), a_call("order")], True, False, 0.0),
        ([a_call("find", '{"a": 3}'), a_call("order")], False, True, 1.0),
        ([a_call("find", '{"a": 2, "b": 1}')], False, False, 0.0),
        ([*[a_call("find", '{"a": 2, "b": 1}')] * 2, a_call("order")], False, False, 0.0),
        ([], True, False, 0.0),
    ],
)
def test_calls_are_the_same_where_the_same_functions_are_called_as_often(
    calls: list[dict[str, Any]], arguments: bool, order: bool, score: float
):
    expected = [a_call("find", '{"a": 2, "b": 1}'), a_call("order")]
    assert same_calls(expected, calls, arguments=arguments, order=order) == score


def test_scores_are_summed_up_by_name_and_what_could_not_be_said_is_counted():
    turns = [
        {"scores": [{"name": "exact", "score": 1.0}, {"name": "judge", "score": None}]},
        {"scores": [{"name": "exact", "score": 0.0}, {"name": "judge", "score": None}]},
        {"scores": []},
        {},
    ]
    assert scores_of(turns) == {
        "exact": {"mean": 0.5, "scored": 2, "failed": 0},
        "judge": {"mean": None, "scored": 0, "failed": 2},
    }
