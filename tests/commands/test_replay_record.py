"""Calls are answered from the record of a turn; answers are compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from commands.agents.actions import Asker
from commands.agents.tool_actions import ToolActions
from commands.models.model_calls import Embedded, ModelCallFailed, NoModel, ToolCall
from commands.ports import SYSTEM, Context
from commands.prompt_run import PromptRuns
from commands.replays.replay_record import UNAVAILABLE, RecordedActions, TurnRecord
from commands.replays.replay_scoring import Similarities
from commands.retrieval.answering import Answerer
from commands.runs.execution import Execution
from commands.runs.runs import Recording, Runs
from domain.similarity import cosine, token_f1, without_markers
from tests.support.fakes import PlainRenderer
from tests.support.scripted_agents import Scripted, Shelf


def done(function: str, arguments: str, result: str, outcome: str = "completed") -> dict[str, Any]:
    return {"function": function, "arguments": arguments, "result": result, "outcome": outcome}


def call(function: str, arguments: str) -> ToolCall:
    return ToolCall(id="c", name=function, arguments=arguments)


def taken(record: TurnRecord, function: str, arguments: str) -> tuple[str, str | None]:
    source, found = record.take(call(function, arguments))
    return source, None if found is None else found["result"]


def test_the_same_call_has_its_own_result_however_its_arguments_are_written():
    record = TurnRecord(
        actions=[done("find", '{"a": 1, "b": 2}', "one"), done("find", '{"a": 3}', "two"), done("find", "{}", "none")]
    )
    assert taken(record, "find", '{"b":2,"a":1}') == ("exact", "one")
    assert taken(record, "find", "") == ("exact", "none")
    assert taken(record, "find", '{"a": 3}') == ("exact", "two")


def test_another_call_of_the_function_has_the_next_result_that_was_not_told_and_then_none():
    record = TurnRecord(actions=[done("find", '{"a": 1}', "one"), done("find", '{"a": 2}', "two")])
    assert taken(record, "find", '{"a": 2}') == ("exact", "two")
    assert taken(record, "find", '{"a": 9}') == ("closest", "one")
    assert taken(record, "find", '{"a": 8}') == ("unmatched", None)
    assert taken(record, "find", '{"a": 2}') == ("exact", "two"), "the same call is answered the same again"
    assert taken(record, "order", '{"a": 2}') == ("unmatched", None)


def test_a_call_that_was_made_twice_has_both_results_in_order():
    record = TurnRecord(actions=[done("find", "{}", "before"), done("find", "{}", "after")])
    assert [taken(record, "find", "{}")[1] for _ in range(3)] == ["before", "after", "before"]


def test_arguments_that_are_no_json_are_compared_as_they_are():
    record = TurnRecord(actions=[done("find", "{oops", "one")])
    assert taken(record, "find", " {oops ") == ("exact", "one")


@pytest.mark.parametrize("live", [False, True])
async def test_from_the_record_nothing_is_done_and_live_nothing_that_changes_something_or_needs_a_person(live: bool):
    record = TurnRecord(actions=[done("shout", "{}", "No such thing.", "declined")])
    nothing = cast(Answerer, None)
    shelf, model = Shelf(), Scripted()
    prompts = PromptRuns(models=model, things=shelf, renderer=PlainRenderer(), execution=cast(Execution, None))
    actions = RecordedActions(
        things=shelf, answerer=nothing, prompts=prompts, tools=cast(ToolActions, None), record=record, live=live
    )
    recording = Recording(cast(Runs, None), uuid4(), Context(actor=SYSTEM), "full")
    action = {"type": "prompt", "tool": str(uuid4()), "function": "shout", "requires_confirmation": True}
    asker = Asker(subject="ada", groups=None)
    first, second = [
        await actions.carry_out(recording, action, call(name, "{}"), asker, [], (), seconds=5.0)
        for name in ("shout", "yell")
    ]
    assert (first.told, first.outcome) == ("No such thing.", "declined")
    assert (second.told, second.outcome) == (UNAVAILABLE, "unavailable")
    assert [each["answered_by"] for each in record.answers] == ["exact", "unmatched"]
    assert [(step.name, step.outcome, step.note["answered_by"]) for step in recording.steps] == [
        ("shout", "declined", "exact"),
        ("yell", "unavailable", "unmatched"),
    ]
    assert model.requests == []


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [
        ("Thirty days a year.", "thirty DAYS a year", 1.0),
        ("Thirty days", "thirty", 2 / 3),
        ("a a b", "a b b", 2 / 3),
        ("yes", "no", 0.0),
        ("", "", 1.0),
        ("", "no", 0.0),
    ],
)
def test_words_that_both_have_make_texts_similar(one: str, other: str, score: float):
    assert token_f1(one, other) == token_f1(other, one) == pytest.approx(score)


@dataclass
class Embeddings:
    """An embedding model that fails as it is told to."""

    failure: Exception

    async def embed(self, model: UUID | None, texts: Sequence[str], space: str | None = None, **_: Any) -> Embedded:
        raise self.failure


@pytest.mark.parametrize(("failure", "is_noted"), [(NoModel(), False), (ModelCallFailed(), True)])
async def test_without_an_embedding_model_words_are_compared_and_that_is_said(failure: Exception, is_noted: bool):
    recording = Recording(cast(Runs, None), uuid4(), Context(actor=SYSTEM), "full")
    score = await Similarities(models=Embeddings(failure)).of(recording, "Thirty days [1].", "thirty days", parent=1)
    assert (score["score"], score["method"], "note" in score) == (1.0, "token_f1", is_noted)


def test_markers_of_citations_and_lengths_of_vectors_say_nothing():
    assert without_markers("Thirty [1]\ndays [2, 3].") == "Thirty days ."
    assert cosine([1.0, 0.0], [5.0, 0.0]) == 1.0
    assert cosine([1.0, 0.0], [0.0, 2.0]) == cosine([0.0, 0.0], [1.0, 1.0]) == 0.0
