"""The ways out to channels, over connections to checked addresses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.channels.own_system import OwnSystems
from adapters.channels.slack import Slack
from adapters.connectors.web import Web
from adapters.egress import Egress
from adapters.knowledge.source_secrets import SealedSourceSecrets
from adapters.webhooks.sending import WebhookSender
from commands.channels.channel_deliveries import Adapters


@asynccontextmanager
async def channel_adapters(egress: Egress, secrets: SealedSourceSecrets) -> AsyncIterator[Adapters]:
    """Give the adapter of each type whose answers are sent."""
    web, sender = Web(egress), WebhookSender(egress)
    try:
        yield {
            "slack": Slack(web=web, secrets=secrets),
            "webhook": OwnSystems(sender=sender, secrets=secrets),
        }
    finally:
        await web.close()
        await sender.close()
