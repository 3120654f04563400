"""Tag: a word that many things carry; its stream tells of its renamings."""

from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from domain.configuration import Snapshot
from domain.errors import StaleVersion
from domain.references import NAMESPACE


class Tag(Aggregate):
    """A word that many things carry."""

    TOPIC = "tag"

    class Created(Aggregate.Created):
        """A tag was renamed for the first time."""

        TOPIC = "tag.created"
        tag: str

    class Renamed(Aggregate.Event):
        """All things that carried it carry another one now."""

        TOPIC = "tag.renamed"
        to: str
        things: int

    Snapshot = Snapshot

    @classmethod
    def create_id(cls, tag: str) -> UUID:
        """Return the id of a tag; things refer to it by this."""
        return uuid5(NAMESPACE, f"{cls.TOPIC}:{tag}")

    def __init__(self, tag: str) -> None:
        self.tag = tag

    def must_be_at(self, version: int | None) -> None:
        """Raise StaleVersion unless no version is asked for or it is the present one; 1 before any renaming."""
        if version not in (None, self.version):
            raise StaleVersion(details={"current_version": self.version})

    def rename(self, to: str, *, things: int) -> None:
        """Note that so many things carry another tag now."""
        self.trigger_event(self.Renamed, to=to, things=things)
