"""The command line: `magnet`."""

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command of this process's arguments; exit status 0, 1 (failed) or 2 (wrong usage)."""
    from api.cli.root import app

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except BrokenPipeError:
        # Who read the output has gone: nobody is left to tell. stdout is closed without flushing to it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        from api.cli.refusals import sentence

        sys.stderr.write(f"magnet: {sentence(error)}\n")
        sys.exit(1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Take SIGTERM like Ctrl-C: what is open gets closed, and the last one out stops the database."""
    raise KeyboardInterrupt
