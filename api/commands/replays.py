"""Replaying conversations over HTTP: answered again by another version of an agent, beside what was answered."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from starlette.responses import Response

from api.call import Call, Operation
from api.commands.conversations import conversation_of
from api.queries.conversations import reader_of
from api.run_streams import answered, streamed
from api.schemas import body_schema
from commands.replays.replaying import ReplayConversation
from commands.replays.scorers import ChosenScorer
from commands.runs.execution import whole
from domain.definition import JSON, Strict, parse
from domain.errors import Invalid
from domain.references import identify

TurnId = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ScorerBody(Strict):
    """By what answers are scored, from 0 to 1."""

    type: str = Field(
        min_length=1, max_length=63, description="exact, contains, similarity, judge, tool_calls, or a plugin's name."
    )
    name: str | None = Field(
        None, min_length=1, max_length=63, description="What its scores are called; null: the type."
    )
    model: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Of judge a chat model, of similarity an embedding model; null: the default one.",
    )
    config: dict[str, JSON] = Field(
        default_factory=dict, description="Its settings: `GET /v1/plugins` has their schema."
    )

    def chosen(self) -> ChosenScorer:
        """Return it as it is asked for."""
        model = None if self.model is None else identify("model", self.model)
        return ChosenScorer(type=self.type, name=self.name or self.type, model=model, config=self.config)


class ReplayBody(Strict):
    """By what a conversation is answered again, and how."""

    agent: str | None = Field(None, min_length=1, max_length=64, description="null: the conversation's own.")
    version: int | None = Field(None, ge=1, lt=2**62, description="Neither this nor a label: the newest, draft or not.")
    label: str | None = Field(None, max_length=63)
    variant: str | None = Field(None, max_length=63, description="null: by weight, the same for the same subject.")
    mode: Literal["recorded", "live"] = Field(
        "recorded",
        description="recorded: every call is answered from the record; live: what changes nothing is really called.",
    )
    turns: list[TurnId] | None = Field(None, min_length=1, max_length=500, description="Their ids; null: all.")
    concurrency: int = Field(4, ge=1, le=10, description="Turns that are answered at once.")
    scorers: list[ScorerBody] = Field(default_factory=list, max_length=20)
    stream: bool = Field(False, description="Answer with server-sent events.")


async def replay(call: Call) -> Response:
    """Replay a conversation."""
    body, message, raw = await call.body(required=False)
    asked = parse(ReplayBody, body)
    if asked.version is not None and asked.label is not None:
        raise Invalid("Give one of version and label.", pointer="/label")
    conversation = conversation_of(call)
    await call.container.conversation_reader.read(conversation, reader_of(call))
    await call.wait_for_passages()
    command = ReplayConversation(
        conversation=conversation,
        agent=None if asked.agent is None else identify("agent", asked.agent),
        version=asked.version,
        label=asked.label,
        variant=asked.variant,
        mode=asked.mode,
        turns=asked.turns,
        concurrency=asked.concurrency,
        scorers=[each.chosen() for each in asked.scorers],
    )
    pieces = call.container.replays.replay(command, call.context(reason=message, raw=raw))
    if asked.stream:
        return await streamed(call, "replay", pieces)
    return answered(await whole(pieces))


ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["turns", "summary", "usage", "cost", "run_id"],
    "properties": {
        "turns": {
            "type": "array",
            "description": "`{turn, message, recorded, candidate, similarity: {score, method}, scores: [{name, type, score, reason, error}], same_calls}`",
        },
        "skipped": {"type": "array", "description": "`{turn, reason}`"},
        "summary": {"type": "object"},
        "usage": {"type": "object"},
        "cost": {"type": "object"},
        "run_id": {"type": "string", "format": "uuid"},
    },
}
OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/conversations/{id}/replay",
        side="commands",
        tag="conversations",
        name="replay_conversation",
        summary="Have what persons said answered again by another version of an agent, and compare",
        permission="conversations:replay",
        handler=replay,
        body=body_schema(ReplayBody),
        body_required=False,
        answer=ANSWER,
    ),
)
