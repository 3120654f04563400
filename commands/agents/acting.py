"""Carrying out what a model asks for: at once, each noted as it is done."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from commands.agents.actions import ActionDone, Actions
from commands.agents.agent_talk import Acting, ActionStarted
from commands.models.model_calls import ToolCall


async def carried_out(actions: Actions, acting: Acting, calls: Sequence[ToolCall]) -> AsyncGenerator[ActionDone, None]:
    """Carry out what was asked for at once, note each as it is done, and yield it."""

    async def done_with(call: ToolCall) -> ActionDone:
        changes = acting.guard.changes(call.name)
        done = acting.refused(call)
        if done is None:
            if changes and acting.starting is not None:
                await acting.starting(ActionStarted(call=call, type=acting.type_of(call)))
            done = await actions.carry_out(
                acting.recording,
                acting.by_name.get(call.name),
                call,
                acting.asker,
                acting.given,
                acting.citable,
                seconds=acting.seconds,
                parent=acting.parent,
                ask=acting.asking(call, acting.action(call), acting.confirms),
                changes=changes,
            )
            acting.guard.saw(done.type)
        done = await acting.inspect(done)
        await acting.note(done)
        return done

    tasks = [asyncio.ensure_future(done_with(call)) for call in calls]
    try:
        for following in asyncio.as_completed(tasks):
            yield await following
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
