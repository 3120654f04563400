"""Research: a message is taken apart, looked into part by part within bounds, and answered with what was found."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid5

import orjson
import pytest

from commands.agents.agent_part import Part
from commands.agents.agent_talk import ActionStarted, Course
from commands.agents.budgets import TurnLimitReached
from commands.agents.guarding import Guard
from commands.agents.inquiring import searching
from commands.agents.other_agents import HandedOff
from commands.agents.researching import Learned, Planned, Reflected
from commands.agents.tool_actions import ToolFacts
from commands.models.model_calls import ModelCallFailed, NoModel
from commands.replays.replay_record import RecordedActions, TurnRecord
from domain.agent import Agent
from domain.research import note_research, plan_research
from domain.retrieval import Found, Passage
from tests.domain.test_turn_effects import AGENT, talking
from tests.support.patience import PATIENCE
from tests.support.scripted_agents import SHOUT, Agents, calls, only, reply_in

ROOT = UUID(int=7)
FIND = {"type": "retrieval_tool", "tool": "find", "function": "find"}
NOTHING_MISSING = '{"questions": []}'


def asks(*questions: str) -> str:
    return orjson.dumps({"questions": questions}).decode()


def a_passage(text: str) -> Passage:
    id = uuid5(ROOT, text)
    places: dict[str, Any] = {"start": 0, "end": len(text), "page": None, "heading": None}
    document: dict[str, Any] = {"document_id": id, "document_version": 1, "external_id": text, "title": text}
    rest: dict[str, Any] = {"url": None, "metadata": {}, "source_id": ROOT, "score": 1.0, "scores": {}}
    return Passage(id=id, text=text, **document, **places, **rest)


@dataclass
class Books:
    """Finds what a query names, once so many search at the same time, and a next page around each passage."""

    together: int = 1
    asked: list[str] = field(default_factory=list)
    groups: set[Any] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._barrier = asyncio.Barrier(self.together)

    @property
    def searches(self) -> "Books":
        return self

    @property
    def searcher(self) -> "Books":
        return self

    async def by_tool(self, recording: Any, tool: UUID, query: str, *, groups: Any, **more: Any) -> Found:
        async with asyncio.timeout(PATIENCE), self._barrier:
            self.asked.append(query)
            self.groups.add(groups)
        return Found(
            passages=[a_passage(word) for word in query.split()],
            retrieval="lexical",
            filter=None,
            timings_ms={},
            indexes={},
        )

    async def widen(self, passages: Sequence[Passage], window: int) -> Sequence[Passage]:
        return [wider for each in passages for wider in (each, a_passage(f"{each.text}, next page"))]


def a_scholar(books: Books | None = None, research: dict[str, Any] | None = None, **more: Any) -> Agents:
    agents = Agents(books or Books())
    settings = {"at_once": 1, **(research or {})}
    agents.make(Agent, "scholar", **{"instructions": "You know.", "actions": [FIND], "research": settings, **more})
    return agents


ONE = [calls("find", query="rain"), "It rains [1]."]
OTHER = [calls("find", query="snow rain"), "It snows [1], not rain [2] [9]."]


async def test_a_message_is_planned_looked_into_thought_over_and_answered_with_citations_of_what_was_noted():
    agents = a_scholar()
    pieces = await agents.ask(
        "scholar", "Weather?", steps=[asks("Rain?", "Snow?"), *ONE, *OTHER, NOTHING_MISSING, "Both [1, 2] [3]."]
    )
    kinds = (Planned, ActionStarted, Learned, Reflected)
    assert [type(each) for each in pieces if isinstance(each, kinds)] == [
        Planned, ActionStarted, Learned, ActionStarted, Learned, Reflected
    ]  # fmt: skip
    first, second = (each.noted for each in only(Learned, pieces))
    assert (first.question, first.notes, [each["number"] for each in first.passages]) == ("Rain?", "It rains [1].", [1])
    assert (second.notes, [each["title"] for each in second.passages]) == ("It snows [2], not rain [1] .", ["snow"])
    reply = reply_in(pieces)
    assert reply.content == "Both [1, 2] ."
    assert [each["title"] for each in reply.citations] == ["rain", "snow"]
    assert [each["outcome"] for each in reply.tool_calls] == ["completed", "completed"]
    assert reply.details["research"] == {
        "ended": "enough", "questions": 2, "noted": 2, "noted_before": 0, "steps": 2
    }  # fmt: skip
    assert [each["role"] for each in reply.history] == ["assistant"], "later turns are told the answer, not the notes"


async def test_markers_that_come_about_where_others_were_removed_point_at_nothing_either():
    agents = a_scholar()
    steps = [asks("Rain?"), ONE[0], "It rains [[99]1] [[9]7].", NOTHING_MISSING, "Yes."]
    [learned] = only(Learned, await agents.ask("scholar", "?", steps=steps))
    assert learned.noted.notes == "It rains [1] ."
    assert [each["number"] for each in learned.noted.passages] == [1]


async def test_whoever_answers_is_told_the_notes_and_may_do_nothing_any_more():
    agents = a_scholar()
    await agents.ask("scholar", "Weather?", steps=[asks("Rain?"), *ONE, NOTHING_MISSING, "Yes."])
    roles = [role for role, _ in agents.model.told()]
    assert (roles, agents.model.offered()) == (["system", "system", "user"], [])
    assert "Rain?\nIt rains [1]." in agents.model.told()[1][1]


async def test_each_part_is_a_step_with_what_was_asked_and_done_for_it_below():
    agents = a_scholar()
    await agents.ask("scholar", "Weather?", steps=[asks("Rain?"), *ONE, NOTHING_MISSING, "Yes."])
    top = [step for step in agents.recording.steps if step.parent is None]
    assert [(step.kind, step.name) for step in top] == [
        ("research", "plan"),
        ("research", "question"),
        ("research", "reflect"),
        ("model_call", "chat"),
    ]
    below = [step.kind for step in agents.recording.steps if step.parent == top[1].number]
    assert below == ["model_call", "action", "model_call"]


async def test_what_is_missing_is_looked_into_until_it_is_enough_and_never_the_same_again():
    agents = a_scholar()
    steps = [asks("Rain?"), *ONE, asks("rain?", "Snow?"), *OTHER, NOTHING_MISSING, "Both."]
    pieces = await agents.ask("scholar", "Weather?", steps=steps)
    assert [each.questions for each in only(Reflected, pieces)] == [["Snow?"], []]
    assert [each.noted.number for each in only(Learned, pieces)] == [1, 2]


async def test_there_are_so_many_sub_questions_at_most_a_third_of_them_for_what_is_missing():
    agents = a_scholar(research={"questions": 3})
    plan, more = asks("a?", "b?", "c?"), asks("d?", "e?")
    pieces = await agents.ask("scholar", "?", steps=[plan, "A.", "B.", more, "D.", "All."])
    assert only(Planned, pieces)[0].questions == ["a?", "b?"]
    assert only(Reflected, pieces)[0].questions == ["d?"]
    assert reply_in(pieces).details["research"]["ended"] == "questions"


async def test_at_the_bound_of_steps_it_is_noted_and_answered_with_what_there_is_and_that_is_said():
    agents = a_scholar(research={"steps": 1})
    pieces = await agents.ask("scholar", "?", steps=[asks("Rain?", "Snow?"), ONE[0], (ONE[1], OTHER[0]), "Rain [1]."])
    assert agents.model.requests[2].tool_choice == "none"
    assert [each.noted.notes for each in only(Learned, pieces)] == ["It rains [1]."]
    assert reply_in(pieces).details["research"] == {
        "ended": "steps", "questions": 2, "noted": 1, "noted_before": 0, "steps": 1
    }  # fmt: skip
    assert "stays open" in agents.model.told()[1][1]


@pytest.mark.parametrize(("bound", "ended"), [({"tokens": 300}, "tokens"), ({"cost": {"amount": "0.003"}}, "cost")])
async def test_at_the_bound_of_tokens_or_cost_it_is_answered_with_what_there_is(bound: dict[str, Any], ended: str):
    agents = a_scholar(research=bound)
    pieces = await agents.ask("scholar", "?", steps=[asks("Rain?", "Snow?"), *ONE, "Rain [1]."])
    assert (reply_in(pieces).content, reply_in(pieces).details["research"]["ended"]) == ("Rain [1].", ended)


@pytest.mark.parametrize(("bound", "ended"), [({"tokens": 500}, "tokens"), ({"cost": {"amount": "0.005"}}, "cost")])
async def test_what_an_attempt_that_was_cut_off_took_counts_at_the_bounds_of_the_next_one(
    bound: dict[str, Any], ended: str
):
    agents = a_scholar()
    conversation, turn = talking()
    steps = [asks("Rain?", "Snow?", "Hail?"), *ONE, *OTHER, ModelCallFailed()]
    pieces = await agents.told_until_it_fails("scholar", "?", steps=steps)
    for piece in pieces:
        match piece:
            case Planned():
                plan_research(conversation, turn, piece.questions, fell_back=False, spent=piece.spent)
            case Learned():
                note_research(conversation, turn, piece.noted, spent=piece.spent)
    conversation.interrupt(turn)
    again = conversation.turn(conversation.retry(turn, agent=AGENT))
    assert again["research"]["spent"] == {
        "usage": {"total": 500}, "cost": {"amount": "0.005", "currency": "USD"}
    }  # fmt: skip
    next_attempt = a_scholar(research=bound)
    course = Course(research=again["research"])
    answered = await next_attempt.ask("scholar", "?", steps=["Rain and snow [1]."], course=course)
    assert reply_in(answered).details["research"]["ended"] == ended
    more = a_scholar(research={"tokens": 900})
    answered = await more.ask("scholar", "?", steps=[*ONE, asks(), "It hails [1]."], course=course)
    assert reply_in(answered).details["research"]["ended"] == "enough", "there were some left"


async def test_at_the_limit_of_the_turn_no_model_is_asked_any_more():
    agents = a_scholar(limits={"tokens": 300})
    with pytest.raises(TurnLimitReached):
        await agents.ask("scholar", "?", steps=[asks("Rain?", "Snow?"), *ONE, "Never said."])
    assert len(agents.model.requests) == 3


async def test_sub_questions_are_looked_into_at_the_same_time():
    books = Books(together=2)
    agents = a_scholar(books, {"at_once": 2})
    same = calls("find", query="rain")
    steps = [asks("Rain?", "Rain again?"), same, same, "So [1].", "So [1].", NOTHING_MISSING, "Yes [1]."]
    pieces = await agents.ask("scholar", "?", steps=steps)
    assert books.asked == ["rain", "rain"]
    assert [each["title"] for each in reply_in(pieces).citations] == ["rain"], "one passage has one number"


async def test_it_reads_on_around_a_passage_and_cites_what_stands_there():
    agents = a_scholar()
    steps = [
        asks("Rain?"),
        calls("find", query="rain"),
        calls("read_on", passage=1),
        "Then [2].",
        NOTHING_MISSING,
        "So [1].",
    ]
    pieces = await agents.ask("scholar", "?", steps=steps)
    assert agents.model.offered(1) == ["find", "read_on"]
    assert [each["title"] for each in reply_in(pieces).citations] == ["rain, next page"]
    await agents.ask("scholar", "?", steps=[asks("Rain?"), calls("read_on", passage=1), "No.", NOTHING_MISSING, "No."])
    assert agents.done[-1].outcome == "invalid_arguments"


async def test_research_asks_for_nobodys_agreement_and_hands_nothing_over():
    agents = a_scholar()
    agents.make(Agent, "other", instructions="You know more.")
    over = {"type": "agent", "tool": "other", "function": "to_other", "hand_off": True}
    agreed = {**SHOUT, "requires_confirmation": True}
    agents.make(Agent, "careful", instructions="You know.", actions=[FIND, agreed, over], research={})
    steps = [asks("Rain?"), calls("shout"), "Nothing.", NOTHING_MISSING, "No."]
    await agents.ask("careful", "?", steps=steps, confirms=True)
    assert agents.model.offered(1) == ["find", "read_on"]
    assert agents.done[-1].outcome == "unknown_function"


async def test_it_goes_on_from_what_was_recorded_and_asks_no_model_for_that_again():
    agents = a_scholar()
    with pytest.raises(ModelCallFailed):
        await agents.ask("scholar", "?", steps=[asks("Rain?", "Snow?"), *ONE, ModelCallFailed()])
    noted = {
        "number": 1, "question": "Rain?", "notes": "It rains [1].", "steps": 1, "passages": [kept_of("rain")]
    }  # fmt: skip
    recorded = {"questions": ["Rain?", "Snow?"], "notes": [noted], "enough": False}
    agents.model.requests.clear()
    course = Course(research=recorded)
    pieces = await agents.ask("scholar", "?", steps=[*OTHER, NOTHING_MISSING, "Both [1, 2]."], course=course)
    assert only(Planned, pieces) == []
    assert [each.noted.question for each in only(Learned, pieces)] == ["Snow?"]
    assert only(Learned, pieces)[0].noted.notes == "It snows [2], not rain [1] ."
    assert [each["title"] for each in reply_in(pieces).citations] == ["rain", "snow"]
    assert reply_in(pieces).details["research"]["noted_before"] == 1
    course = Course(research={**recorded, "questions": ["Rain?"], "enough": True})
    pieces = await agents.ask("scholar", "?", steps=["Rain [1]."], course=course)
    assert reply_in(pieces).content == "Rain [1].", "where all was found out, only the answer is asked for"


def kept_of(text: str) -> dict[str, Any]:
    passage = asdict(a_passage(text))
    names = ("id", "document_id", "source_id")
    plain = {name: value for name, value in passage.items() if name in KEPT}
    return {"number": 1, **plain, **{name: str(passage[name]) for name in names}}


KEPT = ("document_version", "external_id", "title", "url", "start", "end", "page", "heading")


async def test_a_model_that_plans_nothing_has_the_message_looked_into_as_it_is():
    agents = a_scholar()
    pieces = await agents.ask("scholar", "Rain?", steps=["Well.", "[]", *ONE, "a", "b", "Yes [1]."])
    [plan], [reflection] = only(Planned, pieces), only(Reflected, pieces)
    assert (plan.questions, plan.fell_back) == (["Rain?"], True)
    assert (reflection.questions, reflection.fell_back) == ([], True)
    outcomes = [step.outcome for step in agents.recording.steps if step.kind == "research"]
    assert outcomes == ["invalid_output", "completed", "invalid_output"]


async def test_without_a_model_it_is_refused():
    with pytest.raises(NoModel):
        await a_scholar().ask("scholar", "Rain?", steps=[])


async def test_where_nothing_can_be_searched_it_is_answered_at_once():
    agents = a_scholar(actions=[])
    assert reply_in(await agents.ask("scholar", "Hi", steps=["Hello."])).content == "Hello."


async def test_only_what_a_person_says_is_looked_into_not_what_a_client_has_done_for_it():
    call = {"id": "c9", "type": "function", "function": {"name": "theirs", "arguments": "{}"}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "c9", "content": "Sun."}
    for messages in (["Weather?", asked, result], [{"role": "system", "content": "Greet."}]):
        assert reply_in(await a_scholar().ask("scholar", *messages, steps=["Hello."])).content == "Hello."


async def test_what_it_notes_passes_the_guardrails_of_what_is_said():
    rails = {"output": [{"type": "pii", "action": "mask"}]}
    agents = a_scholar(guardrails=rails)
    steps = [asks("Who is a@b.org?"), calls("find", query="rain"), "Write to a@b.org [1].", NOTHING_MISSING, "Done."]
    pieces = await agents.ask("scholar", "?", steps=steps)
    assert only(Planned, pieces)[0].questions == ["Who is [email]?"]
    assert only(Learned, pieces)[0].noted.notes == "Write to [email] [1]."


async def test_a_variant_may_look_into_questions_where_the_agent_does_not():
    agents = a_scholar(research=None, variants={"deep": {"weight": 1, "research": {"questions": 1}}})
    thing = await agents.shelf.newest(Agent, Agent.create_id("scholar"))
    assert Agent.as_variant(thing.definition, "deep")["research"]["steps"] == 20


async def test_an_agent_that_is_asked_by_another_one_looks_into_that_and_begins_anew():
    agents = a_scholar()
    ask = {"type": "agent", "tool": "scholar", "function": "ask_scholar"}
    agents.make(Agent, "desk", instructions="You receive.", actions=[ask])
    steps = [
        calls("ask_scholar", message="Weather?"),
        asks("Rain?"),
        *ONE,
        NOTHING_MISSING,
        "Rain [1].",
        "It rains [1].",
    ]
    pieces = await agents.ask(
        "desk", "?", steps=steps, course=Course(research={"questions": ["?"], "notes": [], "enough": True})
    )
    assert [each["title"] for each in reply_in(pieces).citations] == ["rain"]
    assert only(Planned, pieces) == []


async def test_what_stands_in_the_place_of_actions_does_so_in_research_too():
    books = Books()
    agents = a_scholar(books)
    own = agents.loop.actions
    record = TurnRecord(
        actions=[{"function": "find", "arguments": "{}", "result": "It rained.", "outcome": "completed"}]
    )
    actions = RecordedActions(
        things=own.things, answerer=own.answerer, prompts=own.prompts, tools=own.tools, record=record, live=False
    )
    agents.loop = replace(agents.loop, actions=actions)
    await agents.ask("scholar", "?", steps=[asks("Rain?"), *ONE, NOTHING_MISSING, "Yes."])
    assert (books.asked, [each.told for each in agents.done]) == ([], ["It rained."])


def test_of_tools_research_uses_those_that_change_nothing_and_need_nobodys_agreement():
    facts = {
        "look": ToolFacts(changes=False, requires_confirmation=False, calls_per_turn=None),
        "order": ToolFacts(changes=True, requires_confirmation=False, calls_per_turn=None),
        "peek": ToolFacts(changes=False, requires_confirmation=True, calls_per_turn=None),
    }
    actions = {name: {"type": "api_tool", "function": name} for name in facts}
    acting = SimpleNamespace(by_name=actions, guard=Guard(facts=facts))
    assert list(searching(cast(Part, SimpleNamespace(acting=acting)))) == ["look"]


async def test_an_agent_that_takes_over_looks_into_what_it_was_handed():
    agents = a_scholar()
    over = {"type": "agent", "tool": "scholar", "function": "to_scholar", "hand_off": True}
    agents.make(Agent, "desk", instructions="You receive.", actions=[over])
    steps = [calls("to_scholar", message="It is about rain."), asks("Rain?"), *ONE, NOTHING_MISSING, "Rain [1]."]
    pieces = await agents.ask("desk", "Weather?", steps=steps)
    assert [type(each) for each in pieces if isinstance(each, HandedOff | Planned)] == [HandedOff, Planned]
    assert "It is about rain." in agents.model.told(1)[-1][1], "the plan is made with what was told with it"
    assert [each["title"] for each in reply_in(pieces).citations] == ["rain"]
