"""A model provider on loopback for tests and benchmarks: OpenAI's wire format, scripted, with every fault.

    with ModelServer() as server:
        server.script(Reply(text="Hello there"), rate_limited(retry_after="1"))
        ...  # a provider with base_url=server.url
        assert server.requests[0].credential == "sk-test"

What is not scripted is echoed. As a process of its own: `python -m tests.support.model_server`.
"""

from tests.support.model_server.records import Received
from tests.support.model_server.server import ModelServer
from tests.support.model_server.steps import (
    FAULTS,
    Gate,
    Hang,
    Raw,
    Reply,
    Reset,
    Step,
    ToolCalled,
    answered,
    bad_json,
    html,
    insufficient_quota,
    long_line,
    rate_limited,
    refused,
    server_error,
    stream_of,
    wrong_types,
)

__all__ = [
    "FAULTS",
    "Gate",
    "Hang",
    "ModelServer",
    "Raw",
    "Received",
    "Reply",
    "Reset",
    "Step",
    "ToolCalled",
    "answered",
    "bad_json",
    "html",
    "insufficient_quota",
    "long_line",
    "rate_limited",
    "refused",
    "server_error",
    "stream_of",
    "wrong_types",
]
