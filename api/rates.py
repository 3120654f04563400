"""How often somebody who has no key may ask: counted in this process, by an address or a conversation."""

import time
from collections import OrderedDict
from collections.abc import Callable

from api.auth import Bucket
from api.errors import HttpProblem

MOST = 10_000
"""Of how many askers it is known how much they asked; of more, those are forgotten who asked longest ago."""


class Rates:
    """Limits on requests a minute, one for each asker."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, asker: str, per_minute: int) -> None:
        """Count a request, or raise a 429 that says when to come back."""
        now = self._clock()
        bucket = self._buckets.get(asker)
        if bucket is None or bucket.per_minute != per_minute:
            bucket = self._buckets[asker] = Bucket(per_minute, now)
        self._buckets.move_to_end(asker)
        if len(self._buckets) > MOST:
            self._buckets.popitem(last=False)
        if wait := bucket.take(now):
            raise HttpProblem(
                429,
                "rate_limited",
                f"So many requests come from here that only {per_minute} a minute are answered: wait a little.",
                headers={"Retry-After": str(int(wait) + 1)},
            )
