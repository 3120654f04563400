"""Commands on subjects: giving out what is held of a person, and erasing it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from commands.bus import Bus, Done
from commands.jobs import Finished, Job, Outcome
from commands.ports import SYSTEM, Context, SecretBox, Unit
from commands.runs.runs import encoded
from domain.subject import Subject

DATA_KEYS = "data_keys"
"""What keyed hashes of subjects are for: their data keys are found by them."""

ERASURE = "erasure"
"""The kind of the jobs that remove what stands beside the log."""


@dataclass(frozen=True, kw_only=True)
class OnSubject:
    """Base of the commands on a subject."""

    subject: str

    @property
    def stream(self) -> UUID:
        """What is known of the subject."""
        return Subject.create_id(self.subject)


@dataclass(frozen=True, kw_only=True)
class ExportSubject(OnSubject):
    """Note that what is held of a subject is given out."""


@dataclass(frozen=True, kw_only=True)
class EraseSubject(OnSubject):
    """Destroy the subject's data key, for good; nothing new is recorded for the subject afterwards."""


@dataclass(frozen=True, kw_only=True)
class NoteAnswersRemoved(OnSubject):
    """Note that what stood beside the log was removed too."""

    answers: int


@dataclass(frozen=True, kw_only=True)
class SubjectHandlers:
    """Carries out the commands on subjects."""

    secrets: SecretBox

    async def export(self, command: ExportSubject, unit: Unit) -> Done:
        """Note an export."""
        subject = await known(unit, command)
        subject.export()
        unit.save(subject)
        return Done(aggregate=subject, shown={"subject": command.subject})

    async def erase(self, command: EraseSubject, unit: Unit) -> Done:
        """Erase: the key is destroyed in the transaction of the event."""
        subject = await known(unit, command)
        if not subject.erased:
            subject.erase()
            mac = self.secrets.mac(DATA_KEYS, command.subject.encode())
            unit.effect("erase", mac=encoded(mac))
            unit.effect("job", kind=ERASURE, key=str(subject.id), payload={"subject": command.subject})
        unit.save(subject)
        return Done(aggregate=subject, shown={"subject": command.subject})

    async def note_answers_removed(self, command: NoteAnswersRemoved, unit: Unit) -> Done:
        """Note what was removed."""
        subject = await known(unit, command)
        subject.remove_answers(command.answers)
        unit.save(subject)
        return Done(aggregate=subject)


async def known(unit: Unit, command: OnSubject) -> Subject:
    """Return what is known of the subject, for changing."""
    return await unit.find(Subject, command.stream) or Subject.create(subject=command.subject)


class StoredAnswers(Protocol):
    """What repeats of requests are answered."""

    async def remove(self, subject: str) -> int:
        """Remove the answers of a subject's runs; return how many there were."""


class SealedThings(Protocol):
    """What stands beside the log, sealed with the keys of subjects."""

    async def remove_erased(self) -> None:
        """Remove all that no key opens any more."""


@dataclass(frozen=True, kw_only=True)
class RemoveAnswers:
    """Removes the stored answers of who was erased, and what was made of their files."""

    bus: Bus
    answers: StoredAnswers
    files: SealedThings
    kind: str = ERASURE
    most: int = 1
    groups: int = 1

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Remove them; a second time finds none."""
        for job in jobs:
            subject = str(job.payload["subject"])
            removed = await self.answers.remove(subject)
            await self.files.remove_erased()
            await self.bus.dispatch(NoteAnswersRemoved(subject=subject, answers=removed), Context(actor=SYSTEM))
        return {job.id: Finished() for job in jobs}

    async def give_up(self, job: Job, error: str) -> None:
        """Nothing more is to be recorded: the answers end by their age, and the failure is in the worker's log."""
