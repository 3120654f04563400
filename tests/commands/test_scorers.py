"""Scorers: what is asked of models and plugins, and what becomes of one that can't say how good an answer is."""

from typing import Any, cast
from uuid import UUID, uuid4

import orjson
import pytest
from pydantic import BaseModel

from adapters.plugins.checking import SCORERS, plugin_of
from adapters.plugins.scored import Case
from adapters.plugins.scored import Score as Told
from adapters.plugins.scorer import PluginScorer
from commands.models.model_calls import EmbeddingModels, NoModel
from commands.ports import SYSTEM, Context
from commands.replays.built_in_scorers import CRITERIA, built_in_scorers
from commands.replays.scorers import ChosenScorer, Compared, Scorers, Scoring
from commands.runs.runs import Recording, Runs
from domain.errors import Invalid, Unavailable
from domain.model import Model
from tests.support.scripted_agents import Scripted, Shelf

COMPARED = Compared(message="How many days?", expected="Thirty days [1].", answer="It is thirty days.")


class Embeds:
    """An embedding model that is not there."""

    async def embed(self, model: UUID | None, texts: Any, **_: Any) -> Any:
        raise NoModel


def scoring(model: Scripted | None = None, plugins: Scorers | None = None) -> Scoring:
    built_in = built_in_scorers(model or Scripted(), cast(EmbeddingModels, Embeds()))
    return Scoring(scorers={**(plugins or {}), **built_in}, things=Shelf())


async def scored(scoring: Scoring, *chosen: ChosenScorer) -> tuple[list[dict[str, Any]], Recording]:
    await scoring.must_be_able(chosen)
    recording = Recording(cast(Runs, None), uuid4(), Context(actor=SYSTEM), "full")
    with recording.step("turn", "turn 1") as step:
        return await scoring.scores(recording, chosen, COMPARED, parent=step.number), recording


def by(type: str, **more: Any) -> ChosenScorer:
    return ChosenScorer(**{"type": type, "name": type, **more})


async def test_those_that_come_along_score_without_any_model():
    found, recording = await scored(
        scoring(),
        by("exact"),
        by("contains", name="all", config={"texts": ["Thirty", "days", "paid"]}),
        by("contains", name="it"),
        by("similarity"),
        by("tool_calls"),
    )
    assert [(each["name"], each["type"], each["score"]) for each in found] == [
        ("exact", "exact", 0.0),
        ("all", "contains", 0.6667),
        ("it", "contains", 1.0),
        ("similarity", "similarity", pytest.approx(0.6667)),
        ("tool_calls", "tool_calls", 1.0),
    ]
    assert (found[1]["reason"], found[3]["method"]) == ("Missing: paid", "token_f1")
    steps = [(step.name, step.note["score"]) for step in recording.steps if step.kind == "score"]
    assert steps == [(each["name"], each["score"]) for each in found]


async def test_a_judge_is_asked_by_its_criteria_and_its_calls_count():
    model = Scripted([orjson.dumps({"reason": "Says the same.", "score": 4}).decode()])
    [found], recording = await scored(scoring(model), by("judge"))
    assert (found["score"], found["reason"], found["model"]["name"]) == (0.75, "Says the same.", "small")
    [(_, rules), (_, quoted)] = model.told()
    assert CRITERIA in rules
    assert orjson.loads(quoted) == {
        "message": COMPARED.message,
        "expected": COMPARED.expected,
        "answer": COMPARED.answer,
    }
    assert recording.spent()["usage"]["total"] == 100


@pytest.mark.parametrize("answer", ['{"score": 6, "reason": ""}', '{"score": "5"}', "Good!", '{"score": true}'])
async def test_a_judge_that_says_nothing_sensible_twice_gives_no_score_and_the_others_do(answer: str):
    found, recording = await scored(scoring(Scripted([answer] * 2)), by("judge"), by("exact"))
    assert (found[0]["score"], found[0]["error"]["code"]) == (None, "invalid_output")
    assert found[1]["score"] == 0.0
    [step] = [step for step in recording.steps if step.name == "judge"]
    assert step.outcome == "invalid_output"


async def test_without_a_model_a_judge_says_so():
    [found], _ = await scored(scoring(), by("judge"))
    assert found["error"]["code"] == "no_model"


@pytest.mark.parametrize(
    ("chosen", "pointer", "code"),
    [
        ([by("nothing")], "/scorers/0/type", "no_scorer"),
        ([by("exact"), by("contains", name="exact")], "/scorers/1/name", "duplicate"),
        ([by("exact", config={"ignore_case": "yes"})], "/scorers/0/config/ignore_case", "bool_type"),
        ([by("judge", config={"criteria": ""})], "/scorers/0/config/criteria", "string_too_short"),
        ([by("exact", model=uuid4())], "/scorers/0/model", "no_model_asked"),
        ([by("judge", model=uuid4())], "/scorers/0/model", "unknown_reference"),
    ],
)
async def test_what_can_not_be_asked_for_is_refused_with_its_place(chosen: list[ChosenScorer], pointer: str, code: str):
    with pytest.raises(Invalid) as refused:
        await scoring().must_be_able(chosen)
    [error] = refused.value.errors
    assert (error.pointer, error.code) == (pointer, code)


async def test_a_judge_is_given_a_model_that_chats():
    asked = scoring()
    model = Model.create(name="m", definition={"provider": str(uuid4()), "model": "m", "kind": "embedding"})
    cast(Shelf, asked.things).put(cast(Any, model))
    with pytest.raises(Invalid) as refused:
        await asked.must_be_able([by("judge", model=model.id)])
    assert refused.value.errors[0].code == "wrong_model_kind"
    await asked.must_be_able([by("similarity", model=model.id)])


# Plugins ------------------------------------------------------------------------


class PoliteConfig(BaseModel, extra="forbid"):
    """Words that are polite."""

    words: list[str] = ["please"]


class Polite:
    """How polite an answer is."""

    name = "polite"
    Config = PoliteConfig
    gives: Any = None

    def score(self, case: Case, config: PoliteConfig) -> Any:
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives if self.gives is not None else Told(score=0.5, reason=f"{case.answer} {config.words}")


def polite(gives: Any = None) -> Scorers:
    made = Polite()
    made.gives = gives
    return {"polite": PluginScorer(plugin_of(SCORERS, made, None))}


async def test_a_plugin_scores_with_its_settings_and_says_why():
    [found], _ = await scored(scoring(plugins=polite()), by("polite", config={"words": ["days"]}))
    assert (found["score"], found["reason"]) == (0.5, "It is thirty days. ['days']")
    [plain], _ = await scored(scoring(plugins=polite(True)), by("polite"))
    assert plain == {"name": "polite", "type": "polite", "score": 1.0}


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (2, "no number from 0 to 1"),
        (float("nan"), "no number from 0 to 1"),
        ("good", "no number from 0 to 1"),
        (Told(score=1, reason=cast(str, 5)), "no text"),
        (LookupError("no words"), "LookupError: no words"),
    ],
)
async def test_a_plugin_that_fails_gives_no_score_and_says_why(gives: Any, said: str):
    found, _ = await scored(scoring(plugins=polite(gives)), by("polite"), by("exact"))
    assert (found[0]["score"], found[0]["error"]["code"]) == (None, "scorer_failed")
    assert said in found[0]["error"]["message"]
    assert found[1]["score"] == 0.0


async def test_while_the_database_is_away_nothing_is_scored():
    with pytest.raises(Unavailable):
        await scored(scoring(Scripted([Unavailable()])), by("judge"))
