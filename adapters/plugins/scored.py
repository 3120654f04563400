"""What the `score` of a scorer plugin is given, and what it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Case:
    """An answer to a message, beside the one that is expected.

    Calls are `{function, arguments, outcome}`, their arguments as JSON text.
    """

    message: str
    expected: str
    answer: str
    expected_calls: Sequence[Mapping[str, Any]]
    calls: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Score:
    """How good an answer is, from 0 to 1, and why in a sentence."""

    score: float
    reason: str = ""
