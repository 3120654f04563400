"""What a projection is: a name, and how a batch of events changes its read model."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from projections.recorded import Recorded


class Projection(Protocol):
    """Folds events into a read model.

    `name` is public and ends in a version. `apply` is called with batches in the order of the log,
    each in one transaction with the projection's position; what it raises undoes the batch.
    `takes` are the classes of the events that it looks at: a batch without any of them changes none of its rows.
    `independent`: its rows depend on one stream each, so that streams may be folded side by side.
    """

    name: ClassVar[str]
    takes: ClassVar[tuple[type[Any], ...]]
    independent: ClassVar[bool]

    async def apply(self, events: Sequence[Recorded], view: Any) -> None:
        """Change the read model by these events, through the view of the present transaction."""
