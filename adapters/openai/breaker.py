"""Circuit breakers: a provider that fails again and again is left alone for a while, by this process."""

OPENS_AFTER = 5
"""Failures in a row."""

OPEN_FOR = 10.0
"""Seconds."""

PROBE_TAKES = 1.0
"""Seconds after which those who wait for a probe may ask again."""


class Breaker:
    """Closed, open or half-open: then one call is let through, and what becomes of it decides."""

    def __init__(self) -> None:
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False

    def wait(self, now: float) -> float:
        """Return 0 where a call may go through, else the seconds until one may."""
        if self._open_until is None:
            return 0.0
        return PROBE_TAKES if self._probing else max(0.0, self._open_until - now)

    def begin(self) -> bool:
        """Note that a call goes through; return whether it is the probe of a breaker that was open."""
        self._probing = self._open_until is not None
        return self._probing

    def answered(self) -> None:
        """Note that the provider answered, whatever it said."""
        self._failures = 0
        self._open_until = None
        self._probing = False

    def failed(self, now: float, *, probe: bool) -> None:
        """Note that the provider seems to be down; a late failure of an older call leaves a probe alone."""
        self._failures += 1
        if self._open_until is not None or self._failures >= OPENS_AFTER:
            self._open_until = now + OPEN_FOR
        if probe:
            self._probing = False

    def abandoned(self) -> None:
        """Note that the probe ended without telling anything about the provider."""
        self._probing = False
