"""Trying a provider out: it is called, and nothing is changed."""

import time
from dataclasses import dataclass

from commands.bus import Bus
from commands.configuration import OnThing
from commands.knowledge.trials import ShowTrial
from commands.models.model_calls import OfferedModels
from commands.ports import Context, Receipt
from domain.provider import Provider


@dataclass(frozen=True, kw_only=True)
class TryProvider(OnThing):
    """Call a provider."""

    kind: type[Provider] = Provider


@dataclass(frozen=True, kw_only=True)
class ProviderTrials:
    """Calls providers to see whether they answer."""

    bus: Bus
    offered: OfferedModels

    async def carry_out(self, command: TryProvider, context: Context) -> Receipt:
        """Call the provider; raise NotFound, Archived, StaleVersion, or ModelCallFailed that says what is wrong."""
        receipt = await self.bus.earlier(context)
        if receipt is not None:
            return receipt
        began = time.perf_counter()
        names = await self.offered.available(command.id)
        shown = {"ok": True, "models": len(names), "duration_ms": round((time.perf_counter() - began) * 1000, 3)}
        return await self.bus.dispatch(
            ShowTrial(kind=Provider, id=command.id, if_match=command.if_match, shown=shown), context
        )
