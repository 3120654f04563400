"""What is cited: numbers in brackets are markers where passages may be given, and of those that were, to who writes."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.agents.actions import ActionDone
from commands.agents.guardrails import WITHHELD, Watch
from commands.agents.pausing import resumption_of
from commands.agents.researching import Learned
from commands.choosing import choose
from commands.retrieval.answering import Answered, Answerer, Cited, Searched
from commands.retrieval.post_processing import PostProcessing
from domain.agent import Agent
from domain.rag_tool import RagTool
from domain.retrieval import Passage
from tests.commands.test_research import Books, a_passage
from tests.domain.test_turn_effects import talking
from tests.support.scripted_agents import SHOUT, Agents, calls, only, pause_in, reply_in

ASK = {"type": "rag_tool", "tool": "ask", "function": "ask"}
FIND = {"type": "retrieval_tool", "tool": "find", "function": "find"}
SURE = {**SHOUT, "requires_confirmation": True}

CODE = "Use `sys.argv[0]`:\n\n```python\nrows = [[1, 2], [3, 4]]\nfirst = rows[0][1]\n```\nThen go on"


def an_agent(*actions: dict[str, object]) -> Agents:
    made = Agents()
    made.make(Agent, "helper", instructions="You help.")
    made.make(Agent, "desk", instructions="You help.", actions=list(actions))
    return made


@pytest.mark.parametrize(
    ("actions", "said", "told", "invented"),
    [
        ([{"type": "agent", "tool": "helper"}], f"{CODE} [3].", f"{CODE} .", 1),
        ([SHOUT], f"{CODE} [3].", f"{CODE} [3].", 0),
        ([], "print(sys.argv[0]); a = [0] * 5", "print(sys.argv[0]); a = [0] * 5", 0),
    ],
)
async def test_code_comes_as_it_was_said_and_only_who_may_be_given_passages_invents_citations(
    actions: list[dict[str, object]], said: str, told: str, invented: int
):
    reply = reply_in(await an_agent(*actions).ask("desk", "How?", steps=[said]))
    assert (reply.content, reply.citations) == (told, [])
    assert reply.details["invented_citations"] == invented


async def test_what_answers_directly_and_found_nothing_is_said_as_it_is():
    agents = an_agent({**SHOUT, "answer_directly": True}, {"type": "agent", "tool": "helper", "answer_directly": True})
    said = reply_in(await agents.ask("desk", "Numbers!", steps=[calls("shout"), '{"rows": [1, 2], "next": [3]}']))
    assert said.content == '{"rows": [1, 2], "next": [3]}'


def a_reader(*actions: dict[str, Any], books: Books | None = None, **more: Any) -> tuple[Agents, Answerer]:
    """Return an agent "desk" whose RAG tool "ask" finds a passage for each word of a question, and who answers there."""
    answering = SimpleNamespace(searches=books or Books())
    agents = Agents(answering)
    prompts = agents.loop.actions.prompts
    answerer = Answerer(
        things=agents.shelf,
        searches=cast(Any, answering.searches),
        models=agents.model,
        prompts=prompts,
        languages=cast(Any, None),
        grounding=cast(Any, None),
        post_processing=PostProcessing(things=agents.shelf, chat=agents.model, prompts=prompts),
    )
    answering.answer = answerer.answer
    agents.make(RagTool, "ask", retrieval_tool="find")
    agents.make(Agent, "helper", instructions="You help.", actions=[ASK])
    agents.make(Agent, "desk", instructions="You help.", actions=list(actions), **more)
    return agents, answerer


async def test_an_answer_cites_no_passage_that_was_found_for_another_one_meanwhile():
    agents, answerer = a_reader()
    tool = await choose(agents.shelf, RagTool, RagTool.create_id("ask"), subject="ada")
    given: list[Passage] = []
    agents.model.steps[:] = ["Rain [1] or snow [2].", "Snow [1] [2]."]
    one, other = (
        answerer.answer(agents.recording, tool, word, groups=None, subject="ada", given=given)
        for word in ("rain", "snow")
    )
    found = [await anext(each) for each in (one, other)]
    assert [len(each.found.passages) for each in only(Searched, found)] == [1, 1]
    for answer, text, cited in ((one, "Rain [1] or snow .", "rain"), (other, "Snow  [2].", "snow")):
        pieces = [piece async for piece in answer]
        [answered] = only(Answered, pieces)
        assert (answered.text, answered.invented) == (text, 1)
        assert [each["title"] for each in answered.citations] == [cited]
        assert [each.citation["title"] for each in only(Cited, pieces)] == [cited]


async def test_an_agent_cites_what_a_rag_tool_cites_and_not_what_only_that_was_given():
    agents, _ = a_reader(ASK)
    steps = [calls("ask", question="rain snow"), "It snows [2].", "Snow [2], rain [1]."]
    reply = reply_in(await agents.ask("desk", "Weather?", steps=steps))
    assert (reply.content, reply.details["invented_citations"]) == ("Snow [2], rain .", 1)
    assert [each["title"] for each in reply.citations] == ["snow"]


async def test_an_agent_cites_what_another_one_cites_and_not_what_only_that_was_given():
    agents, _ = a_reader({"type": "agent", "tool": "helper", "function": "helper"}, FIND)
    steps = [
        calls("find", query="fog"),
        calls("helper", message="Snow?"),
        calls("ask", question="rain snow"),
        "It snows [3].",
        "It snows [3], not fog [1].",
        "Fog [1], snow [3], rain [2].",
    ]
    reply = reply_in(await agents.ask("desk", "Weather?", steps=steps))
    assert (reply.content, reply.details["invented_citations"]) == ("Fog [1], snow [3], rain .", 1)
    assert [each["title"] for each in reply.citations] == ["fog", "snow"]


async def test_after_a_pause_an_agent_cites_what_it_was_told_before():
    agents, _ = a_reader(ASK, SURE)
    asked = [calls("ask", question="rain snow"), "It snows [2].", calls("shout")]
    pause = pause_in(await agents.ask("desk", "Weather?", steps=asked, confirms=True))
    conversation, turn = talking()
    conversation.request_confirmation(turn, pause)
    conversation.decide(next(iter(conversation.confirmations)), approved=True)
    resumed = resumption_of(conversation, turn)
    reply = reply_in(await agents.ask("desk", "Weather?", steps=["HEY!", "Snow [2], rain [1]."], resumed=resumed))
    assert (reply.content, reply.details["invented_citations"]) == ("Snow [2], rain .", 1)


async def test_what_is_withheld_from_an_agent_is_not_cited(monkeypatch: pytest.MonkeyPatch):
    agents, _ = a_reader(FIND)

    async def withheld(watch: Watch, stage: str, rails: Any, text: str) -> str:
        return WITHHELD

    monkeypatch.setattr(Watch, "_seen", withheld)
    reply = reply_in(await agents.ask("desk", "Weather?", steps=[calls("find", query="rain"), "Rain [1]."]))
    assert [each.outcome for each in only(ActionDone, agents.done)] == ["withheld"]
    assert (reply.content, reply.details["invented_citations"]) == ("Rain .", 1)


class OneBook(Books):
    """Has snow on the page after rain."""

    async def widen(self, passages: Sequence[Passage], window: int) -> Sequence[Passage]:
        return [a_passage("rain"), a_passage("snow")]


async def test_what_stands_around_a_passage_is_told_also_where_only_a_rag_tool_was_given_it():
    agents, _ = a_reader(ASK, books=OneBook(), research={"at_once": 1})
    plan, nothing_missing = '{"questions": ["Rain?"]}', '{"questions": []}'
    asked = [calls("ask", question="rain snow"), "It rains [1]."]
    read_on = [calls("read_on", passage=1), "Rain [1], snow [2], snow [3]."]
    pieces = await agents.ask("desk", "Weather?", steps=[plan, *asked, *read_on, nothing_missing, "Yes."])
    assert [each.told for each in only(ActionDone, pieces)] == ["It rains [1].", "[3] snow\nsnow"]
    [learned] = only(Learned, pieces)
    assert learned.noted.notes == "Rain [1], snow , snow [2]."


async def test_without_a_model_an_agent_quotes_its_rag_tool_with_its_citations():
    agents, _ = a_reader(ASK)
    reply = reply_in(await agents.ask("desk", "rain snow", steps=[]))
    assert [each["title"] for each in reply.citations] == ["rain", "snow"]
    assert reply.details["invented_citations"] == 0
