"""Calls of what other people have written, drivers and plugins, in a thread of their own: what never returns holds up neither the others nor the end of the process."""

import asyncio
import inspect
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

Task = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class TookTooLong(Exception):
    """A call did not return in time."""


class OwnThread:
    """A daemon thread that makes one call after the other; a coroutine that a call returns is awaited by who asked."""

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether its last call has returned."""
        return not self._thread.is_alive()

    async def call(self, function: Callable[..., Any], *arguments: Any, seconds: float) -> Any:
        """Return what the call returns; raise what it raises, or TookTooLong."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        self._tasks.put((loop, done, function, arguments))
        return await in_time(_awaited(done), seconds)

    def end(self, last: Callable[[], Any] | None = None) -> None:
        """End the thread, after what it does now and one last call, whose result nobody waits for."""
        if last is not None:
            loop = asyncio.get_running_loop()
            done: asyncio.Future[Any] = loop.create_future()
            done.add_done_callback(_seen)
            self._tasks.put((loop, done, last, ()))
        self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            loop, done, function, arguments = task
            result, error = None, None
            try:
                result = function(*arguments)
            except BaseException as raised:  # also SystemExit: the process is not the plugin's
                error = raised
            try:
                loop.call_soon_threadsafe(_settle, done, result, error)
            except RuntimeError:
                return  # the loop is closed: the process ends


async def in_time(work: Any, seconds: float) -> Any:
    """Await something; raise TookTooLong where it takes longer, and what would end who asked as an ordinary error."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
        raise TookTooLong(f"it did not answer within {seconds:g} seconds") from None
    except (asyncio.CancelledError, SystemExit) as raised:
        task = asyncio.current_task()
        if isinstance(raised, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise
        raise RuntimeError(f"it raised {type(raised).__name__}") from None


async def called(name: str, function: Callable[..., Any], *arguments: Any, seconds: float) -> Any:
    """Make one call in a thread of its own."""
    thread = OwnThread(name)
    try:
        return await thread.call(function, *arguments, seconds=seconds)
    finally:
        thread.end()


async def _awaited(done: "asyncio.Future[Any]") -> Any:
    result = await done
    return await result if inspect.isawaitable(result) else result


def _settle(done: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if done.done():
        return  # nobody waits any more
    if error is None:
        done.set_result(result)
    elif isinstance(error, Exception) and not isinstance(error, StopIteration):
        done.set_exception(error)
    else:
        done.set_exception(RuntimeError(f"it raised {type(error).__name__}"))


def _seen(done: "asyncio.Future[Any]") -> None:
    """Take an error that nobody waits for as told: what it belongs to has ended already."""
    if not done.cancelled():
        done.exception()
