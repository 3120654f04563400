"""Where the processes of one server count together, so that a scrape tells their sum whichever answers it."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from prometheus_client import values

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the directory to the Prometheus client, which then counts there."""


@contextmanager
def directory_of_counts(home: Path) -> Iterator[Path]:
    """Yield a directory of this server's own under MAGNET_HOME; those that killed servers left there are removed."""
    all_of_them = home / "metrics"
    all_of_them.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with ExitStack() as meanwhile:  # nobody takes a directory that is not held yet for one that was left
            _hold(all_of_them, meanwhile, wait=True)
            for left in all_of_them.iterdir():
                with ExitStack() as looking, suppress(FileNotFoundError):  # a server that ends removes its own
                    if _hold(left, looking, wait=False):
                        shutil.rmtree(left)
            made = Path(tempfile.mkdtemp(dir=all_of_them))
            _hold(made, stack, wait=True)
            stack.callback(shutil.rmtree, made)
        yield made


def count_in(directory: Path) -> None:
    """Have metrics that are made from now on in this process count in a directory, beside those of other processes."""
    os.environ[VARIABLE] = str(directory)
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


def _hold(directory: Path, stack: ExitStack, *, wait: bool) -> bool:
    """Hold a directory as long as the stack, or a process forked meanwhile, lasts; return whether nobody else does."""
    descriptor = os.open(directory, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
