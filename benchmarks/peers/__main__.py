"""Prompts created, changed and read per second: Magnet, MLflow and Phoenix, on this machine.

By hand, for it installs the other two into an environment of their own (some minutes at the first run):

    python -m benchmarks.peers [--environment DIRECTORY] [--seconds N] [--write]
"""

import argparse
import http.client
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from benchmarks.http_load import load
from benchmarks.peers.environments import circumstances, installed
from benchmarks.peers.systems import MAGNET, MLFLOW, PHOENIX, Make, System, running

PACKAGES = ("mlflow", "arize-phoenix")
CONNECTIONS = (1, 8, 32)
"""Each is tried, and the best counts: what a system can do, not what it does worst."""

PROMPTS = 50
"""How many prompts are changed and read."""

STEPS = ("create", "update", "get")
LEAST = 10
"""How many times the better of the others Magnet is to be."""

RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> int:
    """Install, measure, print the table; return 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--environment", type=Path, default=Path(tempfile.gettempdir()) / "magnet-peers")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (default 4)")
    parser.add_argument("--write", action="store_true", help=f"keep the table in benchmarks/peers/{RESULTS.name}")
    asked = parser.parse_args()
    versions = installed(asked.environment, PACKAGES)
    rates: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="magnet-peers-") as place:
        for system in (MAGNET, MLFLOW, PHOENIX):
            sys.stderr.write(f"{system.name} ...\n")
            with running(system, asked.environment, Path(place) / system.name.lower()) as port:
                rates[system.name] = measured(system, port, asked.seconds)
            sys.stderr.write(f"  {rates[system.name]}\n")
    text = table(rates, versions)
    sys.stdout.write(text)
    if asked.write:
        RESULTS.write_text(f"# Prompts beside MLflow and Phoenix\n\n{text}", "utf-8")
    return 0 if all(ratio(rates, step) >= LEAST for step in STEPS) else 1


def measured(system: System, port: int, seconds: float) -> dict[str, float]:
    """Return how many prompts a second are created, changed and read."""
    names = [f"m{uuid4().hex[:12]}" for _ in range(PROMPTS)]
    for number, name in enumerate(names):
        for make in system.create:
            once(port, make(name, number))
    found = {"create": created(system, port, seconds)}
    found["update"] = best(port, seconds, system.update[0], names)
    found["get"] = best(port, seconds, system.get[0], names)
    return found


def created(system: System, port: int, seconds: float) -> float:
    """Return how many prompts a second are created; several requests take the sum of their times."""
    times = []
    for place, make in enumerate(system.create):
        rates = [0.0]
        for connections in CONNECTIONS:
            prefix = f"c{uuid4().hex[:10]}-"
            if place:  # what a later request needs is made first, and not counted
                for number in range(PROMPTS):
                    once(port, system.create[0](f"{prefix}{number}", number))

            def sent(number: int, prefix: str = prefix, make: Make = make, turned: bool = bool(place)) -> bytes:
                return make(f"{prefix}{number % PROMPTS if turned else number}", number)

            rates.append(rate(port, seconds, connections, sent))
        times.append(1 / max(rates))
    return 1 / sum(times)


def best(port: int, seconds: float, make: Make, names: Sequence[str]) -> float:
    """Return the best rate of requests on some prompts in turn."""
    return max(
        rate(port, seconds, connections, lambda number: make(names[number % len(names)], number))
        for connections in CONNECTIONS
    )


def rate(port: int, seconds: float, connections: int, sent: "Make | object") -> float:
    """Return requests a second; 0 where some were refused, as by a database that is locked."""
    try:
        return load(port, seconds, connections, sent)  # type: ignore[arg-type]
    except RuntimeError as error:
        sys.stderr.write(f"  {connections} connections: {error}\n")
        return 0.0


def once(port: int, sent: bytes) -> None:
    """Send one request that must succeed."""
    head, _, body = sent.partition(b"\r\n\r\n")
    method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body or None, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {said[:300]!r}")


def ratio(rates: dict[str, dict[str, float]], step: str) -> float:
    """Return how many times the better of the others Magnet is."""
    return rates["Magnet"][step] / max(rates[name][step] for name in rates if name != "Magnet")


def table(rates: dict[str, dict[str, float]], versions: dict[str, str]) -> str:
    """Return the table and what it was made on."""
    lines = [
        "Made by `python -m benchmarks.peers --write`: one worker process each, on loopback, each with the storage that",
        "it comes with (Magnet its embedded PostgreSQL with fsync, the others SQLite), the best of",
        f"{json.dumps(CONNECTIONS)[1:-1]} connections; MLflow's create is the two requests that its API needs at least.",
        "",
        circumstances(versions),
        "",
        "| prompts per second | Magnet | MLflow | Phoenix | Magnet / the better | target | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for step in STEPS:
        figures = " | ".join(f"{rates[name][step]:,.0f}" for name in ("Magnet", "MLflow", "Phoenix"))
        times = ratio(rates, step)
        lines.append(f"| {step} | {figures} | {times:.1f} x | >= {LEAST} x | {'yes' if times >= LEAST else 'NO'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
