"""The systems: how each is started on loopback, and the requests that create, change and read a prompt.

Each is used in the way that is best for it: as few requests as its API allows (its own client sends
more), the storage that it comes with, one worker process.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.http_load import request

READY_WITHIN = 180.0
"""Seconds; the first start of some makes a database and loads a great deal."""

Make = Callable[[str, int], bytes]
"""Takes a prompt's name and a number that no other request has; returns a request."""

TEXT = "Hello, {{ name }}. This is number %d."


@dataclass(frozen=True, kw_only=True)
class System:
    """One system; a step that takes several requests has several, one after the other."""

    name: str
    command: Callable[[Path, Path, int], Sequence[str]]
    ready: str
    create: Sequence[Make]
    update: Sequence[Make]
    get: Sequence[Make]
    environment: Mapping[str, str] = field(default_factory=dict)


def posted(path: str, body: object, method: str = "POST") -> bytes:
    """Return the bytes of a request with a JSON body."""
    return request(method, path, json.dumps(body).encode())


def phoenix_version(number: int) -> dict[str, object]:
    """Return the least that Phoenix takes for a version."""
    return {
        "model_provider": "OPENAI",
        "model_name": "gpt-4o",
        "template": {"type": "chat", "messages": [{"role": "user", "content": TEXT % number}]},
        "template_type": "CHAT",
        "template_format": "MUSTACHE",
        "invocation_parameters": {"type": "openai", "openai": {}},
    }


def mlflow_version(name: str, number: int) -> bytes:
    """Return the request by which MLflow's client stores a version of a prompt."""
    tags = {"mlflow.prompt.is_prompt": "true", "mlflow.prompt.text": TEXT % number, "_mlflow_prompt_type": "text"}
    return posted(
        "/api/2.0/mlflow/model-versions/create",
        {
            "name": name,
            "source": "dummy-source",
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        },
    )


MAGNET = System(
    name="Magnet",
    command=lambda _, _home, port: [sys.executable, "-m", "api.cli", "serve", "--port", str(port)],
    ready="/health/ready",
    create=[lambda name, number: posted("/v1/prompts", {"name": name, "text": TEXT % number})],
    update=[lambda name, number: posted(f"/v1/prompts/{name}", {"text": TEXT % number}, "PATCH")],
    get=[lambda name, _: request("GET", f"/v1/prompts/{name}")],
    environment={"LOG_LEVEL": "ERROR"},
)

MLFLOW = System(
    name="MLflow",
    command=lambda environment, home, port: [
        str(environment / "bin" / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--artifacts-destination", str(home / "artifacts"),
    ],
    ready="/health",
    create=[
        lambda name, _: posted(
            "/api/2.0/mlflow/registered-models/create",
            {"name": name, "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]},
        ),
        mlflow_version,
    ],
    update=[mlflow_version],
    get=[
        lambda name, _: request(
            "GET", f"/api/2.0/mlflow/model-versions/get?{urlencode({'name': name, 'version': 1})}"
        )
    ],
    environment={"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
)  # fmt: skip

PHOENIX = System(
    name="Phoenix",
    command=lambda environment, _home, _port: [str(environment / "bin" / "phoenix"), "serve"],
    ready="/healthz",
    create=[lambda name, number: posted("/v1/prompts", {"prompt": {"name": name}, "version": phoenix_version(number)})],
    update=[lambda name, number: posted(f"/v1/prompts/{name}/versions", {"version": phoenix_version(number)})],
    get=[lambda name, _: request("GET", f"/v1/prompts/{name}/latest")],
    environment={"PHOENIX_HOST": "127.0.0.1", "PHOENIX_TELEMETRY_ENABLED": "false"},
)


@contextmanager
def running(system: System, environment: Path, home: Path) -> Iterator[int]:
    """Run a system on a free port of loopback while the block lasts; give the port."""
    home.mkdir(parents=True)
    port, other = free_port(), free_port()
    settings = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ},
        "MAGNET_HOME": str(home),
        "PHOENIX_WORKING_DIR": str(home),
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(other),
        **system.environment,
    }
    with (home / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            system.command(environment, home, port), env=settings, cwd=Path.cwd(), stdin=subprocess.DEVNULL,
            stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
        try:
            wait_until_ready(process, port, system.ready, home / "said.txt")
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its own group: workers that it has left behind


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int, path: str, said: Path) -> None:
    """Return once the system answers, or raise RuntimeError with what it said."""
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                connection.close()
                return
        time.sleep(0.2)
    raise RuntimeError(f"It did not come up; it said:\n{said.read_text('utf-8', 'replace')[-4000:]}")


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
