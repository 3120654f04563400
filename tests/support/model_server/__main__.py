"""The model server as a process of its own, for benchmarks: prints its base URL and serves until stdin ends.

What is asked is echoed, word by word; a question that ends with `fault:NAME` meets that fault. Where tools are
offered, the first of them, or with `--together` each, is called with what a person says (with nothing, where it takes nothing), and
few words are made of its result.
"""

import argparse
import sys
from dataclasses import replace

from tests.support.model_server.answers import echo
from tests.support.model_server.records import Received
from tests.support.model_server.server import ModelServer
from tests.support.model_server.steps import FAULTS, Hang, Raw, Reply, Reset, ToolCalled


def called(request: Received, *, together: bool) -> Reply | None:
    """Return what is said where tools are offered: a call, or one of each `together`; after its result some words."""
    tools = request.body.get("tools")
    if not tools:
        return None
    if request.body["messages"][-1]["role"] == "tool":
        return Reply(text="That is what was found [1].")
    calls = []
    for number, tool in enumerate(tools if together else tools[:1]):
        function = tool["function"]
        takes = function.get("parameters", {}).get("properties", {})  # one without parameters takes nothing
        arguments = dict.fromkeys(list(takes)[:1], request.question)
        calls.append(ToolCalled(name=function["name"], arguments=arguments, id=f"c{number}"))
    return Reply(tool_calls=calls)


def main() -> None:
    """Serve until nobody holds the other end of stdin."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--vectors", choices=["hash", "words"], default="hash")
    parser.add_argument("--between", type=float, default=0.0, help="seconds between the pieces of a stream")
    parser.add_argument("--together", action="store_true", help="call all tools that are offered at once")
    chosen = parser.parse_args()

    def answer(request: Received) -> Reply | Raw | Hang | Reset:
        _, _, fault = request.question.rpartition("fault:")
        step = FAULTS.get(fault) or replace(
            called(request, together=chosen.together) or echo(request), between=chosen.between
        )
        return step(request) if callable(step) else step

    with ModelServer(
        port=chosen.port, dimensions=chosen.dimensions, vectors=chosen.vectors, default=answer, remembers=False
    ) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
