"""Prices: exact money, and never zero where the price is unknown."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from domain.pricing import Cost, Price, Usage, cost, price_at, total_cost

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


@given(st.lists(st.integers(0, 10**11), max_size=30), st.from_regex(r"\A[1-9]\d{0,8}\.\d{1,9}\Z"))
def test_a_sum_of_costs_is_the_cost_of_the_sum_to_the_last_digit(counts: list[int], rate: str):
    price = Price(input=rate)
    summed = total_cost([cost(Usage(input=count), price) for count in counts])
    assert Fraction(summed.amount) == Fraction(rate) * sum(counts) / 10**6


def test_what_cost_nothing_has_no_say_in_the_currency():
    nothing = Cost(amount=Decimal(0), currency="USD", unknown=False)
    paid = Cost(amount=Decimal("0.5"), currency="EUR", unknown=False)
    assert total_cost([nothing, paid]) == paid
    assert total_cost([nothing]) == nothing
    assert total_cost([]) == Cost(amount=Decimal(0), currency=None, unknown=False)
    dollars = Cost(amount=Decimal(1), currency="USD", unknown=False)
    assert total_cost([dollars, paid]) == Cost(amount=Decimal(1), currency="USD", unknown=True)
