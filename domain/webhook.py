"""Webhook: an address that the log's events are sent to."""

from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator

from domain.configuration import Configuration
from domain.configuration_events import Changed
from domain.definition import Definition
from domain.provider import origin

EventType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$", max_length=100)]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
SIGNED_WITH = "secret"


class WebhookDefinition(Definition):
    """Where events are sent, and which; `secret`, which signs them, is not among these settings."""

    url: str = Field(min_length=1, max_length=2000, description="Where they are sent to, http or https.")
    types: list[EventType] = Field(
        default_factory=list, max_length=200, description="Types that are sent, such as `prompt.published`."
    )
    kinds: list[Kind] = Field(
        default_factory=list,
        max_length=50,
        description="Kinds that are sent whole. With no types and kinds: everything.",
    )
    active: bool = Field(True, description="While it is not, events wait.")

    SECRETS: ClassVar[tuple[str, ...]] = (SIGNED_WITH,)

    @field_validator("url")
    @classmethod
    def _url_is_on_the_web(cls, url: str) -> str:
        if not url.isascii():
            raise ValueError("a URL is ASCII: write the host as punycode and escape the rest")
        if origin(url).startswith("file:"):
            raise ValueError("a URL starts with http:// or https://")
        if urlsplit(url).fragment:
            raise ValueError("a URL that is called has no fragment")
        return url


class Webhook(Configuration):
    """An address that the log's events are sent to."""

    TOPIC = "webhook"
    DEFINITION = WebhookDefinition
    LABELLED = False

    class UrlChanged(Changed):
        """It is sent somewhere else."""

        TOPIC = "webhook.url_changed"
        url: str

    class EventsChosen(Changed):
        """Which events are sent changed."""

        TOPIC = "webhook.events_chosen"
        types: list[str]
        kinds: list[str]

    class ActivityChanged(Changed):
        """It was switched on or off; while it is off, events wait."""

        TOPIC = "webhook.activity_changed"
        active: bool

    def wants(self, type_: str) -> bool:
        """Return whether events of a type are sent."""
        types, kinds = self.definition["types"], self.definition["kinds"]
        return not (types or kinds) or type_ in types or type_.partition(".")[0] in kinds
