"""API key: who may call, in which roles."""

from typing import Literal

from pydantic import Field, field_validator

from domain import configuration_events
from domain.configuration import Configuration
from domain.configuration_events import Changed
from domain.definition import Definition
from domain.values import Group, moment

Role = Literal["admin", "editor", "operator", "user", "auditor"]


class ApiKeyDefinition(Definition):
    """What a key may do; the key itself is shown once and stored as an HMAC beside the log."""

    roles: list[Role] = Field(default=["user"], min_length=1, max_length=5)
    groups: list[Group] = Field(default_factory=list, max_length=1000)
    requests_per_minute: int | None = Field(None, ge=1, le=10_000_000)
    expires_at: str | None = Field(None, description="RFC 3339, with an offset.")

    @field_validator("expires_at")
    @classmethod
    def _is_a_time(cls, text: str | None) -> str | None:
        if text is not None:
            moment(text)
        return text


class ApiKey(Configuration):
    """Who may call, in which roles."""

    TOPIC = "api_key"
    DEFINITION = ApiKeyDefinition
    LABELLED = False

    class RolesChanged(Changed):
        """Its roles or groups changed."""

        TOPIC = "api_key.roles_changed"
        roles: list[str]
        groups: list[str]

    class LimitsChanged(Changed):
        """Its rate limit or end changed."""

        TOPIC = "api_key.limits_changed"
        requests_per_minute: int | None
        expires_at: str | None

    class ArchivedAway(configuration_events.ArchivedAway):
        """It was revoked, at once and for good."""

        TOPIC = "api_key.revoked"
