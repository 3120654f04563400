"""Which directories of this machine may be read from, by what connector soever."""

from collections.abc import Sequence
from pathlib import Path

from domain.errors import Invalid


class Roots:
    """Directories below some roots, and none that holds what is this installation's own."""

    def __init__(self, roots: Sequence[Path], *, forbidden: Sequence[Path]) -> None:
        self._roots = [root.resolve() for root in roots]
        self._forbidden = [each.resolve() for each in forbidden]

    def allowed(self, path: str, pointer: str) -> Path:
        """Return where a path leads, or raise Invalid where that may not be read."""
        place = Path(path).resolve()
        if not any(place.is_relative_to(root) for root in self._roots):
            raise Invalid(
                "Folders are read below the directories in MAGNET_FOLDERS; without it below where the server runs, not in /.",
                code="folder_not_allowed",
                pointer=pointer,
            )
        if self.is_own(place):
            raise Invalid("This folder holds what is Magnet's own.", code="folder_not_allowed", pointer=pointer)
        return place

    def is_own(self, path: Path) -> bool:
        """Return whether a path, links followed, lies in what is this installation's own."""
        return any(path.is_relative_to(own) for own in self._forbidden)
