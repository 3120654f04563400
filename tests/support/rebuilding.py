"""Read models that are built anew by whoever follows the log."""

import asyncio

from adapters.projection_runner.administration import ProjectionAdministration
from tests.support.patience import PATIENCE


async def build_anew(administration: ProjectionAdministration, name: str) -> None:
    """Ask for a read model to be built anew; return once it is.

    One that nobody owns is `stopped`, with its rebuild still before it: whoever takes it over does what was asked.
    """
    await administration.rebuild(name)
    async with asyncio.timeout(PATIENCE):
        while await _state(administration, name) in ("rebuilding", "stopped"):
            await asyncio.sleep(0.01)


async def _state(administration: ProjectionAdministration, name: str) -> str:
    return next(each.state for each in await administration.status(checksums=False) if each.name == name)
