"""Verification of a long log, and what hashing and sealing cost commands."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from adapters.evidence.directory import EvidenceDirectory
from adapters.evidence.notes import Signer
from adapters.evidence.sealing import Sealing
from adapters.evidence.verifying import verify
from benchmarks.applications import Running
from benchmarks.cycle import IN_FLIGHT
from benchmarks.database import Databases
from benchmarks.growth import MILLION, changing, create_things, fill
from benchmarks.measure import Scale, interleaved, task_rate
from benchmarks.table import Row

OFTEN = 1.0
"""Seconds between two checkpoints while it is measured: sixty times as often as is usual."""


def evidence(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Seal and verify a log of a million events; then commands with and without a sealer beside them."""
    events = scale.count(MILLION)
    dsn = databases.magnet()
    signer = Signer(bytes(32), "bench")
    with Running(dsn) as running, tempfile.TemporaryDirectory(prefix="magnet-evidence-") as place:
        running.run(create_things(running))
        running.run(fill(running, events))
        directory = EvidenceDirectory(Path(place))
        sealing = Sealing(running.parts.pool, signer, directory, every=OFTEN)
        began = time.perf_counter()
        running.run(sealing.seal())
        sealed = time.perf_counter() - began
        began = time.perf_counter()
        verdict = verify(dsn, signer, directory.notes(), directory)
        verified = time.perf_counter() - began
        assert verdict.ok, verdict
        changed = changing(running)

        async def beside() -> float:
            await sealing.open()
            try:
                return await task_rate(IN_FLIGHT, 3 * scale.seconds, changed)
            finally:
                await sealing.close()

        with_sealing, without = interleaved(
            scale,
            lambda: running.run(beside()),
            lambda: running.run(task_rate(IN_FLIGHT, 3 * scale.seconds, changed)),
        )
    yield Row(what=f"verification of {verdict.checked_to:,} events", ours=verified, unit="s", most=30 * scale.size)
    yield Row(what=f"first sealing of {verdict.checked_to:,} events", ours=sealed, unit="s")
    yield Row(
        what="commands while sealed every second", ours=with_sealing, unit="/s",
        compared="without", theirs=without, least=0.95,
    )  # fmt: skip
