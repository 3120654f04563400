"""Turns of agents: tools side by side, many turns at once, and a conversation that has become long."""

import asyncio
import itertools
import json
import random
import statistics
import time
from collections.abc import Iterator

import psycopg
import uvloop

from benchmarks.database import Databases
from benchmarks.http_load import request
from benchmarks.measure import Scale, percentile
from benchmarks.models import Magnet, magnet, provider
from benchmarks.runs import FIRST_OF_OURS, FIRST_OF_THEIRS, Client, in_turn
from benchmarks.slow_api import slow_api, specification
from benchmarks.streams import Stream
from benchmarks.table import Row

TURNS = 60
TOOLS, TOOL_SECONDS = 3, 0.1
AT_ONCE, ROUNDS = 100, 3
PIECES, BETWEEN = 100, 0.05
"""Of a stream: as from a model that writes 20 pieces a second, for 5 seconds."""

SHORT, LONG = 5, 500
"""Turns that a conversation has had; each is two messages."""

NEAR = 20
"""Turns over which the cost at some length is measured."""

QUESTION = "What do you know about it"
LONG_QUESTION = " ".join(["word"] * PIECES)


def agents(databases: Databases, scale: Scale) -> Iterator[Row]:
    """All three."""
    yield from side_by_side(databases, scale)
    yield from at_once(databases, scale)
    yield from long_conversation(databases, scale)


def side_by_side(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Turns in which the model asks for three tools at once."""
    with provider(together=True) as theirs, slow_api(TOOL_SECONDS) as port, magnet(databases, theirs) as ours:
        spec = json.dumps(specification(port, TOOLS))
        ours.do("POST", "/v1/tool-servers", {"name": "slow", "type": "openapi", "spec": spec})
        actions = [{"type": "api_tool", "tool": "slow", "operation": f"find{number}"} for number in range(TOOLS)]
        ours.do("POST", "/v1/agents", {"name": "helper", "instructions": "You help.", "actions": actions})
        paths = itertools.cycle([begun(ours) for _ in range(8)])
        talker, caller = Client(ours.port), Client(theirs.port)
        call = theirs.request(QUESTION, stream=False)
        took, direct = in_turn(
            scale.count(TURNS), lambda: talker.plain(message(next(paths))), lambda: caller.plain(call) * 2
        )
    yield Row(
        what=f"turn with {TOOLS} tools side by side, each {TOOL_SECONDS * 1000:g} ms, beyond its two model calls, p50",
        ours=(took - direct) * 1000, unit="ms", compared="one tool, ms", theirs=TOOL_SECONDS * 1000, most=125,
    )  # fmt: skip


def at_once(databases: Databases, scale: Scale) -> Iterator[Row]:
    """The first text of turns while 100 others go on, one beginning when one ends; and of the same calls directly."""
    count = max(AT_ONCE, scale.count(ROUNDS * AT_ONCE)) + AT_ONCE
    with provider(between=BETWEEN) as theirs, magnet(databases, theirs) as ours:
        ours.do("POST", "/v1/agents", {"name": "helper", "instructions": "You help."})
        sent = [message(begun(ours), text=LONG_QUESTION, stream=True) for _ in range(count)]
        through = first_texts(ours.port, sent, FIRST_OF_OURS)
        directly = first_texts(theirs.port, [theirs.request(LONG_QUESTION, stream=True)] * count, FIRST_OF_THEIRS)
    for share, most in ((0.5, 8), (0.95, 20)):
        took, direct = (1000 * percentile(figures[AT_ONCE:], share) for figures in (through, directly))
        yield Row(
            what=f"first text of a turn while {AT_ONCE} go on, beyond the model server's, p{share * 100:g}",
            ours=took - direct, unit="ms", compared="the model server's, ms", theirs=direct, most=most,
        )  # fmt: skip


def first_texts(port: int, sent: list[bytes], marker: bytes) -> list[float]:
    """Return the seconds to the first text of each of some streams; one begins in each hundredth of the time that one takes.

    At which moment of it, chance says, the same each time: that share is as long as it is from one piece to the next. Were
    all to begin at even distances, the pieces of all would always come together, just when another one begins.
    """
    chance = random.Random(1)
    moments = [(number + chance.random()) * PIECES * BETWEEN / AT_ONCE for number in range(len(sent))]

    async def run() -> list[float]:
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def one(number: int) -> float:
            await asyncio.sleep(began + moments[number] - loop.time())
            stream = Stream(sent[number], marker, b"")
            asked = time.perf_counter()
            await loop.create_connection(lambda: stream, "127.0.0.1", port)
            await stream.done
            return stream.first_at - asked

        return await asyncio.gather(*(one(number) for number in range(len(sent))))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def long_conversation(databases: Databases, scale: Scale) -> Iterator[Row]:
    """A turn beyond its call, with as much history, after few turns and after many; and what a turn stores."""
    long = max(50, scale.count(LONG))
    with provider() as theirs, magnet(databases, theirs) as ours:
        ours.do("POST", "/v1/agents", {"name": "helper", "instructions": "You help."})
        path = begun(ours)
        talker, caller = Client(ours.port), Client(theirs.port)
        costs, stored = [], []
        for before in (SHORT, long):
            for _ in range(before - (SHORT + NEAR if costs else 0)):
                talker.plain(message(path))
            size = stored_bytes(databases.owner_of(ours.dsn))
            costs.append(cost(talker, caller, path, before))
            stored.append((stored_bytes(databases.owner_of(ours.dsn)) - size) / NEAR)
    yield Row(
        what=f"turn after {2 * long:,} messages, beyond its call with as much history, p50: more than after {2 * SHORT}",
        ours=(costs[1] - costs[0]) * 1000, unit="ms", compared=f"after {2 * SHORT}, ms", theirs=costs[0] * 1000, most=10,
    )  # fmt: skip
    yield Row(
        what=f"bytes of events that a turn stores after {2 * long:,} messages", ours=stored[1], unit="bytes",
        compared=f"after {2 * SHORT}", theirs=stored[0], most=1.1 * stored[0],
    )  # fmt: skip


def cost(talker: Client, caller: Client, path: str, turns: int) -> float:
    """Return the median seconds of some turns beyond a call with as much history."""
    said = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": f"echo: {QUESTION}"}] * turns
    body = {"model": "m", "messages": [*said, {"role": "user", "content": QUESTION}], "stream": False}
    call = request("POST", "/v1/chat/completions", json.dumps(body).encode())
    pairs = [(talker.plain(message(path)), caller.plain(call)) for _ in range(NEAR)]
    return statistics.median(took for took, _ in pairs) - statistics.median(direct for _, direct in pairs)


def stored_bytes(dsn: str) -> float:
    """Return how many bytes all events of the log have."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute("SELECT sum(length(state)) FROM magnet.magnet_events").fetchone()
        return float(row[0]) if row else 0.0


def begun(ours: Magnet) -> str:
    """Begin a conversation, and return its path."""
    return f"/v1/conversations/{ours.do('POST', '/v1/conversations', {'agent': 'helper'})['id']}"


def message(path: str, *, text: str = QUESTION, stream: bool = False) -> bytes:
    """Return the bytes of a request that says something."""
    return request("POST", f"{path}/messages", json.dumps({"content": text, "stream": stream}).encode())
