"""Asking a model once about a whole conversation, as a run of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar
from uuid import UUID

from commands.choosing import choose
from commands.conversations.conversation_jobs import live_definition
from commands.models.model_calls import ChatAnswer, ChatModels, ChatRequest
from commands.models.model_json import WrongOutput
from commands.models.saying import say
from commands.ports import SYSTEM, Context, Things
from commands.prompt_run import PromptRuns, RunPrompt, asked_again, request_of
from commands.runs.runs import Recording, Runs
from domain.agent import Agent
from domain.configuration_events import LIVE
from domain.conversation import Conversation
from domain.prompt import Prompt
from domain.run import Kind
from domain.turn import content_of, message_told

T = TypeVar("T")
LONGEST = 60_000
"""Characters of a conversation that a model is shown: the last ones."""

LEFT_OUT = "[What was said before this is left out.]\n\n"
MOST_ATTEMPTS = 5
"""Attempts of a job until what went wrong is recorded."""


@dataclass(frozen=True, kw_only=True)
class Question(Generic[T]):
    """What is asked: built-in words, the form of the answer, and how it is read (raises WrongOutput)."""

    kind: Kind
    system: str
    form: Mapping[str, Any] | None
    read: Callable[[ChatAnswer], T]


@dataclass(frozen=True, kw_only=True)
class AboutConversations:
    """Asks models about conversations."""

    things: Things
    runs: Runs
    models: ChatModels
    prompts: PromptRuns

    async def settings(self, conversation: Conversation) -> tuple[Agent, Mapping[str, Any]]:
        """Return the agent that a conversation was begun with, and what it is at present."""
        agent = await self.things.newest(Agent, conversation.begun_with)
        return agent, live_definition(agent)

    async def begin(self, conversation: Conversation, agent: Agent, kind: Kind) -> Recording:
        """Begin a run about a conversation."""
        live = agent.labels[LIVE]
        recording, _ = await self.runs.start(
            kind=kind,
            target={"kind": Agent.TOPIC, "id": str(agent.id), "name": agent.name, "version": live["version"]},
            context=Context(actor=SYSTEM, channel="worker"),
            subject=conversation.subject,
            input={"conversation": str(conversation.id)},
            observability=live["definition"]["observability"],
        )
        return recording

    async def ask(
        self, recording: Recording, conversation: Conversation, settings: Mapping[str, Any], question: Question[T]
    ) -> T:
        """Return the answer; a wrong one is told to the model once. Raise what went wrong."""
        request = await self._request(recording, conversation, settings, question)
        told = request.messages
        for last_try in (False, True):
            async for piece in say(recording, self.models, request):
                if isinstance(piece, ChatAnswer):
                    answer = piece
            try:
                return question.read(answer)
            except WrongOutput as error:
                if last_try:
                    raise
                request = asked_again(request, told, answer, error)
        raise AssertionError("the last try returns or raises")

    async def _request(
        self, recording: Recording, conversation: Conversation, settings: Mapping[str, Any], question: Question[T]
    ) -> ChatRequest:
        """Return what the model is asked: by the agent's own prompt, or the built-in one."""
        _, definition = await self.settings(conversation)
        said = transcript(conversation)
        form = None if question.form is None else dict(question.form)
        if settings["prompt"] is None:
            model = settings["model"] or definition["model"]
            built_in = [{"role": "system", "content": question.system}, {"role": "user", "content": said}]
            return ChatRequest(model=None if model is None else UUID(model), messages=built_in, response_format=form)
        subject = conversation.subject or str(conversation.id)
        prompt = await choose(self.things, Prompt, UUID(settings["prompt"]), subject=subject)
        recording.versions.setdefault("prompts", []).append(prompt.document())
        variables = {"conversation": said}
        messages = await self.prompts.messages(prompt, RunPrompt(prompt=prompt.id, variables=variables))
        own = settings["model"] or prompt.definition["model"] or definition["model"]
        request = request_of({**prompt.definition, "model": own}, messages)
        return request if form is None else replace(request, response_format=form)


def transcript(conversation: Conversation) -> str:
    """Return what was said in a conversation, each side by its name; of a long one, the end.

    What a guardrail has blocked is told to no model.
    """
    retried = {turn["retry_of"] for turn in conversation.turns.values()}
    said = [
        f"{who}: {text}"
        for turn in conversation.turns.values()
        if turn["id"] not in retried
        for who, text in (("Person", "" if turn["refused"] else message_told(turn)), ("Agent", content_of(turn)))
        if text
    ]
    whole = "\n\n".join(said)
    return whole if len(whole) <= LONGEST else LEFT_OUT + whole[-LONGEST:]
