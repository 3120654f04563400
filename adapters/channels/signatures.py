"""Signatures of what comes in: Slack's (`v0`), and those of Standard Webhooks (`v1`); both with their time."""

import hashlib
import hmac
from collections.abc import Mapping

from adapters.webhooks.sending import signature_of
from commands.channels.channels import BadSignature
from commands.webhook import signing_key

TOLERANCE = 300
"""Seconds that a signature's time may differ from ours."""


def must_be_slacks(headers: Mapping[str, str], body: bytes, secret: str | None, now: float) -> None:
    """Raise BadSignature unless Slack signed this body, not long ago."""
    timestamp = headers.get("x-slack-request-timestamp", "")
    _must_be_recent(timestamp, now)
    mac = hmac.new((secret or "").encode(), b"v0:%b:%b" % (timestamp.encode(), body), hashlib.sha256).hexdigest()
    given = headers.get("x-slack-signature", "")
    if secret is None or not hmac.compare_digest(f"v0={mac}".encode(), given.encode()):
        raise BadSignature


def must_be_signed(headers: Mapping[str, str], body: bytes, secret: str | None, now: float) -> str:
    """Return the id of what was signed with a secret, not long ago; raise BadSignature otherwise."""
    timestamp, id = headers.get("webhook-timestamp", ""), headers.get("webhook-id", "")
    _must_be_recent(timestamp, now)
    expected = signature_of(signing_key(secret or ""), id, int(timestamp), body)
    given = headers.get("webhook-signature", "").split(" ")
    right = [hmac.compare_digest(expected.encode(), each.encode()) for each in given[:10]]
    if secret is None or not id or not any(right):
        raise BadSignature
    return id


def _must_be_recent(timestamp: str, now: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        raise BadSignature
    if abs(now - int(timestamp)) > TOLERANCE:
        raise BadSignature
