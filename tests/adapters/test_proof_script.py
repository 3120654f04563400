"""The script that checks proofs alone: it takes every proof that holds, in trees of every shape, and no other."""

import base64
import json
import runpy
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from adapters.evidence.notes import Signer
from adapters.evidence.proofs import encoded
from domain.merkle import Range, consistency_ranges, inclusion_ranges, leaf, root_of

SCRIPT = str(Path(__file__).parents[2] / "docs" / "verify_proof.py")
SIGNER = Signer(bytes(32), "test")
SIZES = range(1, 18)
RECORDS = [bytes(12) + (number + 1).to_bytes(8) + b"what happened" for number in range(SIZES[-1])]
LEAVES = [leaf(sha256(record).digest()) for record in RECORDS]
NOTES = {size: SIGNER.sign(size, root_of(LEAVES[:size])) for size in SIZES}
Told = dict[str, Any]


def roots(ranges: list[Range]) -> list[str]:
    return [encoded(root_of(LEAVES[begin:end])) for begin, end in ranges]


def inclusion(position: int, size: int) -> Told:
    return {
        "position": position,
        "record": encoded(RECORDS[position - 1]),
        "proof": roots(inclusion_ranges(position - 1, size)),
        "checkpoint": NOTES[size],
    }


def consistency(first: int, second: int) -> Told:
    return {"proof": roots(consistency_ranges(first, second)), "checkpoints": [NOTES[first], NOTES[second]]}


@pytest.fixture
def holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Give what runs the script in this process: it is run some hundred times."""
    file = tmp_path / "proof.json"
    monkeypatch.setattr(sys, "argv", [SCRIPT, str(file), encoded(SIGNER.public_key)])

    def run(proof: Told) -> bool:
        file.write_text(json.dumps(proof))
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(SCRIPT, run_name="__main__")
        assert ("NOT" in capsys.readouterr().out) == bool(ended.value.code)
        return not ended.value.code

    return run


def test_it_takes_whatever_is_proven_in_trees_of_every_shape(holds: Any):
    for size in SIZES:
        for earlier in range(1, size + 1):
            assert holds(inclusion(earlier, size)), (earlier, size)
            assert holds(consistency(earlier, size)), (earlier, size)


def test_it_takes_nothing_else(holds: Any):
    fork = SIGNER.sign(9, root_of([*LEAVES[:3], leaf(b"forged"), *LEAVES[4:9]]))
    for size in SIZES:
        grown = consistency(size, 13) if size < 13 else consistency(13, size)
        assert not holds(grown | {"checkpoints": grown["checkpoints"][::-1]}) or size == 13
        assert not holds(grown | {"proof": [*grown["proof"], encoded(bytes(32))]})
        assert not holds(grown | {"proof": grown["proof"][1:]}) or not grown["proof"]
        assert not holds(grown | {"proof": []}) or size == 13
        older = min(size, 9)
        assert not holds(consistency(older, 9) | {"checkpoints": [NOTES[older], fork]})
        contained = inclusion(size, 17)
        assert not holds(contained | {"position": size + 1})
        assert not holds(contained | {"record": encoded(RECORDS[size - 1] + b"!")})
        assert not holds(contained | {"proof": contained["proof"][:-1]})
        assert not holds(contained | {"proof": [*contained["proof"], encoded(bytes(32))]})


def test_it_takes_no_note_of_another_key(holds: Any):
    forged = Signer(b"x" * 32, "test").sign(5, base64.b64decode(NOTES[5].split("\n")[2]))
    with pytest.raises(InvalidSignature):
        holds(inclusion(2, 5) | {"checkpoint": forged})
