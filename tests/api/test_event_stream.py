"""The log as a stream: each event once and in order, whoever is slow, leaves, comes back or may see it no more."""

import asyncio
import random
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.event_store.choosing import LogFilter
from api import streaming
from tests.api.test_access import key_of
from tests.support.event_streams import consuming, next_of, rest_of, write_prompts
from tests.support.patience import PATIENCE
from tests.support.postgres import Database
from tests.support.server import Running, serving

DISCONNECTS = 200


def followed(magnet: Running) -> list[int]:
    """Return how far those are who follow all of the log, which who sends webhooks does not."""
    return [each.position for each in magnet.container.subscriptions._open if each._asked == LogFilter()]


async def test_an_event_has_its_position_as_id_and_the_form_of_a_list(magnet: Running):
    await magnet.do("POST", "/v1/prompts", {"name": "p", "text": "a", "message": "why"})
    async with consuming(magnet) as events:
        seen = await next_of(events, 1)
        assert [seen[0].event] == (await magnet.get("/v1/events?changes=false"))["items"]
        assert seen[0].id == seen[0].event["position"] == 1
        await magnet.do("PATCH", "/v1/prompts/p", {"text": "b"})
        assert [each.event["type"] for each in await next_of(events, 1)] == ["prompt.text_changed"]


async def test_a_consumer_that_disconnects_at_random_200_times_sees_each_event_once(magnet: Running):
    chance = random.Random(11)
    seen: list[int] = []
    total = 4 * DISCONNECTS
    writing = asyncio.create_task(write_prompts(magnet.database.app_dsn, total, group=7))
    for number in range(DISCONNECTS + 1):
        last = number == DISCONNECTS
        wanted = total - len(seen) if last else chance.randrange(6)
        async with consuming(magnet, last_id=seen[-1] if seen else 0) as events:
            wanted = min(wanted, total - len(seen))
            seen += [each.id for each in await next_of(events, wanted)]
    await writing
    assert seen == list(range(1, total + 1))


async def test_the_last_event_id_goes_before_the_address(magnet: Running):
    await write_prompts(magnet.database.app_dsn, 5)
    async with consuming(magnet, "?after=1") as events:
        assert [each.id for each in await next_of(events, 4)] == [2, 3, 4, 5]
    async with consuming(magnet, "?after=1", last_id=3) as events:
        assert [each.id for each in await next_of(events, 2)] == [4, 5]
    for wrong in ("x", "-1", "9" * 30):
        answer = await magnet.call("GET", "/v1/events/stream", Last_Event_ID=wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_position")
    assert (await magnet.call("GET", "/v1/events/stream?since=x")).status_code == 422
    assert (await magnet.call("GET", "/v1/events/stream?strange=1")).status_code == 422


@pytest.mark.parametrize(
    "query",
    [
        "type=prompt.text_changed,model.created",
        "kind=prompt",
        "actor=local",
        "reason=BECAUSE",
        "since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z&kind=provider",
    ],
)
async def test_filters_choose_the_same_events_before_and_after_the_stream_began(magnet: Running, query: str):
    async def write(name: str) -> None:
        await magnet.do("POST", "/v1/providers", {"name": name, "type": "openai", "base_url": "https://a.example.com"})
        await magnet.do("POST", "/v1/prompts", {"name": name, "text": "a"})
        await magnet.do("PATCH", f"/v1/prompts/{name}", {"text": "b", "message": "Just because"})

    await write("before")
    half = (await magnet.get(f"/v1/events?changes=false&{query}"))["items"]
    async with consuming(magnet, f"?{query}") as events:
        found = await next_of(events, len(half))
        await write("after")
        found += await next_of(events, len(half))
    assert len(half) > 0
    assert [each.event for each in found] == (await magnet.get(f"/v1/events?changes=false&{query}"))["items"]


async def test_the_events_of_one_thing_are_followed(magnet: Running):
    made = await magnet.do("POST", "/v1/prompts", {"name": "p", "text": "a"})
    await magnet.do("POST", "/v1/prompts", {"name": "q", "text": "a"})
    async with consuming(magnet, f"?aggregate={made['id'].upper()}") as events:
        assert [each.id for each in await next_of(events, 1)] == [1]
        for name in ("q", "p"):
            await magnet.do("PATCH", f"/v1/prompts/{name}", {"text": "b"})
        assert [each.id for each in await next_of(events, 1)] == [4]


async def test_silence_is_broken_by_signs_of_life(magnet: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streaming, "HEARTBEAT", 0.01)
    async with magnet.client.stream("GET", "/v1/events/stream") as answer, asyncio.timeout(PATIENCE):
        lines = answer.aiter_lines()
        comments = [line for line in [await anext(lines) for _ in range(6)] if line]
    assert comments == [": events after 0", ": still here", ": still here"]


async def test_a_consumer_that_does_not_read_costs_a_bounded_part_of_the_log_and_hinders_nobody(magnet: Running):
    total = 6000
    await write_prompts(magnet.database.app_dsn, total, text="x" * 4000)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, ("127.0.0.1", magnet.port))
        request = f"GET /v1/events/stream HTTP/1.1\r\nHost: 127.0.0.1:{magnet.port}\r\n\r\n"
        await loop.sock_sendall(slow, request.encode())
        received = await loop.sock_recv(slow, 1000)
        async with consuming(magnet) as others:  # one who reads gets all of it meanwhile
            assert [each.id for each in await next_of(others, total)] == list(range(1, total + 1))
            await magnet.do("POST", "/v1/prompts", {"name": "meanwhile", "text": "a"})
            assert [each.event["name"] for each in await next_of(others, 1)] == ["meanwhile"]
        assert min(followed(magnet)) < total
        async with asyncio.timeout(120):
            while b'"name":"meanwhile"' not in received[-2000:]:
                received += await loop.sock_recv(slow, 1 << 20)
    ids = [int(line[4:]) for line in received.split(b"\n") if line.startswith(b"id: ")]
    assert ids == list(range(1, total + 2))


async def test_a_revoked_key_ends_its_streams(magnet: Running):
    admin = await key_of(magnet, "admin", "admin")
    auditor = await key_of(magnet, "auditor", "auditor", admin=admin)
    async with consuming(magnet, "?after=2", key=auditor) as events:
        await magnet.do("POST", "/v1/prompts", {"name": "p", "text": "a"}, X_API_Key=admin)
        await next_of(events, 1)
        await magnet.do("DELETE", "/v1/api-keys/auditor", X_API_Key=admin)
        await magnet.do("PATCH", "/v1/prompts/p", {"text": "b"}, X_API_Key=admin)
        assert await rest_of(events) == []


async def test_the_local_administrators_stream_ends_with_the_first_key(magnet: Running):
    async with consuming(magnet) as events:
        await key_of(magnet, "admin", "admin")
        assert await rest_of(events) == []


async def test_a_server_that_stops_ends_streams_and_waiting_requests_at_once(database: Database, tmp_path: Path):
    async with (
        asyncio.timeout(PATIENCE),
        httpx.AsyncClient(timeout=30, trust_env=False) as client,
        asyncio.TaskGroup() as group,
    ):
        async with serving(database, tmp_path) as magnet:
            await write_prompts(database.app_dsn, 1)
            waiting = group.create_task(client.get(f"{magnet.url}/v1/events?after=1&wait=60"))
            streamed = group.create_task(client.get(f"{magnet.url}/v1/events/stream"))
            async with asyncio.timeout(PATIENCE):
                while followed(magnet) != [1, 1]:
                    await asyncio.sleep(0)
        assert (await waiting).json()["items"] == []
        assert (await streamed).text.count("data: ") == 1


async def test_waiting_for_events_answers_as_soon_as_there_is_one(magnet: Running):
    async def ask(query: str) -> Any:
        answer = await magnet.client.get(f"/v1/events?{query}")
        assert answer.status_code == 200, answer.text
        return answer

    async with asyncio.timeout(PATIENCE):
        waiting = asyncio.create_task(ask("after=0&wait=60&type=prompt.text_changed"))
        await magnet.do("POST", "/v1/prompts", {"name": "p", "text": "a"})
        await magnet.do("PATCH", "/v1/prompts/p", {"text": "b"})
        answer = await waiting
    assert [item["position"] for item in answer.json()["items"]] == [2]
    assert answer.headers["magnet-position"] == "2"
    empty = await ask("after=2&wait=1&kind=model")
    assert (empty.json()["items"], empty.headers["magnet-position"]) == ([], "2")
    assert (await magnet.client.get("/v1/events?wait=61")).status_code == 422
