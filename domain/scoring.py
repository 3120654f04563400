"""How an answer is scored beside the one that is expected, where plain comparing does it: from 0 to 1, 1 is best."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from domain.citations import MARKER
from domain.outside_json import NotJson, read

CITED = re.compile(rf"\s*(?:{MARKER.pattern})")
"""A citation, with the blanks before it: an answer says the same without it."""


def is_same(expected: str, answer: str, *, ignore_case: bool) -> float:
    """Return 1 where two texts are the same, without markers of citations, however their blanks are."""
    one, other = (plain(text, ignore_case=ignore_case) for text in (expected, answer))
    return float(one == other)


def share_of(texts: Sequence[str], answer: str, *, ignore_case: bool) -> tuple[float, list[str]]:
    """Return how many of some texts stand in an answer, as their share, and those that do not."""
    said = plain(answer, ignore_case=ignore_case)
    missing = [text for text in texts if plain(text, ignore_case=ignore_case) not in said]
    return 1 - len(missing) / len(texts), missing


def same_calls(
    expected: Sequence[Mapping[str, Any]], calls: Sequence[Mapping[str, Any]], *, arguments: bool, order: bool
) -> float:
    """Return 1 where the same functions are called, as often; with the same `arguments` and in the same `order` if so."""
    one, other = ([call_of(each, arguments=arguments) for each in side] for side in (expected, calls))
    return float(one == other if order else Counter(one) == Counter(other))


def call_of(call: Mapping[str, Any], *, arguments: bool) -> tuple[str, bytes]:
    """Return what a call is compared by."""
    return str(call["function"]), canonical(str(call["arguments"])) if arguments else b""


def canonical(arguments: str) -> bytes:
    """Return arguments in one form, whatever the order of their names and their blanks."""
    try:
        return orjson.dumps(read(arguments or "{}"), option=orjson.OPT_SORT_KEYS)
    except NotJson:
        return arguments.strip().encode()


def plain(text: str, *, ignore_case: bool) -> str:
    """Return a text as it is compared."""
    text = " ".join(CITED.sub("", text).split())
    return text.casefold() if ignore_case else text
