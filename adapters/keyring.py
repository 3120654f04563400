"""The installation's key: seals what is stored secretly, and derives every other key from one."""

import base64
import binascii
import fcntl
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID_BYTES = 4
VERSION = b"\x01"
HEADER_BYTES = len(VERSION) + KEY_ID_BYTES
FILE = "secret.key"
SECRETS = "secrets"
"""The purpose under which `Keyring.seal` seals where no other is given."""


class SealBroken(Exception):
    """What was sealed can't be opened: it was changed, belongs elsewhere, or was sealed with another key."""


class WrongKey(Exception):
    """SECRET_ENCRYPTION_KEY or the key file is no key: 32 bytes as base64, or 64 hexadecimal digits."""


class Sealer:
    """Seals and opens bytes for one purpose, with AES-256-GCM.

    Sealed bytes are: version (1), key id (4), nonce (12), ciphertext and tag (16 longer than the text).
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._header = VERSION + sha256(b"magnet key id" + key).digest()[:KEY_ID_BYTES]

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """Return the sealed bytes, which open only with the same `aad`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return self._header + nonce + self._cipher.encrypt(nonce, plaintext, self._header + aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Return what was sealed with this `aad`, or raise SealBroken."""
        header, nonce, text = parted(sealed)
        if header != self._header:
            raise SealBroken
        try:
            return self._cipher.decrypt(nonce, text, header + aad)
        except InvalidTag:
            raise SealBroken from None

    def __repr__(self) -> str:
        return "Sealer(...)"


class Keyring:
    """The installation's key and what is derived from it; its text form never shows a key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise WrongKey
        self._root = key
        self._derived: dict[str, bytes] = {}
        self._sealers: dict[str, Sealer] = {}

    @classmethod
    def load(cls, home: Path, configured: str | None) -> "Keyring":
        """Return the configured key, else the one in `home`, which is made there once; or raise WrongKey.

        Many processes may do this at once: all get the same key.
        """
        if configured is not None and configured.strip():
            return cls(parsed(configured))
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(home):
            path = home / FILE
            if not path.exists():
                write(path, secrets.token_bytes(KEY_BYTES).hex())
            return cls(parsed(path.read_text("utf-8", "replace")))

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits by which a key is known, from which nothing of it can be told."""
        return self.derive("fingerprint").hex()[:16]

    def derive(self, purpose: str) -> bytes:
        """Return the key of 32 bytes for this purpose alone."""
        if purpose not in self._derived:
            info = b"magnet/1/" + purpose.encode()
            self._derived[purpose] = HKDF(SHA256(), KEY_BYTES, None, info).derive(self._root)
        return self._derived[purpose]

    def sealer(self, purpose: str) -> Sealer:
        """Return what seals for this purpose alone."""
        if purpose not in self._sealers:
            self._sealers[purpose] = Sealer(self.derive(f"seal/{purpose}"))
        return self._sealers[purpose]

    def seal(self, plaintext: bytes, aad: bytes, *, purpose: str = SECRETS) -> bytes:
        """Return the sealed bytes, which open only with the same `aad` and purpose."""
        return self.sealer(purpose).seal(plaintext, aad)

    def open(self, sealed: bytes, aad: bytes, *, purpose: str = SECRETS) -> bytes:
        """Return what was sealed, or raise SealBroken."""
        return self.sealer(purpose).open(sealed, aad)

    def mac(self, purpose: str, data: bytes) -> bytes:
        """Return a keyed hash of the data (HMAC-SHA256), with a key of this purpose alone."""
        return hmac.digest(self.derive(f"mac/{purpose}"), data, "sha256")

    def __repr__(self) -> str:
        return f"Keyring({self.fingerprint})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("A keyring is never written anywhere.")


def parted(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    """Return header, nonce and ciphertext of sealed bytes, or raise SealBroken."""
    start = HEADER_BYTES + NONCE_BYTES
    if len(sealed) < start + 16:
        raise SealBroken
    return sealed[:HEADER_BYTES], sealed[HEADER_BYTES:start], sealed[start:]


def parsed(text: str) -> bytes:
    """Return the 32 bytes that a key's text stands for, or raise WrongKey."""
    text = "".join(text.split())
    try:
        if len(text) == 2 * KEY_BYTES:
            return bytes.fromhex(text)
        plain = text.rstrip("=").translate(str.maketrans("-_", "+/"))
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise WrongKey from None
    if len(key) != KEY_BYTES:
        raise WrongKey
    return key


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory against all other processes."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write(path: Path, text: str) -> None:
    """Write a file that only its owner may read: whole or not at all, also when power fails."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
