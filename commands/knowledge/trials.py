"""Trying things out: something is asked, and nothing is changed; the receipt tells what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commands.bus import Done
from commands.configuration import OnThing
from commands.ports import Unit


@dataclass(frozen=True, kw_only=True)
class ShowTrial(OnThing):
    """Give the receipt of a thing that was tried, with what came of it."""

    shown: Mapping[str, Any]


async def show_trial(command: ShowTrial, unit: Unit) -> Done:
    """Return what is shown; nothing happened to the thing."""
    thing = await unit.load(command.kind, command.id)
    thing.must_be_at(command.if_match)
    return Done(aggregate=thing, shown=command.shown)
