"""Signed checkpoints as text: what a log was, vouched for by a key.

The form is that of C2SP's tlog-checkpoint and signed-note (Ed25519), so that other tools read them too:

    magnet/<installation id>
    <number of events>
    <root, base64>
    <time, RFC 3339>

    — magnet/<installation id> <key hash and signature, base64>
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ED25519 = b"\x01"
DASH = "\u2014"


class BadNote(Exception):
    """This is no checkpoint, or this installation's key did not sign it."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What is vouched for: the first `size` events have this root."""

    origin: str
    size: int
    root: bytes
    time: str


class Signer:
    """Signs and checks checkpoints of one installation, with a key that is not in the database."""

    def __init__(self, seed: bytes, installation: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.origin = f"magnet/{installation}"
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, size: int, root: bytes) -> str:
        """Return the signed note for a tree, as of now."""
        time = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        text = f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n{time}\n"
        signature = key_hash(self.origin, self.public_key) + self._key.sign(text.encode())
        return f"{text}\n{DASH} {self.origin} {base64.b64encode(signature).decode()}\n"

    def read(self, note: str) -> Checkpoint:
        """Return what a note vouches for, or raise BadNote."""
        return read(note, self.origin, self.public_key)


def key_hash(name: str, public_key: bytes) -> bytes:
    """Return the 4 bytes by which a note names its key."""
    return sha256(name.encode() + b"\n" + ED25519 + public_key).digest()[:4]


def read(note: str, origin: str, public_key: bytes) -> Checkpoint:
    """Return what a note vouches for, or raise BadNote."""
    text, gap, signatures = note.partition("\n\n")
    lines = text.split("\n")
    if not gap or len(lines) < 4 or lines[0] != origin or not lines[1].isdecimal():
        raise BadNote
    signed = f"{text}\n".encode()
    for line in signatures.splitlines():
        name, _, encoded = line.removeprefix(f"{DASH} ").rpartition(" ")
        try:
            signature = base64.b64decode(encoded, validate=True)
            if name != origin or signature[:4] != key_hash(origin, public_key):
                continue
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature[4:], signed)
            root = base64.b64decode(lines[2], validate=True)
        except (binascii.Error, ValueError, InvalidSignature):
            continue
        if len(root) == 32:
            return Checkpoint(origin=lines[0], size=int(lines[1]), root=root, time=lines[3])
    raise BadNote


def notes_in(text: str) -> list[str]:
    """Return the notes of a file: each ends with the empty line after its signatures."""
    found: list[str] = []
    lines: list[str] = []
    for line in text.splitlines():
        if line or lines:  # an empty line before a note only sets it apart
            lines.append(line)
        if line.startswith(DASH):
            found.append("\n".join(lines) + "\n")
            lines = []
    return found
