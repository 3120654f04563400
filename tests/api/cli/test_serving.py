"""`magnet serve`, `worker` and `demo` as real processes."""

import signal
import subprocess
import sys
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from typing import Any

import httpx2
import psutil

from tests.api.cli.conftest import LIMIT, Magnet, Running

ENDED_WHEN_READY = """
import os, signal
from api import serve
from api.settings import Settings

class Told(serve.Server):
    async def shutdown(self, sockets=None):
        await super().shutdown(sockets)
        print("drained", flush=True)

serve.Server = Told
signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the command line does
print(serve.serve(Settings(), ready=lambda port: os.kill(os.getpid(), signal.SIGTERM)))
"""
"""A server that is told to end by whoever hears first that it is ready."""


def servers_in(magnet: Magnet) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(magnet.home / "postgres" / "data") in (process.info["cmdline"] or [])
    ]


def test_a_part_of_the_demo_runs_twice_and_its_data_are_served_until_sigterm_stops_all(embedded):
    first, second = embedded.ok("demo", "--only", "prompts"), embedded.ok("demo", "--only", "prompts", "--json")
    for told in ("POST /v1/prompts", "/diff?from=1&to=2", "/publish", "/rollback", "as_of=", "/history", "/docs"):
        assert told in first.out
    assert "Traceback" not in first.err
    assert {step["status"] for step in second.json["steps"]} <= {200, 201}
    assert servers_in(embedded) == []
    with embedded.running("serve") as server:
        assert servers_in(embedded)
        assert str(embedded.home) in server.said and "/docs" in server.said
        with httpx2.Client(base_url=server.url, trust_env=False) as client:
            names = {item["name"] for item in client.get("/v1/prompts").json()["items"]}
            assert names == {"support-reply", "support-reply-2"}
            assert client.get("/docs").status_code == 200
        assert embedded.ok("events", "--json", "--limit", "1").lines[0]["position"] == 1, "joins the running server"
        assert servers_in(embedded)
        assert server.end() == 0
    assert servers_in(embedded) == []
    with embedded.running("events", "--follow") as following:
        assert servers_in(embedded)
        assert following.end() == 0
    assert servers_in(embedded) == []


def test_ctrl_c_ends_a_server_in_order(magnet):
    with magnet.running("serve", "--port", "0") as server:
        assert server.end(signal.SIGINT) == 0


def test_a_server_that_is_ended_as_soon_as_it_is_ready_drains_like_any_other(magnet):
    ended = subprocess.run(
        [sys.executable, "-c", ENDED_WHEN_READY], cwd=magnet.home.parent, env=magnet.environment,
        capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout.split()) == (0, ["drained", "0"]), ended.stderr


def test_one_side_alone_serves_only_its_routes(magnet):
    with (
        magnet.running("serve", "--side", "queries") as server,
        httpx2.Client(base_url=server.url, trust_env=False) as client,
    ):
        assert client.post("/v1/prompts", json={"name": "a", "text": "x"}).status_code in (404, 405)
        assert client.get("/v1/events").status_code == 200
    with (
        magnet.running("serve", "--side", "commands") as server,
        httpx2.Client(base_url=server.url, trust_env=False) as client,
    ):
        assert client.post("/v1/prompts", json={"name": "a", "text": "x"}).status_code == 201
        for path in ("/v1/prompts", "/v1/prompts/a", "/v1/events"):
            assert client.get(path).status_code in (404, 405)
        assert client.post("/v1/prompts:preview", json={"prompt": "a"}).status_code in (404, 405)
        assert client.get("/health/ready").status_code == client.get("/metrics").status_code == 200


def test_another_address_than_loopback_needs_a_key_first(magnet):
    refused = magnet("serve", "--host", "0.0.0.0")
    assert refused.status == 1 and "magnet keys create" in refused.err and "Traceback" not in refused.err


def test_a_killed_worker_is_replaced_by_the_next_one(magnet):
    with (
        magnet.running("serve", "--no-worker") as server,
        httpx2.Client(base_url=server.url, trust_env=False) as client,
    ):
        with magnet.running("worker") as worker:
            first = client.post("/v1/prompts", json={"name": "one", "text": "x"}).json()["position"]
            seen = client.get("/v1/prompts/one", headers={"Magnet-Min-Position": str(first)})
            while seen.status_code == 503:
                seen = client.get("/v1/prompts/one", headers={"Magnet-Min-Position": str(first)})
            assert seen.status_code == 200
            worker.end(signal.SIGKILL)
        second = client.post("/v1/prompts", json={"name": "two", "text": "x"}).json()["position"]
        with magnet.running("worker") as worker:
            seen = client.get("/v1/prompts/two", headers={"Magnet-Min-Position": str(second)})
            while seen.status_code == 503:
                seen = client.get("/v1/prompts/two", headers={"Magnet-Min-Position": str(second)})
            assert seen.status_code == 200
            assert worker.end() == 0


def test_several_processes_serve_one_port_and_end_together(magnet):
    with magnet.running("serve", MAGNET_WORKERS="2") as server:
        children = psutil.Process(server.process.pid).children()
        assert len(children) == 2
        receipts = [create(server.url, f"p{number}") for number in range(40)]
        assert sorted(receipt["position"] for receipt in receipts) == list(range(1, 41))
        for number, receipt in enumerate(receipts):  # each by a connection of its own: any process answers
            with httpx2.Client(base_url=server.url, trust_env=False) as client:
                seen = client.get(f"/v1/prompts/p{number}", headers={"Magnet-Min-Position": str(receipt["position"])})
                assert seen.status_code == 200
        assert server.end() == 0
        assert not any(child.is_running() for child in children)


def test_several_processes_tell_one_sum_of_metrics_whichever_answers(magnet):
    (magnet.home / "metrics" / "left").mkdir(parents=True)
    with magnet.running("serve", MAGNET_WORKERS="2") as server, ExitStack() as opened:
        one, other = connections_by_process(server, opened)
        for connection, times in ((one, 5), (other, 3)):
            for _ in range(times):
                assert answered(connection, "/v1/prompts")
            answered(connection, "/health/live")  # what came before is counted by now
        for connection in (one, other):
            told = answered(connection, "/metrics").splitlines()
            assert 'magnet_http_requests_total{method="GET",route="/v1/prompts",status="200"} 8.0' in told
            assert 'magnet_http_request_seconds_count{method="GET",route="/v1/prompts"} 8.0' in told
            assert "magnet_log_position 0.0" in told
            assert len([line for line in told if line.startswith("magnet_projection_lag{")]) > 1
            assert not any("pid=" in line for line in told)
        assert len(list((magnet.home / "metrics").iterdir())) == 1, "what a killed server left is removed"
        one.close()
        other.close()
        assert server.end() == 0
    assert list((magnet.home / "metrics").iterdir()) == []


def connections_by_process(server: Running, opened: ExitStack) -> list[HTTPConnection]:
    """Return a connection to each process that serves."""
    children = psutil.Process(server.process.pid).children()
    found: dict[int, HTTPConnection] = {}
    while len(found) < len(children):
        connection = opened.enter_context(closing(HTTPConnection(server.url.removeprefix("http://"), timeout=LIMIT)))
        answered(connection, "/health/live")
        port = connection.sock.getsockname()[1]
        [holder] = [
            child.pid
            for child in children
            if port in {each.raddr.port for each in child.net_connections() if each.raddr}
        ]
        if found.setdefault(holder, connection) is not connection:
            connection.close()
    return list(found.values())


def answered(connection: HTTPConnection, path: str) -> str:
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.read().decode()


def test_of_several_processes_one_that_dies_ends_all(magnet):
    with magnet.running("serve", MAGNET_WORKERS="2") as server:
        create(server.url, "a")
        children = psutil.Process(server.process.pid).children()
        children[0].kill()
        assert server.process.wait(LIMIT) == 1
        assert not any(child.is_running() for child in children)


def test_several_processes_end_with_the_one_that_began_them_also_where_that_is_killed(magnet):
    with magnet.running("serve", MAGNET_WORKERS="2") as server:
        children = psutil.Process(server.process.pid).children()
        server.process.kill()
        _, alive = psutil.wait_procs(children, LIMIT)
        assert alive == [], "the port is free for who begins it anew"


def create(url: str, name: str) -> Any:
    with httpx2.Client(base_url=url, trust_env=False, timeout=30) as client:
        return client.post("/v1/prompts", json={"name": name, "text": "x"}).raise_for_status().json()
