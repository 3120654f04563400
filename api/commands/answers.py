"""Answering questions over HTTP, plain or streamed."""

from pydantic import Field
from starlette.responses import Response

from api.answer_schemas import ANSWER
from api.call import Call, Operation
from api.queries.searches import LONGEST, ChoiceBody, PinnedBody, choice_of
from api.run_streams import answered, streamed
from api.schemas import body_schema
from commands.retrieval.answer_run import AnswerQuestion
from commands.runs.execution import whole
from domain.definition import JSON, parse
from domain.rag_tool import RagTool


class AnswerBody(ChoiceBody, PinnedBody):
    """What is asked."""

    question: str = Field(min_length=1, max_length=LONGEST)
    filter: dict[str, JSON] | None = Field(None, description="Which documents, by their metadata.")
    stream: bool = Field(False, description="Answer with server-sent events.")


async def answer(call: Call) -> Response:
    """Answer a question by a RAG tool."""
    body, message, raw = await call.body()
    asked = parse(AnswerBody, body)
    tool = choice_of(RagTool, call.path("ref"), asked)
    command = AnswerQuestion(tool=tool, question=asked.question, filter=asked.filter, pins=asked.pins)
    await call.wait_for_passages()
    pieces = call.container.answer_runs.answer(command, call.context(reason=message, raw=raw))
    return await streamed(call, "answer", pieces) if asked.stream else answered(await whole(pieces))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/rag-tools/{ref}/answer",
        side="commands",
        tag="rag-tools",
        name="answer_by_rag_tool",
        summary="Answer a question from passages, with citations; with `stream` by server-sent events",
        permission="answers:run",
        handler=answer,
        body=body_schema(AnswerBody),
        answer=ANSWER,
    ),
)
