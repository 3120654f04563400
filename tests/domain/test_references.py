"""What references stand for."""

from domain.references import _named, identify


def test_a_kind_of_any_length_that_a_client_names_is_not_kept():
    kind = "k" * 1_000_000
    before = _named.cache_info().currsize
    assert len({identify(kind, "a"), identify(kind, "a"), identify(kind, "b")}) == 2
    assert _named.cache_info().currsize == before
