"""Check a proof of `magnet audit prove` or /v1/audit/proofs/... without Magnet: python verify_proof.py PROOF.json KEY.

KEY is the public key (base64) as you noted it when you began to trust the installation. Needs `cryptography`.
Formulas: RFC 9162, 2.1 (trees), C2SP signed-note (signatures), docs/decisions/0004 (what an event's hash is made of).
"""

import base64
import json
import sys
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def checkpoint(note, key):
    text, _, signatures = note.partition("\n\n")
    name, size, root, *_ = text.split("\n")
    line = next(each for each in signatures.splitlines() if each.split(" ")[1] == name)
    Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(line.split(" ")[-1])[4:], f"{text}\n".encode())
    return int(size), base64.b64decode(root)


def climb(place, last, path, old, new):
    for each in path:
        if place & 1 or place == last:
            old, new = sha256(b"\1" + each + old).digest(), sha256(b"\1" + each + new).digest()
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = sha256(b"\1" + new + each).digest()
        place, last = place >> 1, last >> 1
    return old, new, last


if len(sys.argv) != 3:
    sys.exit(__doc__)
proof, key = json.loads(Path(sys.argv[1]).read_text("utf-8")), base64.b64decode(sys.argv[2])
path = [base64.b64decode(each) for each in proof["proof"]]
if "record" in proof:
    record = base64.b64decode(proof["record"])
    size, root = checkpoint(proof["checkpoint"], key)
    leaf = sha256(b"\0" + sha256(record).digest()).digest()
    place = int.from_bytes(record[12:20], "big") - 1  # the record's first field is the event's position
    good = climb(place, size - 1, path, leaf, leaf)[1:] == (root, 0) and place + 1 == proof["position"]
else:
    (first, old), (second, new) = (checkpoint(note, key) for note in proof["checkpoints"])
    same = (first, old, path) == (second, new, [])
    path = [old, *path] if first & (first - 1) == 0 else path or [b""]
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    good = same or (first < second and climb(place, last, path[1:], path[0], path[0]) == (old, new, 0))
print("The proof holds." if good else "THE PROOF DOES NOT HOLD.")
sys.exit(not good)
