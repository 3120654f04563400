"""An agent's part in a turn: what is to be answered, and with what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from commands.agents.actions import Asker
from commands.agents.agent_brief import Brief
from commands.agents.agent_talk import Acting, ClientTools, Course, Note, Talk
from commands.agents.guardrails import Watch
from commands.agents.other_agents import OtherAgents
from commands.choosing import Chosen
from commands.models.model_calls import ChatRequest
from commands.prompt_run import form_asked
from commands.runs.runs import Recording


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What is to be answered, on whose behalf, and how that is recorded; `confirms` as for what carries actions out."""

    recording: Recording
    messages: Sequence[Mapping[str, Any]]
    asker: Asker
    note: Note
    confirms: bool | None
    tools: ClientTools
    course: Course


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which agent answers, what it is told and what it may do."""

    agent: Chosen
    brief: Brief
    acting: Acting
    functions: Sequence[Mapping[str, Any]]
    others: OtherAgents
    watch: Watch

    def is_last(self, iteration: int) -> bool:
        """Return whether its model may only answer: it has asked for actions as often as it may."""
        return iteration >= int(self.agent.definition["limits"]["iterations"])

    @property
    def described(self) -> dict[str, str]:
        """What its model is told of each function."""
        return {each["function"]["name"]: each["function"]["description"] for each in self.functions}

    @property
    def form(self) -> Mapping[str, Any] | None:
        """What its answers have to be besides text, in the form of OpenAI's; None where they may be any."""
        form = self.agent.definition.get("response_format")
        return None if form is None else form_asked(form)

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """The JSON schema that its answers have to fit; None for any."""
        form = self.agent.definition.get("response_format") or {}
        return form.get("schema")

    def request(self, asked: Assignment, talk: Talk, iteration: int) -> ChatRequest:
        """Return what its model is asked."""
        definition, tools = self.agent.definition, asked.tools
        parameters = {name: definition[name] for name in ("temperature", "max_tokens") if definition[name] is not None}
        functions = [*self.functions, *tools.functions]
        return ChatRequest(
            model=None if definition["model"] is None else UUID(definition["model"]),
            messages=[{"role": "system", "content": self.brief.instructions}, *asked.messages, *talk.history],
            parameters=parameters | (tools.first() if iteration == 0 else {}),
            response_format=self.form,
            tools=functions,
            tool_choice="none" if self.is_last(iteration) and functions else tools.choice if iteration == 0 else None,
        )
