"""Answers to a system of one's own: each part posted as signed JSON, with an id that stays the same."""

from dataclasses import dataclass

from adapters.knowledge.source_secrets import SealedSourceSecrets
from adapters.webhooks.sending import WebhookSender
from commands.channels.channel_deliveries import NotDelivered, Outgoing
from commands.webhook import signing_key
from domain.channel import SIGNED_WITH, Channel

TOLD = ("id", "message", "function", "approved")


@dataclass(frozen=True, kw_only=True)
class OwnSystems:
    """Posts parts; whoever takes one twice knows it by its id."""

    sender: WebhookSender
    secrets: SealedSourceSecrets
    longest: int = 1_000_000
    tells_twice: bool = False

    async def send(self, channel: Channel, outgoing: Outgoing) -> str:
        """Post a part, and return its id."""
        secret = (await self.secrets.of(channel)).get(SIGNED_WITH)
        if secret is None:
            raise NotDelivered("The channel has no signing_secret: delete it once more, and a new one is made.")
        part = outgoing.part
        body = {
            "id": str(part.id),
            "type": part.kind,
            "thread": outgoing.thread,
            "conversation": str(outgoing.conversation),
            "turn": part.turn,
            "text": part.text,
            "citations": [dict(each) for each in part.citations],
            "confirmations": [{name: each.get(name) for name in TOLD} for each in part.confirmations],
        }
        sent = await self.sender.send(channel.config["url"], signing_key(secret), body)
        if sent.error is not None:
            raise NotDelivered(sent.error, sent.wait)
        return str(part.id)

    async def find(self, channel: Channel, outgoing: Outgoing) -> str | None:
        """Return None: what is sent again is known by its id."""
        return None
