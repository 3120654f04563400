"""What a RAG tool does besides answering: languages, grounding, categories, fields; each told, and on record."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.test_prompt_runs import events_in
from tests.support.handbook import HOLIDAYS
from tests.support.library import Library, library
from tests.support.model_server import ModelServer, Reply, server_error
from tests.support.server import Running

ASK = "/v1/rag-tools/ask/answer"
NO_ANSWER = "I can't find that in the documents."


@pytest.fixture
async def books(handbook: None, magnet: Running, server: ModelServer) -> AsyncIterator[Library]:
    """Two documents, models, and a RAG tool over them."""
    async with library(magnet) as made:
        yield made


async def set_to(books: Library, **settings: Any) -> None:
    await books.magnet.do("PATCH", "/v1/rag-tools/ask?publish=true", settings)


def prompts(server: ModelServer) -> list[str]:
    return [request.prompt for request in server.requests if request.path.endswith("/chat/completions")]


async def test_the_answers_language_is_that_of_the_question_or_the_tools_and_the_model_is_told(
    books: Library, server: ModelServer
):
    german = "Wie viele Tage Urlaub habe ich im Jahr?"
    server.script_for("chat-model", *[Reply(text="Ja [1].")] * 5)
    assert (await books.ask(german))["language"] is None
    await set_to(books, languages={})
    assert (await books.ask(german))["language"] == {"question": "de", "answer": "de"}
    assert (await books.last_run())["output"]["language"] == {"question": "de", "answer": "de"}
    assert (await books.ask("lunch"))["language"] == {"question": None, "answer": None}
    await set_to(books, languages={"detect": False, "answer": "French"})
    assert (await books.ask("lunch"))["language"] == {"question": None, "answer": "French"}
    told = prompts(server)
    same = "Answer in the language of the question."
    assert [same in each for each in told] == [True, False, True, False]
    assert "Answer in this language: de." in told[1]
    assert "Answer in this language: French." in told[3]
    prompt = {
        "name": "own",
        "text": "In {{ language }}: {{ question }}",
        "variables": {"question": {}, "language": {}},
    }
    await books.magnet.do("POST", "/v1/prompts", prompt)
    await set_to(books, prompt="own", languages={"detect": True, "answer": "asked"})
    await books.ask(german)
    assert server.last.question == f"In de: {german}"


GROUNDED, INVENTED = "Holidays are thirty days a year [1].", "The moon is made of cheese [1]."


def judged(*passages: list[int]) -> Reply:
    entries = [{"sentence": number, "passages": each} for number, each in enumerate(passages, 1)]
    return Reply(text=json.dumps({"sentences": entries}))


async def test_by_similarity_each_sentence_is_told_with_the_passages_that_support_it_and_it_is_on_record(
    books: Library, server: ModelServer
):
    await set_to(books, grounding={"check": "similarity"})
    server.script_for("chat-model", Reply(text=f"{GROUNDED} {INVENTED}"))
    answer = await books.ask("How many holidays?")
    run = await books.last_run()
    told = answer["grounding"]
    assert (told["method"], told["score"], told["passed"], told["withheld"]) == ("similarity", 0.5, False, False)
    assert told["model"]["name"] == "embedding"
    first, second = told["sentences"]
    assert answer["text"][first["start"] : first["end"]] == GROUNDED
    [holidays] = [passage["id"] for passage in answer["passages"] if passage["text"] == HOLIDAYS]
    assert (first["supported"], first["passages"]) == (True, [holidays])
    assert first["score"] == pytest.approx(1, abs=0.2)
    assert (second["supported"], second["passages"]) == (False, [])
    kinds = [(step["kind"], step["parent"]) for step in run["steps"]]
    assert kinds == [
        ("search", None),
        ("embedding", 1),
        ("model_call", None),
        ("attempt", 3),
        ("grounding", None),
        ("model_call", 5),
        ("attempt", 6),
    ]
    assert (run["usage"], run["cost"]) == (answer["usage"], answer["cost"])
    assert run["output"]["grounding"] == told
    assert answer["timings_ms"]["grounding"] > 0


async def test_an_answer_that_fails_is_withheld_plain_and_streamed_where_the_tool_says_so(
    books: Library, server: ModelServer
):
    await set_to(books, grounding={"check": "model", "on_failure": "no_answer", "least": 0.6})
    text = f"{GROUNDED} {INVENTED}"
    server.script_for("chat-model", Reply(text=text), judged([1], []))
    plain = await books.ask("How many holidays?")
    assert (plain["text"], plain["resolution"], plain["citations"]) == (NO_ANSWER, "not_answered", [])
    assert (plain["grounding"]["score"], plain["grounding"]["withheld"]) == (0.5, True)
    assert plain["grounding"]["sentences"] == []
    assert INVENTED not in json.dumps(plain)
    server.script_for("chat-model", Reply(text=text, pieces=list(text)), judged([1], []))
    events = events_in((await books.call(ASK, {"question": "How many holidays?", "stream": True})).text)
    assert [type for type, _ in events] == ["answer.started", "message.delta", "answer.completed"]
    assert events[1][1]["text"] == NO_ANSWER
    server.script_for("chat-model", Reply(text=text, pieces=list(text)), judged([1], [2]))
    events = events_in((await books.call(ASK, {"question": "How many holidays?", "stream": True})).text)
    assert [type for type, _ in events] == ["answer.started", "message.delta", "citation", "answer.completed"]
    last = events[-1][1]
    assert (last["text"], last["grounding"]["score"], last["grounding"]["method"]) == (text, 1, "model")
    assert [each["supported"] for each in last["grounding"]["sentences"]] == [True, True]


async def test_a_check_that_can_not_be_made_is_told_and_withholds_only_where_the_tool_says_so(
    books: Library, server: ModelServer
):
    wrong = [Reply(text="perhaps"), Reply(text="still perhaps")]
    for on_failure, text in (("flag", GROUNDED), ("no_answer", NO_ANSWER)):
        await set_to(books, grounding={"check": "model", "on_failure": on_failure})
        server.script_for("chat-model", Reply(text=GROUNDED), *wrong)
        answer = await books.ask("How many holidays?")
        assert answer["text"] == text
        assert answer["grounding"] == {
            "method": "model",
            "failed": "invalid_output",
            "withheld": on_failure == "no_answer",
        }
    # What is wrong is told to the model once: the answer, the judgement, and that again.
    assert len(prompts(server)) == 6


async def test_without_a_model_words_are_compared_and_what_was_not_answered_is_not_checked(
    magnet: Running, server: ModelServer
):
    async with library(magnet) as books:
        await books.tools()
        await books.add("a", HOLIDAYS)
        await set_to(books, grounding={"check": "similarity"})
        answer = await books.ask("How many holidays?")
        assert (answer["model"], answer["grounding"]["method"]) == ("extractive", "overlap")
        assert (answer["grounding"]["score"], answer["grounding"]["model"]) == (1, None)
        await books.models(server)
        server.script_for("chat-model", Reply(text=NO_ANSWER))
        assert (await books.ask("How many holidays?"))["grounding"] is None
        refused = await books.magnet.call(
            "PATCH", "/v1/rag-tools/ask", {"grounding": {"check": "model", "model": "embedding"}}
        )
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "wrong_model_kind")


CATEGORIES = [{"name": "leave", "description": "Days off."}, {"name": "food"}]
MOOD = {
    "type": "object",
    "properties": {"mood": {"$ref": "#/$defs/mood"}},
    "required": ["mood"],
    "$defs": {"mood": {"enum": ["good", "bad"]}},
}


async def test_one_call_tells_category_and_fields_by_the_tools_schema_and_it_is_on_record(
    books: Library, server: ModelServer
):
    await set_to(books, categories=CATEGORIES, post_processing={"fields": MOOD})
    wrong, right = (
        Reply(text='{"category": "cars", "mood": "good"}'),
        Reply(text='{"category": "leave", "mood": "good"}'),
    )
    server.script_for("chat-model", Reply(text=GROUNDED), wrong, right)
    answer = await books.ask("How many holidays?")
    run = await books.last_run()
    assert (answer["category"], answer["processed"], answer["notes"]) == ("leave", {"mood": "good"}, [])
    told = prompts(server)
    assert "Days off." in told[1]
    assert "fit the schema at '/category'" in told[2]
    form = server.last.body["response_format"]["json_schema"]["schema"]
    assert form["properties"]["category"] == {"enum": ["leave", "food", None]}
    assert json.loads(server.last.body["messages"][1]["content"]) == {
        "question": "How many holidays?",
        "answer": GROUNDED,
        "resolution": "answered",
    }
    [step] = [step for step in run["steps"] if step["kind"] == "post_processing"]
    assert step["output"] == {"category": "leave", "mood": "good"}
    assert [each["kind"] for each in run["steps"] if each["parent"] == step["number"]] == ["model_call", "model_call"]
    assert (run["output"]["category"], run["output"]["processed"]) == ("leave", {"mood": "good"})
    assert (run["usage"], run["cost"]) == (answer["usage"], answer["cost"])


async def test_a_prompt_of_ones_own_is_given_the_answer_and_a_failure_leaves_the_answer_as_it_is(
    books: Library, server: ModelServer
):
    text = "{{ question }}|{{ answer }}|{{ resolution }}|{{ categories[1].name }}"
    names = ("question", "answer", "resolution", "categories")
    prompt = {"name": "tell", "text": text, "variables": {name: {} for name in names}}
    await books.magnet.do("POST", "/v1/prompts", prompt)
    await set_to(books, categories=CATEGORIES, post_processing={"fields": MOOD, "prompt": "tell"})
    server.script_for("chat-model", Reply(text=NO_ANSWER), Reply(text='{"category": null, "mood": "bad"}'))
    answer = await books.ask("Why?")
    assert server.last.question == f"Why?|{NO_ANSWER}|not_answered|food"
    assert (answer["category"], answer["processed"]) == (None, {"mood": "bad"})
    assert [each["name"] for each in (await books.last_run())["versions"]["prompts"]] == ["tell"]
    server.script_for("chat-model", Reply(text=GROUNDED), server_error())
    events = events_in((await books.call(ASK, {"question": "How many holidays?", "stream": True})).text)
    last = events[-1][1]
    assert events[-1][0] == "answer.completed"
    assert (last["text"], last["category"], last["processed"]) == (GROUNDED, None, None)
    [note] = last["notes"]
    assert note.startswith("Neither categorised nor processed")
