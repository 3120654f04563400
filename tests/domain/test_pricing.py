"""Prices: exact money, and never zero where the price is unknown."""

from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.pricing import Price, Usage, cost, price_at

PRICE = Price(valid_from="2026-01-01", input="2.50", cached_input="1.25", output="10", reasoning="10")


def test_the_price_of_the_day_counts():
    newer = Price(valid_from="2026-06-01", input="1")
    assert price_at([newer, PRICE], date(2026, 5, 31)) == PRICE
    assert price_at([newer, PRICE], date(2026, 6, 1)) == newer
    assert price_at([newer, PRICE], date(2025, 12, 31)) is None


def test_a_cost_is_exact():
    used = Usage(input=1_000, cache_read=3, output=7)
    assert cost(used, PRICE).amount == Decimal("0.00257375")
    assert not cost(used, PRICE).unknown


def test_a_price_that_is_not_known_is_marked_and_never_taken_for_zero():
    assert cost(Usage(input=1, cache_write=1), PRICE).unknown
    assert cost(Usage(input=1), None).unknown
    assert not cost(Usage(), None).unknown
    assert not cost(Usage(cache_write=1), Price(cache_write="0")).unknown


@given(st.lists(st.integers(0, 10**9), min_size=5, max_size=5))
def test_counters_are_disjoint_and_sum_up(counts: list[int]):
    used = Usage(input=counts[0], cache_read=counts[1], cache_write=counts[2], output=counts[3], reasoning=counts[4])
    assert used.total == sum(counts)
