"""Run the benchmarks: `python -m benchmarks [--only NAME ...] [--quick] [--write] [--no-fail]`."""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import structlog

from api.process import calm_collector
from benchmarks import (
    agents,
    audit,
    catch_up,
    cycle,
    demo,
    event_stream,
    evidence,
    growth,
    http,
    ingest,
    kafka,
    kafka_kills,
    local_embeddings,
    many_passages,
    processes,
    quality,
    question_sets,
    reading,
    rebuild,
    recording,
    reembedding,
    results,
    runs,
    search,
    streams,
    syncing,
    turns,
)
from benchmarks.database import Databases, databases
from benchmarks.measure import QUICK, Scale
from benchmarks.table import Row, circumstances, markdown, processor_time

Benchmark = Callable[[Databases, Scale], Iterator[Row]]

BENCHMARKS: Mapping[str, Benchmark] = {
    "save": recording.saving,
    "append": recording.appending,
    "cycle": cycle.cycles,
    "http": http.small_requests,
    "catch-up": catch_up.catching_up,
    "processes": processes.writing,
    "starting": processes.starting,
    "start": http.memory_and_start,
    "demo": demo.demo,
    "long-log": growth.long_log,
    "long-stream": growth.long_stream,
    "event-stream": event_stream.event_stream,
    "audit": audit.audit,
    "rebuild": rebuild.rebuilding,
    "evidence": evidence.evidence,
    "kafka": kafka.kafka,
    "kafka-kills": kafka_kills.kafka_kills,
    "local-embeddings": local_embeddings.local_embeddings,
    "runs": runs.prompt_runs,
    "streams": streams.streams_at_once,
    "turns": turns.agent_turns,
    "agents": agents.agents,
    "ingest": ingest.ingesting,
    "reading": reading.reading,
    "syncing": syncing.syncing,
    "search": search.searching,
    "re-embedding": reembedding.reembedding,
    "many-passages": many_passages.many_passages,
    "quality": quality.quality,
    "question-sets": question_sets.question_sets,
}
"""Name -> what yields the rows, in the table's order."""

RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> int:
    """Measure, print the table, and return the exit status: 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures Magnet beside others.")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="short and rough: a look, not a result")
    parser.add_argument("--write", action="store_true", help=f"keep what was measured in benchmarks/{RESULTS.name}")
    parser.add_argument("--no-fail", action="store_true", help="exit with 0 even if a target was missed")
    asked = parser.parse_args()

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    calm_collector()  # as every process of ours does; the alternatives here have it too
    rows: list[Row] = []
    with databases() as made:
        for name in asked.only or BENCHMARKS:
            sys.stderr.write(f"{name} ...\n")
            since = processor_time()
            measured: list[Row] = []
            for row in BENCHMARKS[name](made, QUICK if asked.quick else Scale()):
                measured.append(row)
                sys.stderr.write(f"  {' | '.join(row.cells())}\n")
            rows += measured
            about = circumstances(made.version(), since)
            if asked.write:
                keep(name, f"{about}\n\n{markdown(measured)}")
    sys.stdout.write(f"{about}\n\n{markdown(rows)}\n")
    return 0 if asked.no_fail or all(row.met for row in rows) else 1


def keep(name: str, part: str) -> None:
    """Put a benchmark's figures in the place of its former ones."""
    kept = results.parts(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    RESULTS.write_text(results.page(kept | {name: part}, BENCHMARKS), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
