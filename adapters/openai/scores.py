"""Scores out of a reranker's answer, each checked: an answer that contradicts itself moves nothing."""

from typing import Any

from adapters.openai import failures
from adapters.openai.text import NotJson, read_json
from adapters.openai.usage import total_from, usage_from
from domain.pricing import Usage

LISTS = ("results", "data")
"""Where the scores may stand in an object; some servers send nothing but the list."""

LARGEST = 1e30
"""No score is as large; infinity and what is no number are not below it."""

NAMES = ("relevance_score", "score")


def scores_from(data: bytes, count: int) -> tuple[list[float | None], Usage | None]:
    """Return each document's score, None for those that are left out, and what it took.

    Raises Failure where a score is none, or is of no document, or of one that has another; or where there is none.
    """
    try:
        answer, _ = read_json(data)
    except NotJson:
        raise failures.invalid("sent something that is no JSON") from None
    reported = answer if isinstance(answer, dict) else {}
    if reported.get("error"):
        raise failures.reported(reported["error"])
    items = next((reported[name] for name in LISTS if name in reported), answer)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise failures.invalid("sent an answer without scores")
    scores: list[float | None] = [None] * count
    for item in items:
        index = item.get("index")
        if type(index) is not int or not 0 <= index < count:
            raise failures.invalid("sent a score of a document that was not given")
        if scores[index] is not None:
            raise failures.invalid("sent two scores of one document")
        scores[index] = score_of(next((item[name] for name in NAMES if name in item), None))
    if count and not items:
        raise failures.invalid("sent an answer without any score")
    usage = reported.get("usage")
    return scores, usage_from(usage) or total_from(usage)


def score_of(value: Any) -> float:
    """Return a score, or raise Failure where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        raise failures.invalid("sent a score that is no number")
    return float(value)
