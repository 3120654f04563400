"""What a newcomer waits for after installation: the demo on an empty home."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.database import Databases
from benchmarks.measure import Scale
from benchmarks.table import Row


def demo(_: Databases, scale: Scale) -> Iterator[Row]:
    """The whole of `magnet demo`, from its start to its end, each time on a home of its own."""
    taken = [told() for _ in range(scale.rounds)]
    yield Row(what="make demo, installed, empty MAGNET_HOME", ours=statistics.median(taken), unit="s", most=30)


def told() -> float:
    """Run the demo; return the seconds it took."""
    with tempfile.TemporaryDirectory(prefix="magnet-bench-demo-") as home:
        environment = {**os.environ, "MAGNET_HOME": home, "LOG_LEVEL": "ERROR"}
        began = time.perf_counter()
        command = [sys.executable, "-m", "api.cli", "demo"]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began
