"""Prices and cost: what a call's tokens cost, exactly, with the price of that day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal, localcontext
from typing import Annotated

from pydantic import Field, StringConstraints

from domain.definition import Strict

PER = Decimal(1_000_000)
"""Prices are per this many tokens."""

EXACT = Context(prec=100)
"""More digits than any count of tokens times any price has: nothing is ever rounded."""

Amount = Annotated[str, StringConstraints(pattern=r"^(0|[1-9]\d{0,8})(\.\d{1,9})?$")]
"""A price as decimal text: no float ever touches money."""


Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Money(Strict):
    """An amount of a currency."""

    amount: Amount
    currency: Currency = "USD"


class Price(Strict):
    """Prices per 1,000,000 tokens from a date on; null = unknown, "0" = free."""

    valid_from: str = Field("1970-01-01", pattern=r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")
    currency: Currency = "USD"
    input: Amount | None = Field(None, description="Fresh input.")
    cached_input: Amount | None = Field(None, description="Input read from the provider's cache.")
    cache_write: Amount | None = Field(None, description="Input written to the provider's cache.")
    output: Amount | None = None
    reasoning: Amount | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Token counters, disjoint: no token is in two of them."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    estimated: bool = False

    @property
    def total(self) -> int:
        """All tokens."""
        return self.input + self.cache_read + self.cache_write + self.output + self.reasoning


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Money for one call; `unknown` when a token was counted whose price is not known."""

    amount: Decimal
    currency: str | None
    unknown: bool


def price_at(prices: Sequence[Price], day: date) -> Price | None:
    """Return the newest price that is valid on that day."""
    valid = [price for price in prices if price.valid_from <= day.isoformat()]
    return max(valid, key=lambda price: price.valid_from, default=None)


def cost(usage: Usage, price: Price | None) -> Cost:
    """Return what the usage costs; the amount sums what is known, and says whether that is all."""
    if price is None:
        return Cost(amount=Decimal(0), currency=None, unknown=usage.total > 0)
    counted = (
        (usage.input, price.input),
        (usage.cache_read, price.cached_input),
        (usage.cache_write, price.cache_write),
        (usage.output, price.output),
        (usage.reasoning, price.reasoning),
    )
    with localcontext(EXACT):
        amount = sum((tokens * Decimal(rate) / PER for tokens, rate in counted if rate is not None), Decimal(0))
    return Cost(
        amount=amount,
        currency=price.currency,
        unknown=any(tokens and rate is None for tokens, rate in counted),
    )


def total_usage(usages: Sequence[Usage]) -> Usage:
    """Return the sum; estimated where a part is."""
    return Usage(
        input=sum(usage.input for usage in usages),
        cache_read=sum(usage.cache_read for usage in usages),
        cache_write=sum(usage.cache_write for usage in usages),
        output=sum(usage.output for usage in usages),
        reasoning=sum(usage.reasoning for usage in usages),
        estimated=any(usage.estimated for usage in usages),
    )


def total_cost(costs: Sequence[Cost]) -> Cost:
    """Return the sum in the first currency that something was paid in; what is in another one makes it unknown."""
    paid = [cost for cost in costs if cost.amount or cost.unknown] or costs
    currency = next((cost.currency for cost in paid if cost.currency is not None), None)
    with localcontext(EXACT):
        return Cost(
            amount=sum((cost.amount for cost in paid if cost.currency in (None, currency)), Decimal(0)),
            currency=currency,
            unknown=any(cost.unknown or cost.currency not in (None, currency) for cost in paid),
        )
