"""Serves a broker on 127.0.0.1:9092 until it is interrupted: `make kafka`."""

import contextlib
import signal
from pathlib import Path

from tests.support.kafka import some_broker


def main() -> None:
    """Serve."""
    broker = some_broker(Path(".kafka").absolute(), 9092)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), broker:
        print(f"{broker.name} listens on {broker.servers}; set KAFKA_BOOTSTRAP_SERVERS={broker.servers}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
