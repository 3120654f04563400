"""A time-out of what is done in many steps."""

import asyncio

import pytest

from commands.deadline import Deadline


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_step_that_is_late_is_broken_off_and_the_next_one_has_its_own_time():
    deadline = Deadline()
    for _ in range(2):
        with pytest.raises(TimeoutError), deadline.until(now()):
            await asyncio.Event().wait()
        with deadline.until(now() + 100):
            await asyncio.sleep(0)
    deadline.close()


async def test_a_step_that_has_less_time_than_the_one_before_is_broken_off_by_its_own():
    deadline = Deadline()
    with deadline.until(now() + 100):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), deadline.until(now()):
        await asyncio.Event().wait()
    deadline.close()


async def test_nothing_is_broken_off_between_two_steps():
    deadline = Deadline()
    with deadline.until(now()):
        pass  # done before it had to wait
    rung = asyncio.Event()
    asyncio.get_running_loop().call_at(now(), rung.set)
    await rung.wait()  # the timer of the step has rung by now
    with pytest.raises(TimeoutError), deadline.until(now()):
        await asyncio.Event().wait()
    deadline.close()


async def test_who_is_cancelled_within_a_step_is_cancelled_and_not_late():
    deadline, within = Deadline(), asyncio.Event()

    async def steps() -> None:
        with deadline.until(now() + 100):
            within.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(steps())
    await within.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadline.close()
