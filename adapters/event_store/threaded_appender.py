"""Group commit for threads: who comes alone commits by itself; where several come, a thread does nothing else."""

import threading
from collections.abc import Callable, Sequence

from adapters.event_store.requests import Outcome, Request, next_group

LINGER = 1.0
"""Seconds that the committing thread waits for more work before it ends."""


class _Place:
    """A thread's place in the queue; its lock is held until it has an outcome or an error."""

    __slots__ = ("error", "lock", "outcome", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.lock = threading.Lock()
        self.lock.acquire()


class ThreadedAppender:
    """The synchronous door to the log: `commit` writes one group in one transaction.

    Only one thread commits at a time. The first to come does, once; if others wait by then, a thread
    is started that commits until there is no more work. It has to fight for the interpreter only
    once a group, where a caller that led would go on with its own work first.
    """

    def __init__(self, commit: Callable[[Sequence[Request]], list[Outcome]]) -> None:
        self._commit = commit
        self._queue = threading.Condition(threading.Lock())
        self._waiting: list[_Place] = []
        self._led = False

    def append(self, request: Request) -> Outcome:
        """Record the request with whatever else waits, and return what became of it."""
        place = _Place(request)
        with self._queue:
            leads, self._led = not self._led, True
            if not leads:
                self._waiting.append(place)
                self._queue.notify()
        if leads:
            try:
                self._settle([place])
            finally:
                self._hand_on()
        else:
            place.lock.acquire()
        if place.error is not None:
            raise place.error
        assert place.outcome is not None
        return place.outcome

    def _hand_on(self) -> None:
        """Let a thread commit for those who came meanwhile."""
        with self._queue:
            self._led = bool(self._waiting)
            if self._led:
                threading.Thread(target=self._commit_on, name="magnet-append", daemon=True).start()

    def _commit_on(self) -> None:
        """Commit group after group, until there is no work for a while."""
        while True:
            with self._queue:
                if not self._queue.wait_for(lambda: self._waiting, LINGER):
                    self._led = False
                    return
                chosen = set(next_group([place.request for place in self._waiting]))
                group = [place for index, place in enumerate(self._waiting) if index in chosen]
                self._waiting = [place for index, place in enumerate(self._waiting) if index not in chosen]
            self._settle(group)

    def _settle(self, group: Sequence[_Place]) -> None:
        """Commit the group, and wake its members; a database error of one is not that of all."""
        try:
            outcomes = self._commit([place.request for place in group])
        except BaseException as error:
            if len(group) > 1 and isinstance(error, Exception):
                for place in group:
                    self._settle([place])
                return
            for place in group:
                place.error = error
                place.lock.release()
            return
        for place, outcome in zip(group, outcomes, strict=True):
            place.outcome = outcome
            place.lock.release()
