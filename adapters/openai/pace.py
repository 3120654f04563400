"""How often a stream is read: pieces that come in quick succession are taken together."""

QUICK = 0.004
"""Seconds within which a fast stream gives something each time that it is read."""

TOGETHER = 0.008
"""Seconds for which a piece of a fast stream waits for those after it, at most: screens show no more than each 8 ms."""

SURE = 16
"""Reads in a row that were quick, after which a stream counts as fast: a short answer never does."""


class Pace:
    """The pace of one stream.

    Each time that a stream is read, and what was read is passed on, costs about as much as several pieces do. Of a stream
    that has given something within 4 ms again and again, nobody sees whether its pieces come one by one or eight at a time.
    """

    def __init__(self) -> None:
        self._quick = 0

    @property
    def pause(self) -> float:
        """Seconds to wait before the next reading."""
        return TOGETHER if self._quick >= SURE else 0.0

    def came(self, waited: float) -> None:
        """Note for how many seconds a reading waited for something."""
        self._quick = self._quick + 1 if waited < QUICK else 0
