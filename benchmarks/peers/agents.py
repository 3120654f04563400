"""Turns of an agent per second, and the memory of the server: Magnet beside AgentOS of agno, on this machine.

By hand, for it installs the other one into an environment of its own:

    python -m benchmarks.peers.agents [--environment DIRECTORY] [--seconds N] [--write]

Both have one worker process, the same model server, which answers at once, and tell it the last three turns. A request
is one turn in one of many conversations. Magnet records each turn and its run in PostgreSQL with fsync.
"""

import argparse
import http.client
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import psutil

from benchmarks.http_load import load, request
from benchmarks.models import provider
from benchmarks.peers.environments import circumstances, installed
from benchmarks.peers.systems import MAGNET, System, running

PACKAGES = ("agno", "openai", "fastapi", "uvicorn", "sqlalchemy", "greenlet", "aiosqlite", "python-multipart")
CONNECTIONS = (1, 8, 32)
CONVERSATIONS = 1000
QUESTION = "How are you today?"
FASTER, SMALLER = 3.0, 0.5
"""How many times its turns, and its memory, Magnet's are to be."""

RESULTS = Path(__file__).with_name("AGENTS.md")
MEBIBYTE = 1 << 20


def main() -> int:
    """Install, measure, print the table; return 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.agents", description=__doc__)
    parser.add_argument("--environment", type=Path, default=Path(tempfile.gettempdir()) / "magnet-peers-agents")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (default 5)")
    parser.add_argument("--write", action="store_true", help=f"keep the table in benchmarks/peers/{RESULTS.name}")
    asked = parser.parse_args()
    versions = installed(asked.environment, PACKAGES)
    with tempfile.TemporaryDirectory(prefix="magnet-peers-") as place, provider() as at:
        with running(MAGNET, asked.environment, Path(place) / "magnet") as port:
            ours = measured(port, asked.seconds, magnets(port, at.url))
        with running(agent_os(at.url), asked.environment, Path(place) / "agno") as port:
            theirs = measured(port, asked.seconds, agent_os_turn)
    text = table(ours, theirs, versions)
    sys.stdout.write(text)
    if asked.write:
        RESULTS.write_text(f"# Turns of agents beside AgentOS\n\n{text}", "utf-8")
    return 0 if ours[0] >= FASTER * theirs[0] and ours[1] <= SMALLER * theirs[1] else 1


def agent_os(url: str) -> System:
    """Return how AgentOS is started over a model server."""
    program = Path(__file__).with_name("agent_os_process.py")
    return System(
        name="AgentOS",
        command=lambda environment, home, port: [
            str(environment / "bin" / "python"), str(program), url, str(port), str(home / "agno.db"),
        ],
        ready="/health",
        create=[],
        update=[],
        get=[],
        environment={"AGNO_TELEMETRY": "false"},
    )  # fmt: skip


def agent_os_turn(number: int) -> bytes:
    """Return the request that is a turn of AgentOS."""
    body = urlencode({"message": QUESTION, "stream": "false", "session_id": f"s{number % CONVERSATIONS}"}).encode()
    head = f"POST /agents/helper/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode() + body


def magnets(port: int, url: str) -> Callable[[int], bytes]:
    """Make an agent and conversations, and return what makes the request that is a turn."""
    done(port, "/v1/providers", {"name": "house", "type": "openai_compatible", "base_url": url})
    model = {"name": "m", "provider": "house", "model": "m", "kind": "chat", "default": True}
    done(port, "/v1/models", model)
    memory = {"strategy": "last_n", "n": 4}
    done(port, "/v1/agents", {"name": "helper", "instructions": "You help.", "memory": memory})
    ids = [done(port, "/v1/conversations", {"agent": "helper"})["id"] for _ in range(CONVERSATIONS)]
    body = json.dumps({"content": QUESTION}).encode()
    sent = [request("POST", f"/v1/conversations/{id}/messages", body) for id in ids]
    return lambda number: sent[number % CONVERSATIONS]


def done(port: int, path: str, body: object) -> dict[str, str]:
    """Send a command that must succeed, and return its receipt."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    told: dict[str, str] = json.loads(answer.read())
    connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"POST {path}: {told}")
    return told


def measured(port: int, seconds: float, turn: Callable[[int], bytes]) -> tuple[float, float]:
    """Return turns a second, the best of some numbers of connections, and the server's memory in MiB afterwards."""
    server = next(
        each.pid for each in psutil.net_connections("tcp") if each.status == "LISTEN" and each.laddr.port == port
    )
    best = 0.0
    for place, connections in enumerate(CONNECTIONS):
        best = max(best, load(port, seconds, connections, turn, place * CONVERSATIONS // len(CONNECTIONS)))
    return best, psutil.Process(server).memory_info().rss / MEBIBYTE


def table(ours: tuple[float, float], theirs: tuple[float, float], versions: dict[str, str]) -> str:
    """Return what was measured."""
    faster, smaller = ours[0] / theirs[0], ours[1] / theirs[1]
    rows = [
        "| what | Magnet | AgentOS | ratio | target | met |",
        "| --- | --- | --- | --- | --- | --- |",
        (
            f"| turns per second | {ours[0]:,.0f} | {theirs[0]:,.0f} | {faster:.1f} x | >= {FASTER:g} x | "
            f"{'yes' if faster >= FASTER else 'NO'} |"
        ),
        (
            f"| memory of the server, MiB (Magnet's besides PostgreSQL) | {ours[1]:,.0f} | {theirs[1]:,.0f} | "
            f"{smaller:.2f} x | <= {SMALLER:g} x | {'yes' if smaller <= SMALLER else 'NO'} |"
        ),
    ]
    how = (
        "Made by `python -m benchmarks.peers.agents --write`: one worker process each, on loopback, over the same model\n"
        "server, which answers at once; AgentOS with SQLite, as its documentation begins, Magnet with its embedded\n"
        f"PostgreSQL and fsync; the best of {', '.join(map(str, CONNECTIONS))} connections."
    )
    return f"{how}\n\n{circumstances(versions)}\n\n" + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
