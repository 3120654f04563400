"""What comes in by channels, let in by its signature."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapters.channels.signatures import must_be_signed, must_be_slacks
from adapters.channels.slack_events import decided_in, said_in
from adapters.knowledge.source_secrets import SealedSourceSecrets
from domain.channel import SIGNED_WITH, Channel


@dataclass(kw_only=True)
class ChannelDoors:
    """Checks signatures by the channels' secrets, and reads what Slack says."""

    secrets: SealedSourceSecrets
    now: Callable[[], float] = time.time

    said_in_slack = staticmethod(said_in)
    decided_in_slack = staticmethod(decided_in)

    async def must_be_slacks(self, channel: Channel, headers: Mapping[str, str], body: bytes) -> None:
        """Raise BadSignature unless Slack signed this for the channel's app."""
        must_be_slacks(headers, body, await self._secret(channel), self.now())

    async def must_be_signed(self, channel: Channel, headers: Mapping[str, str], body: bytes) -> str:
        """Return the id of what a system of one's own signed, or raise BadSignature."""
        return must_be_signed(headers, body, await self._secret(channel), self.now())

    async def _secret(self, channel: Channel) -> str | None:
        return (await self.secrets.of(channel)).get(SIGNED_WITH)
