"""Guardrails: what is looked for in what an agent is told and says, and what is done where it is found."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from domain.definition import JSON, Reference, Strict

Stage = Literal["input", "file", "tool", "output"]
"""Where it was found: in what a person said, in files that they gave, in what an action gave, or in what the agent says."""

BLOCKED = "I can't answer that."
WITHHELD = "This was carried out. Its result is withheld from you: it holds what looks like instructions to you."
UNSEEN = "This was carried out. Its result is withheld from you: what looks for instructions in it could not be asked."
"""What a model is told instead of an action's result."""


class Guardrail(Strict):
    """Something that is looked for, and what is done where it is found."""

    type: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")] = Field(
        description="`pii`, `injection`, `moderation`, or the name of a plugin in `magnet.guardrails`."
    )
    action: Literal["block", "mask", "flag"] = Field(
        description="block: it is not answered, or not said; mask: it is replaced; flag: it is only recorded."
    )
    provider: Reference | None = Field(None, description="Of type moderation: whose endpoint is asked.")
    config: dict[str, JSON] = Field(default_factory=dict, description="Settings of the type.")

    MASKLESS: ClassVar[frozenset[str]] = frozenset({"injection", "moderation"})

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.provider is None) == (self.type == "moderation"):
            raise ValueError("'provider' goes with the type moderation, and only with it")
        if self.action == "mask" and self.type in self.MASKLESS:
            raise ValueError(f"the type {self.type} judges a whole text: it can block or flag it, not mask a part")
        return self


class Guardrails(Strict):
    """What is looked for before and after; the order is that in which it is looked for."""

    input: list[Guardrail] = Field(
        default_factory=list,
        max_length=10,
        description="In what a person says, and in files that they give; those of type injection also in what actions give.",
    )
    output: list[Guardrail] = Field(default_factory=list, max_length=10, description="In what the agent says.")
    blocked_message: str = Field(BLOCKED, min_length=1, max_length=2000, description="Said instead of what is blocked.")
