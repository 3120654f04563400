"""The model server as a process of its own, for benchmarks: prints its base URL and serves until stdin ends."""

import argparse
import sys

from tests.support.model_server.server import ModelServer


def main() -> None:
    """Serve until nobody holds the other end of stdin."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--vectors", choices=["hash", "words"], default="hash")
    chosen = parser.parse_args()
    with ModelServer(port=chosen.port, dimensions=chosen.dimensions, vectors=chosen.vectors) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


main()
