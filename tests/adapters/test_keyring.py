"""The keyring: one key, found or made once; everything else is derived from it."""

import base64
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.keyring import FILE, Keyring, SealBroken, WrongKey

KEY = bytes(range(32))
ROOT = Path(__file__).resolve().parents[2]
LOADS = (
    "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from adapters.keyring import Keyring; "
    "sys.stdin.read(); print(Keyring.load(Path(sys.argv[2]), None).fingerprint)"
)


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(KEY)


@pytest.mark.parametrize(
    "configured",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.b64encode(KEY).decode().rstrip("="),
        base64.urlsafe_b64encode(KEY).decode(),
        f"  {KEY.hex()}\n",
    ],
)
def test_a_configured_key_may_be_written_as_base64_or_hexadecimal(
    configured: str, keyring: Keyring, tmp_path: Path
) -> None:
    assert Keyring.load(tmp_path, configured).fingerprint == keyring.fingerprint
    assert not list(tmp_path.iterdir())


def test_urlsafe_and_plain_base64_are_the_same_key(tmp_path: Path) -> None:
    key = b"\xfb\xff" * 16
    loaded = [Keyring.load(tmp_path, encode(key).decode()) for encode in (base64.b64encode, base64.urlsafe_b64encode)]
    assert {each.fingerprint for each in loaded} == {Keyring(key).fingerprint}


@pytest.mark.parametrize("configured", ["x", "secret" * 7, KEY[:31].hex(), KEY.hex() + "00", "zz" * 32, "é" * 43])
def test_a_key_that_is_none_is_refused_and_not_repeated(configured: str, tmp_path: Path) -> None:
    with pytest.raises(WrongKey) as raised:
        Keyring.load(tmp_path, configured)
    assert configured not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\xfe" * 16])
def test_a_broken_key_file_is_refused_and_kept(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(WrongKey):
        Keyring.load(tmp_path, None)
    assert (tmp_path / FILE).read_bytes() == content


@pytest.mark.parametrize("configured", [None, "", " "])
def test_with_no_key_configured_one_is_made_once_for_its_owner_only(configured: str | None, tmp_path: Path) -> None:
    home = tmp_path / "a" / "home"
    first = Keyring.load(home, configured)
    assert Keyring.load(home, configured).fingerprint == first.fingerprint
    assert [each.name for each in home.iterdir()] == [FILE]
    assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
    assert Keyring.load(tmp_path / "b", configured).fingerprint != first.fingerprint


def test_many_processes_at_once_make_one_key(tmp_path: Path) -> None:
    home = tmp_path / "home"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", LOADS, str(ROOT), str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    fingerprints = {process.communicate()[0] for process in running}
    assert fingerprints == {Keyring.load(home, None).fingerprint + "\n"}
    assert [each.name for each in home.iterdir()] == [FILE]


def test_what_was_sealed_opens_with_the_same_key_and_owner_only(keyring: Keyring) -> None:
    sealed = keyring.seal(b"secret", b"owner")
    assert b"secret" not in sealed
    assert Keyring(KEY).open(sealed, b"owner") == b"secret"
    for opener, owner in ((keyring, b"other"), (keyring, b""), (Keyring(bytes(32)), b"owner")):
        with pytest.raises(SealBroken):
            opener.open(sealed, owner)
    with pytest.raises(SealBroken):
        keyring.open(sealed, b"owner", purpose="answers")


def test_sealed_bytes_that_were_changed_anywhere_do_not_open(keyring: Keyring) -> None:
    sealed = keyring.seal(b"secret", b"owner")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealBroken):
            keyring.open(bytes(changed), b"owner")
        with pytest.raises(SealBroken):
            keyring.open(sealed[:place], b"owner")


def test_the_same_text_is_sealed_differently_each_time(keyring: Keyring) -> None:
    assert len({keyring.seal(b"", b"") for _ in range(100)}) == 100


def test_each_purpose_has_keys_of_its_own(keyring: Keyring) -> None:
    derived = [keyring.derive(purpose) for purpose in ("a", "b", "seal/a", "mac/a")]
    macs = [keyring.mac(purpose, b"data") for purpose in ("a", "b")]
    assert len({*derived, *macs, KEY}) == 7
    assert keyring.mac("a", b"data") == Keyring(KEY).mac("a", b"data") != keyring.mac("a", b"date")
    assert {len(each) for each in (*derived, *macs)} == {32}


def test_a_keyring_shows_its_fingerprint_and_never_its_key(keyring: Keyring) -> None:
    assert len(keyring.fingerprint) == 16
    assert keyring.fingerprint in repr(keyring)
    keyring.seal(b"", b"")
    shown = repr(keyring) + str(keyring) + repr(keyring.sealer("secrets")) + f"{keyring!a}"
    for key in (KEY, keyring.derive("seal/secrets")):
        assert key.hex() not in shown
        assert base64.b64encode(key).decode() not in shown
    with pytest.raises(TypeError):
        pickle.dumps(keyring)


def test_a_file_that_was_begun_and_never_finished_hurts_nothing(tmp_path: Path) -> None:
    (tmp_path / f".{FILE}.0000").write_text("half")
    assert Keyring.load(tmp_path, None).fingerprint == Keyring.load(tmp_path, None).fingerprint
    assert (tmp_path / FILE).stat().st_size == 65
