"""Checkpoints are told in the log: so they leave by streams, webhooks and Kafka to where nobody here can change them."""

from dataclasses import dataclass
from uuid import UUID

from commands.bus import Bus, Done
from commands.ports import SYSTEM, Context, Unit
from domain.checkpoint import Checkpoint


@dataclass(frozen=True, kw_only=True)
class NoteCheckpoint:
    """Tell of a checkpoint; `root` in base64."""

    size: int
    root: str
    note: str

    @property
    def stream(self) -> UUID:
        """The checkpoint's."""
        return Checkpoint.create_id(self.size)


async def note_checkpoint(command: NoteCheckpoint, unit: Unit) -> Done:
    """Tell of it, once."""
    checkpoint = await unit.find(Checkpoint, command.stream)
    if checkpoint is None:
        checkpoint = Checkpoint.create(size=command.size, root=command.root, note=command.note)
        unit.save(checkpoint)
    return Done(aggregate=checkpoint)


@dataclass(frozen=True, kw_only=True)
class TellCheckpoints:
    """What sealing calls with each new checkpoint."""

    bus: Bus

    async def __call__(self, size: int, root: str, note: str) -> None:
        """Tell of a checkpoint."""
        await self.bus.dispatch(
            NoteCheckpoint(size=size, root=root, note=note), Context(actor=SYSTEM, channel="worker")
        )
