"""How things are measured: alternatives in turn, several rounds, the median of each."""

import asyncio
import itertools
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How long a measurement takes: rounds of every alternative, seconds of each, and a factor for counts."""

    rounds: int = 5
    seconds: float = 2.0
    size: float = 1.0

    def count(self, full: int) -> int:
        """Return how many of something to make."""
        return max(1, int(full * self.size))


QUICK = Scale(rounds=2, seconds=0.7, size=0.1)


def interleaved(scale: Scale, *alternatives: Callable[[], float]) -> list[float]:
    """Measure the alternatives in turn, ABAB, and return the median of each.

    Whatever else the machine does then hits all of them alike. One round before the first is not counted.
    """
    figures: list[list[float]] = [[] for _ in alternatives]
    for number in range(scale.rounds + 1):
        for taken, alternative in zip(figures, alternatives, strict=True):
            figure = alternative()
            if number:
                taken.append(figure)
    return [statistics.median(taken) for taken in figures]


def thread_rate(threads: int, seconds: float, work: Callable[[int], object]) -> float:
    """Return how often per second `work` (given a number, each once) gets done by that many threads."""
    numbers = itertools.count()
    done = [0] * threads
    end = time.perf_counter() + seconds
    failed: list[BaseException] = []

    def run(place: int) -> None:
        try:
            while time.perf_counter() < end:
                work(next(numbers))
                done[place] += 1
        except BaseException as error:
            failed.append(error)

    began = time.perf_counter()
    running = [threading.Thread(target=run, args=(place,)) for place in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if failed:
        raise failed[0]
    return sum(done) / (time.perf_counter() - began)


async def task_rate(tasks: int, seconds: float, work: Callable[[int], Awaitable[object]]) -> float:
    """Return how often per second `work` (given a number, each once) gets done by that many tasks."""
    numbers = itertools.count()
    done = 0
    end = time.perf_counter() + seconds

    async def run() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await work(next(numbers))
            done += 1

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(run())
    return done / (time.perf_counter() - began)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def megabytes(pid: int) -> float:
    """Return the memory (PSS) of a process and of those it started, PostgreSQL's not among them."""
    process = psutil.Process(pid)
    family = [process, *(child for child in process.children(recursive=True) if "postgres" not in child.name())]
    return sum(member.memory_full_info().pss for member in family) / 1_000_000
