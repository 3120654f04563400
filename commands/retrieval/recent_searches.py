"""Whether people search just now: what else this process does is then done in smaller pieces."""

import time
from collections.abc import Callable

RECENT = 1.0
"""Seconds after a search during which the next one is expected."""


class RecentSearches:
    """Knows when this process last searched."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = float("-inf")

    def note(self) -> None:
        """Note that somebody searches."""
        self._last = self._clock()

    def __bool__(self) -> bool:
        return self._clock() - self._last < RECENT
