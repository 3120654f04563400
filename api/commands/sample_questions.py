"""Making sample questions over HTTP."""

from typing import Annotated
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from api.answer_schemas import PASSAGE, SPENT
from api.call import Call, Operation
from api.commands.documents import source_of
from api.run_streams import answered
from api.schemas import body_schema
from commands.knowledge.sample_questions import MakeQuestions
from domain.definition import Reference, Strict, parse
from domain.errors import NotFound
from domain.references import UUID_FORM, identify


class QuestionsBody(Strict):
    """What questions are made of."""

    count: int = Field(10, ge=1, le=100, description="Questions at most: one for each passage.")
    documents: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list, max_length=100, description="Ids of documents; none: all that one may find."
    )
    model: Reference | None = Field(None, description="A chat model; null = the default one.")
    seed: int = Field(0, ge=0, lt=2**62, description="The same one takes the same passages, as long as they are there.")


async def make(call: Call) -> Response:
    """Make questions from passages of a source."""
    body, message, raw = await call.body(required=False)
    asked = parse(QuestionsBody, body)
    if not all(UUID_FORM.match(id) for id in asked.documents):
        raise NotFound("There is no such document.")
    command = MakeQuestions(
        source=source_of(call),
        count=asked.count,
        documents=list(dict.fromkeys(UUID(id) for id in asked.documents)),
        model=None if asked.model is None else identify("model", asked.model),
        seed=asked.seed,
    )
    await call.wait_for_passages()
    return answered(await call.container.sample_questions.make(command, call.context(reason=message, raw=raw)))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/knowledge-sources/{ref}/sample-questions",
        side="commands",
        tag="knowledge-sources",
        name="make_sample_questions",
        summary="Make questions from passages that one may find, each with the passage that answers it",
        permission="answers:run",
        handler=make,
        body=body_schema(QuestionsBody),
        body_required=False,
        answer={
            "type": "object",
            "required": ["questions", "model", "usage", "cost", "run_id"],
            "properties": {
                "questions": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "question": {"type": "string"},
                            "made_from": {
                                "enum": ["model", "heading", "title", "text"],
                                "description": "By a model; or without one, what of the passage it is.",
                            },
                            "passage": PASSAGE,
                        },
                    },
                },
                "model": {"type": ["object", "null"], "description": "The model that made them; null: none did."},
                "index_version": {"type": "object", "additionalProperties": {"type": "integer"}},
                **SPENT,
            },
        },
    ),
)
