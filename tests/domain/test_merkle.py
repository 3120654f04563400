"""Merkle trees: known values, and proofs against a plain recursive definition."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.merkle import (
    EMPTY,
    bagged,
    consistency_ranges,
    consistent,
    includes,
    inclusion_ranges,
    leaf,
    node,
    peaks,
    root_of,
)

INPUTS = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
"""The inputs that implementations of Certificate Transparency are tested with."""

ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
}


def leaves(size: int) -> list[bytes]:
    return [leaf(sha256(str(number).encode()).digest()) for number in range(size)]


def plainly(hashes: list[bytes]) -> bytes:
    """The definition itself (RFC 9162, 2.1.1)."""
    if not hashes:
        return EMPTY
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    return node(plainly(hashes[:half]), plainly(hashes[half:]))


@pytest.mark.parametrize("size", ROOTS)
def test_roots_are_those_that_everybody_gets(size: int):
    assert root_of([leaf(each) for each in INPUTS[:size]]).hex() == ROOTS[size]


@given(st.integers(0, 700))
def test_a_root_is_what_the_definition_says_also_from_its_peaks(size: int):
    hashes = leaves(size)
    assert root_of(hashes) == plainly(hashes)
    assert bagged([plainly(hashes[start:end]) for start, end in peaks(0, size)]) == plainly(hashes)


@given(st.integers(1, 300).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_every_leaf_can_be_proved_and_no_other_in_its_place(case: tuple[int, int]):
    size, index = case
    hashes = leaves(size)
    proof = [plainly(hashes[start:end]) for start, end in inclusion_ranges(index, size)]
    assert includes(hashes[index], index, size, proof, plainly(hashes))
    assert not includes(leaf(b"another"), index, size, proof, plainly(hashes))
    if size > 1:
        assert not includes(hashes[index], (index + 1) % size, size, proof, plainly(hashes))
        assert not includes(hashes[index], index, size, proof[:-1], plainly(hashes))


@given(st.integers(1, 300).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size))))
def test_a_tree_is_shown_to_begin_a_later_one_and_a_changed_one_is_not(case: tuple[int, int]):
    second, first = case
    hashes = leaves(second)
    proof = [plainly(hashes[start:end]) for start, end in consistency_ranges(first, second)]
    old, new = plainly(hashes[:first]), plainly(hashes)
    assert consistent(first, second, old, new, proof)
    forged = plainly([leaf(b"another"), *hashes[1:first]])
    assert not consistent(first, second, forged, new, proof)
    assert not consistent(first, second, old, plainly([leaf(b"another"), *hashes[1:]]), proof)
