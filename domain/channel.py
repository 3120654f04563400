"""Channel: a way from outside to an agent, as a chat on web pages, a chat system, or a system of one's own."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, ValidationError, ValidationInfo, field_validator

from domain.configuration import Configuration
from domain.configuration_events import Changed
from domain.definition import JSON, Definition, Reference, Strict, field_errors
from domain.origins import Origin
from domain.provider import web_origin
from domain.values import Group

ChannelType = Literal["web", "slack", "webhook"]
Words = Annotated[str, StringConstraints(min_length=1, max_length=300)]
SIGNED_WITH = "signing_secret"
SECRETS_OF: Mapping[str, frozenset[str]] = {
    "web": frozenset(),
    "slack": frozenset({SIGNED_WITH, "bot_token"}),
    "webhook": frozenset({SIGNED_WITH}),
}
"""Which secrets each type has."""


class ChatTexts(Strict):
    """What the chat itself says, in the language of its pages."""

    open: Words = "Open chat"
    close: Words = "Close chat"
    anew: Words = "New conversation"
    placeholder: Words = "Write a message"
    send: Words = "Send"
    stop: Words = "Stop"
    you: Words = "You"
    answering: Words = "Answering…"
    sources: Words = "Sources"
    approve: Words = "Approve"
    decline: Words = "Decline"
    approved: Words = "Approved"
    declined: Words = "Declined"
    helpful: Words = "This answer helped"
    unhelpful: Words = "This answer did not help"
    comment: Words = "What was missing?"
    send_comment: Words = "Send comment"
    thanks: Words = "Thank you."
    retry: Words = "Try again"
    stopped: Words = "Stopped."
    failed: Words = "That did not work. Your message is kept."
    offline: Words = "The connection was lost. It is tried again."
    unreachable: Words = "The chat can't be reached at the moment. Try again in a while."
    too_fast: Words = "That was a little too fast: wait a moment, then try again."
    began_anew: Words = "The earlier conversation has ended; a new one begins."
    attach: Words = "Attach files"
    attached: Words = "Attached files"
    remove: Words = "Remove"
    file_refused: Words = "A file was not taken: it can't be read here, or is too large."


class WebChat(Strict):
    """A chat on web pages."""

    origins: list[Origin] = Field(
        min_length=1, max_length=100, description="Of the pages that may show it, such as `https://shop.example.com`."
    )
    color: str = Field("#2450b2", pattern=r"^#[0-9a-fA-F]{6}$", description="Of its button, and of what is said.")
    position: Literal["right", "left"] = "right"
    note: str = Field("", max_length=1000, description="Shown under the chat, such as what becomes of what is said.")
    files: bool = Field(False, description="Whether visitors may give files with what they say.")
    texts: ChatTexts = Field(default_factory=ChatTexts)
    visits_per_minute: int = Field(
        30, ge=1, le=10_000, description="Conversations that are begun or gone on with from one address, a minute."
    )


class ThreadTexts(Strict):
    """What is said in a thread besides what the agent says."""

    approve: Words = "Approve"
    decline: Words = "Decline"
    approved: Words = "Approved"
    declined: Words = "Declined"
    sources: Words = "Sources"
    failed: Words = "That did not work. Write again to try once more."


class SlackWorkspace(Strict):
    """An app in a workspace of Slack."""

    texts: ThreadTexts = Field(default_factory=ThreadTexts)
    api_url: str = Field("https://slack.com/api", max_length=500, description="Where Slack's Web API is.")

    @field_validator("api_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        web_origin(url)
        if "?" in url or "#" in url:
            raise ValueError("the address of an API has no query and no fragment")
        return url.rstrip("/")


class OwnSystem(Strict):
    """A system of one's own, which posts messages here, and which answers are posted to."""

    url: str = Field(min_length=1, max_length=2000, description="Where answers are posted to.")

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        web_origin(url)
        if "#" in url or not url.isascii():
            raise ValueError("a URL that is called is ASCII, and has no fragment")
        return url


CONFIGS: Mapping[str, type[Strict]] = {"web": WebChat, "slack": SlackWorkspace, "webhook": OwnSystem}


class ChannelDefinition(Definition):
    """A channel's settings; `secrets` are not among them."""

    type: ChannelType = Field(description="What is at its other end.")
    agent: Reference = Field(description="Who answers.")
    config: dict[str, JSON] = Field(default_factory=dict, validate_default=True, description="The type's settings.")
    groups: list[Group] = Field(
        default_factory=list, max_length=1000, description="What its people may find: what these groups may."
    )
    active: bool = Field(True, description="While it is not, nobody is let in by it.")

    REFERENCES: ClassVar[Mapping[str, str]] = {"agent": "agent"}
    SECRETS: ClassVar[tuple[str, ...]] = ("secrets/*",)

    @field_validator("config")
    @classmethod
    def _fits_its_type(cls, config: dict[str, JSON], info: ValidationInfo) -> dict[str, JSON]:
        kind = CONFIGS.get(info.data.get("type", ""))
        if kind is None:
            return config  # the type is wrong, which is told
        try:
            return kind.model_validate(config).model_dump(mode="json")
        except ValidationError as error:
            told = "; ".join(f"{each.pointer or '/'}: {each.message}" for each in field_errors(error)[:10])
            raise ValueError(f"of a channel of this type: {told}") from None


class Channel(Configuration):
    """A way from outside to an agent."""

    TOPIC = "channel"
    DEFINITION = ChannelDefinition
    LABELLED = False
    FIXED = frozenset({"type"})

    class AgentChosen(Changed):
        """Another agent answers."""

        TOPIC = "channel.agent_chosen"
        agent: str

    class ConfigChanged(Changed):
        """The settings of its type changed; where its secrets go elsewhere by that, they were cleared too."""

        TOPIC = "channel.config_changed"
        config: dict[str, Any]

    class GroupsChanged(Changed):
        """What its people may find changed."""

        TOPIC = "channel.groups_changed"
        groups: list[str]

    class ActivityChanged(Changed):
        """It was switched on or off."""

        TOPIC = "channel.activity_changed"
        active: bool

    @property
    def type(self) -> str:
        """What is at its other end."""
        return str(self.definition["type"])

    @property
    def config(self) -> dict[str, Any]:
        """The settings of its type, also those that came since they were given."""
        return CONFIGS[self.type].model_validate(self.definition["config"]).model_dump(mode="json")

    @property
    def open(self) -> bool:
        """Whether people are let in by it."""
        return bool(self.definition["active"]) and not self.archived

    @property
    def origin(self) -> str:
        """Where its secrets are sent: Slack's address has the token; what only signs is sent nowhere."""
        return web_origin(self.config["api_url"]) if self.type == "slack" else ""
