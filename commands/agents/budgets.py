"""How much a turn may take: tokens and money, counted over all that is called in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from commands.models.model_calls import ModelLimitReached
from commands.runs.runs import Recording


class TurnLimitReached(ModelLimitReached):
    """The turn has taken as much as its agent's limit allows."""

    code = "turn_tokens_reached"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What may be taken by a recording from some time on; `tokens_before` and `cost_before` do not count.

    Money that was paid in another currency than the limit's, or that no price is known of, does not count either. What
    an agent may take that is asked by another one counts for both: `outer` is the other's.
    """

    recording: Recording
    tokens: int | None
    cost: Mapping[str, str] | None
    tokens_before: int
    cost_before: Decimal
    outer: "Budget | None"

    @classmethod
    def of(
        cls,
        recording: Recording,
        limits: Mapping[str, Any],
        *,
        outer: "Budget | None" = None,
        earlier: Sequence[Mapping[str, Any]] = (),
    ) -> Self:
        """Return the budget that an agent's limits leave, where `earlier` runs of the turn have taken some of it.

        For an agent that is asked by another one, it counts from now on.
        """
        cost = limits.get("cost")
        currency = None if cost is None else cost["currency"]
        spent = recording.spent() if outer is not None else {}
        return cls(
            recording=recording,
            tokens=limits.get("tokens"),
            cost=cost,
            tokens_before=tokens_of(spent) - sum(tokens_of(each) for each in earlier),
            cost_before=paid(spent, currency) - sum((paid(each, currency) for each in earlier), Decimal(0)),
            outer=outer,
        )

    def must_allow(self) -> None:
        """Raise TurnLimitReached where as much as it allows is taken."""
        spent = self.recording.spent()
        if self.tokens is not None and tokens_of(spent) - self.tokens_before >= self.tokens:
            raise TurnLimitReached(f"The turn has taken the {self.tokens} tokens that its agent's limit allows.")
        if self.cost is not None:
            amount, currency = self.cost["amount"], self.cost["currency"]
            if paid(spent, currency) - self.cost_before >= Decimal(amount):
                raise TurnLimitReached(
                    f"The turn has cost the {amount} {currency} that its agent's limit allows.",
                    code="turn_cost_reached",
                )
        if self.outer is not None:
            self.outer.must_allow()


def taken(start: Mapping[str, Any], spent: Mapping[str, Any], earlier: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what was spent since the start and `earlier`, {usage: {total}, cost: {amount, currency}}, in one currency."""
    before = earlier or {}
    currency = spent["cost"]["currency"] or before.get("cost", {}).get("currency")
    amount = paid(before, currency) + paid(spent, currency) - paid(start, currency)
    tokens = tokens_of(before) + tokens_of(spent) - tokens_of(start)
    return {"usage": {"total": tokens}, "cost": {"amount": str(amount), "currency": currency}}


def tokens_of(spent: Mapping[str, Any]) -> int:
    """Return the tokens of what a run has spent, in its public form."""
    return int(spent["usage"]["total"]) if "usage" in spent else 0


def paid(spent: Mapping[str, Any], currency: str | None) -> Decimal:
    """Return what was paid in a currency."""
    cost = spent.get("cost")
    return Decimal(cost["amount"]) if cost is not None and cost["currency"] == currency else Decimal(0)
