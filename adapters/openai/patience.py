"""How long each part of an exchange may take."""

import asyncio
from dataclasses import dataclass

from domain.provider import Timeouts


@dataclass(frozen=True, slots=True)
class Due:
    """The loop's time at which a phase is over, its name, and how many seconds it was given."""

    at: float
    phase: str
    seconds: float


class Patience:
    """The time-outs of one exchange; it begins now.

    A plain answer has no first token before it is complete, so only `total` bounds its beginning.
    """

    def __init__(self, timeouts: Timeouts, *, total: float, left: float, streams: bool) -> None:
        self._time = asyncio.get_running_loop().time
        now = self._time()
        self.connect = timeouts.connect
        self._idle = timeouts.idle
        self._total = Due(now + left, "total", total)
        first = Due(now + timeouts.first_token, "first_token", timeouts.first_token)
        self.first = first if streams and first.at < self._total.at else self._total

    def next(self) -> Due:
        """Return when the next bytes are due, once the first have come."""
        at = self._time() + self._idle
        return Due(at, "idle", self._idle) if at < self._total.at else self._total
