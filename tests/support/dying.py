"""What dies at a failpoint as by a kill, without a process of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import NoReturn

import pytest

from adapters import failpoints


class Killed(BaseException):
    """Nothing after this is done: what is left is what the database holds."""


def _die(_: int) -> NoReturn:
    raise Killed


@contextmanager
def killed_at(place: str) -> Iterator[None]:
    """See that the block comes to a failpoint and ends there; whoever stood there is not to be used again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failpoints, "os", SimpleNamespace(_exit=_die))
        failpoints.arm(f"{place}=exit")
        with pytest.raises(Killed):
            yield
    failpoints.arm("")
