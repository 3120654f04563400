"""Checkpoint: what the log was, vouched for by a signature; told in the log itself, so that others hear of it."""

from typing import Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain.references import identify


class Checkpoint(Aggregate):
    """One checkpoint of the log."""

    TOPIC = "checkpoint"
    SNAPSHOTS = False
    CACHED = False

    class Created(Aggregate.Created):
        """The first `size` events were vouched for; `note` is what was signed, with the signature."""

        TOPIC = "checkpoint.signed"
        size: int
        root: str
        note: str

    def __init__(self, size: int, root: str, note: str) -> None:
        self.size = size

    @classmethod
    def create_id(cls, size: int) -> UUID:
        """Return the id of the checkpoint of so many events."""
        return identify(cls.TOPIC, f"of {size}")

    @classmethod
    def create(cls, *, size: int, root: str, note: str) -> Self:
        """Note a checkpoint; `root` in base64."""
        return cls._create(cls.Created, id=cls.create_id(size), size=size, root=root, note=note)
