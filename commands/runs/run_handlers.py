"""Carrying out the commands on runs."""

from dataclasses import dataclass

from commands.bus import Answers, Done
from commands.ports import Unit
from commands.runs.runs import LEASE, FinishRun, InterruptRun, StartRun, note_answer
from domain.run import Run


@dataclass(frozen=True, kw_only=True)
class RunHandlers:
    """Carries out the commands on runs."""

    answers: Answers

    async def start(self, command: StartRun, unit: Unit) -> Done:
        """Begin a run, leased by its process."""
        run = Run.start(
            id=command.id,
            kind=command.kind,
            target=command.target,
            principal=command.principal,
            subject=command.subject,
            channel=command.channel,
            attributes=command.attributes,
            input=command.input,
        )
        unit.effect("lease", id=str(run.id), kind="run", stream=str(run.id), owner=str(command.owner), seconds=LEASE)
        unit.save(run)
        return Done(aggregate=run)

    async def finish(self, command: FinishRun, unit: Unit) -> Done:
        """End a run."""
        run = await unit.load(Run, command.id)
        run.finish(command.end)
        unit.effect("release", id=str(run.id))
        if command.scope is not None:
            note_answer(unit, self.answers, command.scope, Done(aggregate=run, shown=command.answer))
        unit.save(run)
        return Done(aggregate=run)

    async def interrupt(self, command: InterruptRun, unit: Unit) -> Done:
        """Mark a run as interrupted."""
        run = await unit.load(Run, command.id)
        run.interrupt()
        unit.effect("release", id=str(run.id))
        unit.save(run)
        return Done(aggregate=run)
