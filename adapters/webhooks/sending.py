"""One event on its way to a webhook: signed as Standard Webhooks has it, and what the other end answered."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpcore2
import orjson

from adapters.egress import Egress, EgressRefused, checked_pool
from adapters.retry_after import seconds_asked

SECONDS = 15.0
"""How long a delivery may take."""

READ = 4096
"""Bytes of an answer that are looked at; of the rest nobody wants to know."""

TIMEOUTS = {"connect": 5.0, "read": SECONDS, "write": SECONDS, "pool": SECONDS}
CONNECTIONS = 100


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What came of a delivery: `error` is None where it was taken; `wait` is what Retry-After asked for."""

    status: int | None
    error: str | None
    wait: float | None = None


class WebhookSender:
    """Sends events by connections that are kept."""

    def __init__(self, egress: Egress) -> None:
        self._pool = checked_pool(egress, connections=CONNECTIONS)

    async def send(self, url: str, key: bytes, event: Mapping[str, Any]) -> Sent:
        """Send an event in its public form."""
        body = orjson.dumps(event)
        headers = signed(key, str(event["id"]), int(time.time()), body)
        try:
            async with asyncio.timeout(SECONDS):
                return await self._post(url, headers, body)
        except TimeoutError:
            return Sent(status=None, error=f"It took longer than {SECONDS:g} s.")
        except EgressRefused as error:
            return Sent(status=None, error=str(error))
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, OSError) as error:
            return Sent(status=None, error=f"{type(error).__name__}: {error}".rstrip(": ")[:500])
        except (httpcore2.UnsupportedProtocol, ValueError) as error:
            return Sent(status=None, error=f"It can't be sent to this address: {error}"[:500])

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        async with self._pool.stream(
            "POST", url, headers=list(headers.items()), content=body, extensions={"timeout": TIMEOUTS}
        ) as answer:
            told, read = b"", 0
            async for piece in answer.aiter_stream():
                told = (told + piece)[:READ]
                read += len(piece)
                if read >= READ:
                    break
        if 200 <= answer.status < 300:
            return Sent(status=answer.status, error=None)
        return Sent(status=answer.status, error=f"It answered {answer.status}.", wait=retry_after(dict(answer.headers)))

    async def close(self) -> None:
        """Disconnect."""
        await self._pool.aclose()


def signed(key: bytes, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of a delivery; the signature is over id, time and body."""
    return {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "User-Agent": "Magnet-Webhooks/1",
        "Webhook-Id": id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": signature_of(key, id, timestamp, body),
    }


def signature_of(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of id, time and body."""
    content = b"%b.%d.%b" % (id.encode(), timestamp, body)
    return f"v1,{base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()}"


def retry_after(headers: Mapping[bytes, bytes]) -> float | None:
    """Return the seconds that an answer asks to be waited for."""
    return seconds_asked(
        next((value.decode("latin-1") for name, value in headers.items() if name.lower() == b"retry-after"), None)
    )
