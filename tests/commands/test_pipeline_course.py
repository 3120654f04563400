"""A run of a pipeline under way: what ends it, what only interrupts it, and what goes on afterwards."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from commands.bus import Bus
from commands.pipelines.pipeline_course import Course, Entries, Happened, ItemFailed, Stopped
from commands.pipelines.pipeline_items import PipelineItems
from commands.pipelines.pipeline_run import NoteItemBegun, item_begun, item_ended
from commands.ports import SYSTEM, Context, Things
from commands.runs.runs import Recording, Runs
from domain.errors import NotFound, Unavailable
from domain.pipeline import Pipeline
from domain.pipeline_run import PipelineRun

LINE = [("one", "a"), ("two", "b")]


class World:
    """One run, what happens in it, and items that do as they are told."""

    def __init__(self, *places: tuple[str, str], changes: bool = False) -> None:
        self.run = PipelineRun.start(
            run=uuid4(), pipeline={}, principal={}, subject=None, channel="", attributes={}, inputs={}
        )
        steps = [
            {"name": step, "parallel": [{"name": item, "type": "prompt", "tool": str(uuid4())}]}
            for step, item in places
        ]
        self.definition = Pipeline.normal({"steps": steps})
        self.carried_out: list[str] = []
        self.does: dict[str, Callable[[], Any]] = {}
        self.happening: asyncio.Queue[Any] = asyncio.Queue()
        self.has_changes = changes

    async def newest(self, kind: type[Any], id: UUID) -> PipelineRun:
        return self.run

    async def dispatch(self, command: Any, context: Context) -> None:
        class One:
            load, save = self.newest, staticmethod(lambda _: None)

        handler = item_begun if isinstance(command, NoteItemBegun) else item_ended
        await handler(command, cast(Any, One))

    async def events(self, stream: UUID, after: int) -> AsyncGenerator[Happened, None]:
        while (event := await self.happening.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield Happened(version=1, position=1, event=event)

    async def changes(self, item: Mapping[str, Any]) -> bool:
        return self.has_changes

    async def carry_out(self, recording: Recording, item: Mapping[str, Any], *_: Any) -> dict[str, Any]:
        self.carried_out.append(item["name"])
        done = self.does.get(item["name"], lambda: {"text": item["name"]})()
        return cast(dict[str, Any], await done if asyncio.iscoroutine(done) else done)

    def course(self) -> Course:
        return Course(
            bus=cast(Bus, self),
            things=cast(Things, self),
            runs=cast(Runs, None),
            entries=cast(Entries, self),
            items=cast(PipelineItems, self),
            going=self.run,
            definition=self.definition,
            context=Context(actor=SYSTEM),
        )

    async def begun(self, item: str) -> "asyncio.Task[None]":
        """Carry the run out in a task, and return it when an item has begun that never ends."""
        reached = asyncio.Event()

        async def hang() -> None:
            reached.set()
            await asyncio.Event().wait()

        self.does[item] = hang
        task = asyncio.create_task(self.course().carry_out())
        await reached.wait()
        return task


def ended(world: World) -> dict[str, str]:
    return {item: each["outcome"] for (_, item), each in world.run.items.items()}


async def test_that_nothing_more_is_heard_of_a_run_does_not_stop_it():
    world = World(*LINE)
    world.happening.put_nowait(None)
    await world.course().carry_out()
    assert ended(world) == {"a": "completed", "b": "completed"}


async def test_that_nobody_can_look_whether_it_is_to_stop_is_no_reason_to_stop_it():
    world = World(*LINE)
    task = await world.begun("b")
    world.happening.put_nowait(Unavailable())
    with pytest.raises(Unavailable):
        await task
    assert ended(world) == {"a": "completed"}


async def test_a_process_that_ends_leaves_what_is_under_way_to_the_next_which_does_it_again():
    world = World(*LINE)
    task = await world.begun("b")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended(world) == {"a": "completed"}
    del world.does["b"]
    await world.course().carry_out()
    assert (world.carried_out, ended(world)) == (["a", "b", "b"], {"a": "completed", "b": "completed"})


async def test_what_changes_something_is_not_done_again_and_counts_as_failed():
    world = World(("one", "a"), changes=True)
    task = await world.begun("a")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ItemFailed):
        await world.course().carry_out()
    assert (world.carried_out, ended(world)) == (["a"], {"a": "unknown"})


@pytest.mark.parametrize(("changes", "outcome"), [(False, "cancelled"), (True, "unknown")])
async def test_who_is_asked_to_stop_stops_at_once_and_says_what_is_known(changes: bool, outcome: str):
    world = World(*LINE, changes=changes)
    task = await world.begun("a")
    world.run.cancel()
    world.happening.put_nowait(world.run.pending_events[-1])
    with pytest.raises(Stopped):
        await task
    assert ended(world) == {"a": outcome}


async def test_a_defect_is_a_failure_of_its_item_and_what_failed_is_found_by_later_ones():
    world = World(*LINE)
    [one, two] = [step["parallel"][0] for step in world.definition["steps"]]
    one["on_error"], two["inputs"] = "continue", {"code": {"path": "steps.one.a.error.code"}}
    world.does["a"] = lambda: 1 / 0
    await world.course().carry_out()
    assert ended(world) == {"a": "failed", "b": "completed"}
    assert world.run.items["two", "b"]["given"] == {"code": "internal_error"}


async def test_what_went_wrong_before_it_was_known_what_may_be_recorded_is_recorded_without_a_word():
    world = World(("one", "a"))

    async def refuse(recording: Recording, *_: Any) -> dict[str, Any]:
        recording.observability = "none"
        raise NotFound("There is no such prompt.")

    world.carry_out = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(ItemFailed):
        await world.course().carry_out()
    item = world.run.items["one", "a"]
    assert (item["given"], item["error"]["code"]) == (None, "not_found")
