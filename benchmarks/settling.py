"""Waiting until a server has nothing left to do but what is measured."""

import http.client
import json
import time


def settled(port: int) -> None:
    """Wait until no read model is behind."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/health/ready")
        found = json.loads(connection.getresponse().read())
        connection.close()
        if all(each["lag"] == 0 for each in found["projections"].values()):
            return
        time.sleep(0.1)
