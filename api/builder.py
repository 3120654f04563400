"""Read models are built anew by processes of their own, so that whoever is answered meanwhile hardly waits."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from api.build import OVERTAKEN

Build = Callable[[str, int], Awaitable[bool]]


def builder(dsn: str) -> Build:
    """Return what builds a read model of this name under this fence, and says whether it came to the end."""

    async def build(name: str, fence: int) -> bool:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "api.build", name, str(fence), stdin=asyncio.subprocess.PIPE
        )
        try:
            await process.communicate(dsn.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode in (0, OVERTAKEN)  # who was overtaken finds that out itself

    return build
