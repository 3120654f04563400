"""What a RAG tool does besides answering: languages, grounding, categories, fields; each told, and on record."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.library import Library, library
from tests.support.model_server import ModelServer, Reply
from tests.support.server import Running

HOLIDAYS, LUNCH = "Holidays are thirty days a year.", "Lunch is at noon, on thirty tables."
NO_ANSWER = "I can't find that in the documents."


@pytest.fixture
def server() -> Any:
    with ModelServer(vectors="words") as running:
        yield running


@pytest.fixture
async def books(magnet: Running, server: ModelServer) -> AsyncIterator[Library]:
    """Two documents, models, and a RAG tool over them."""
    async with library(magnet) as made:
        await made.models(server)
        await made.tools()
        await made.add("a", HOLIDAYS, title="Leave")
        await made.add("b", LUNCH, title="Canteen")
        server.requests.clear()
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
