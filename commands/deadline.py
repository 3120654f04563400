"""A time-out of what is done in many steps, such as the pieces of a stream."""

import asyncio
from types import TracebackType
from typing import Self


class Deadline:
    """What asyncio.timeout_at() around each step would do, with one timer for all: that takes as long as a step itself.

    `with deadline.until(at):` raises TimeoutError where its block is not done at the loop's time `at`. It is closed when
    no step follows.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._late = False

    def until(self, at: float) -> Self:
        """Say until when the next step may take."""
        self._at = at
        return self

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelling = self._task.cancelling()
        if self._timer is None or self._rings_at > self._at:
            self.close()
            self._begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._late and task is not None:
            self._late = False
            if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def close(self) -> None:
        """End it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._rings_at = self._at
        self._timer = self._loop.call_at(self._at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return  # the next step begins a timer of its own
        if self._loop.time() < self._at:
            self._begin()
        else:
            self._late = True
            self._task.cancel()
