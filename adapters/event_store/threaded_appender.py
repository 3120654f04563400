"""Group commit for threads: the first to come leads, and hands leadership on."""

import threading
from collections.abc import Callable, Sequence

from adapters.event_store.requests import Outcome, Request, next_group


class _Place:
    """A thread's place in the queue; its lock is held until it has an outcome or must lead."""

    __slots__ = ("error", "lock", "outcome", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.lock = threading.Lock()
        self.lock.acquire()


class ThreadedAppender:
    """The synchronous door to the log: `commit` writes one group in one transaction."""

    def __init__(self, commit: Callable[[Sequence[Request]], list[Outcome]]) -> None:
        self._commit = commit
        self._mutex = threading.Lock()
        self._waiting: list[_Place] = []
        self._led = False

    def append(self, request: Request) -> Outcome:
        """Record the request with whatever else waits, and return what became of it."""
        place = _Place(request)
        with self._mutex:
            self._waiting.append(place)
            leads, self._led = not self._led, True
        if not leads:
            place.lock.acquire()
        while place.outcome is None and place.error is None:
            self._lead()
        if place.error is not None:
            raise place.error
        assert place.outcome is not None
        return place.outcome

    def _lead(self) -> None:
        """Commit one group, answer its members, and wake the next leader."""
        with self._mutex:
            chosen = set(next_group([place.request for place in self._waiting]))
            group = [place for index, place in enumerate(self._waiting) if index in chosen]
            self._waiting = [place for index, place in enumerate(self._waiting) if index not in chosen]
        try:
            for place, outcome in zip(group, self._commit([p.request for p in group]), strict=True):
                place.outcome = outcome
        except BaseException as error:
            if len(group) > 1 and isinstance(error, Exception):
                self._one_by_one(group)
            else:
                for place in group:
                    place.error = error
        with self._mutex:
            successor = self._waiting[0] if self._waiting else None
            self._led = successor is not None
        if successor is not None:
            successor.lock.release()
        for place in group:
            if place.lock.locked():
                place.lock.release()

    def _one_by_one(self, group: Sequence[_Place]) -> None:
        """A database error of one request is not that of all."""
        for place in group:
            try:
                [place.outcome] = self._commit([place.request])
            except Exception as error:
                place.error = error
