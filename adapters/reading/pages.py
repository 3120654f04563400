"""Pages that stand one after another in a text."""

from collections.abc import Sequence
from itertools import accumulate

BETWEEN = "\n\n"


def begins_of(pages: Sequence[str]) -> list[int]:
    """Return the offsets at which the pages begin of a text that they are joined to by BETWEEN."""
    return list(accumulate((len(text) + len(BETWEEN) for text in pages[:-1]), initial=0)) if pages else []
