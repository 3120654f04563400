"""Files of conversations: indexed by jobs that go on after a kill, and searched whatever became of that."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from commands.agents.agent_talk import Course
from commands.configuration import resolved
from commands.conversations.attachments import FilesOfTurn
from commands.conversations.index_files import IndexFiles
from commands.conversations.private_source import PrivateDocument, PrivateSources
from commands.jobs import Failed, Finished, Job
from commands.knowledge.reading import ReaderDown
from commands.models.model_calls import Embedded, ModelCallFailed
from domain.agent import Agent
from domain.conversation import Conversation
from domain.conversation_files import attach
from domain.conversation_forks import Cut, fork
from domain.model import DefaultModel, Model
from domain.pricing import Usage
from domain.private_source import Standing
from domain.provider import Provider
from domain.turn import Reply
from tests.domain.test_conversation import asked
from tests.domain.test_conversation_files import a_file
from tests.support.model_server.vectors import by_words
from tests.support.patience import PATIENCE
from tests.support.reading import PlainReader
from tests.support.scripted_agents import MODEL, Agents, calls, reply_in

LONG = "\n\n".join(f"Paragraph {number} says nothing." for number in range(30))
CELLAR = f"{LONG}\n\nThe archive is in the cellar.\n\n{LONG}"


class Killed(BaseException):
    """The process is gone."""


class World:
    """An embedding model that can be away, what is kept of files, and the queue that carries out what is asked for."""

    def __init__(self, **agent: Any) -> None:
        self.agents = Agents()
        self.agents.make(Agent, "clerk", instructions="You help.", **agent)
        self.agents.make(Provider, "house", type="openai_compatible", base_url="http://127.0.0.1:1/v1")
        definition = resolved(Model, {"provider": "house", "model": "gpt-small", "kind": "embedding"})
        model = Model.create(name="small", definition=definition)
        self.agents.shelf.put(model)
        self.model = model.id
        self.agents.shelf.put(cast(Any, DefaultModel(kind="embedding", model_id=str(model.id))))
        self.kept: dict[UUID, dict[str, PrivateDocument]] = {}
        self.embedded: list[str] = []
        self.fails: list[BaseException] = []
        self.asked: list[str] = []
        self.works, self.answers = True, "gpt-small"
        things = self.agents.shelf
        self.sources = PrivateSources(
            things=things, reader=PlainReader(), models=self, documents=cast(Any, self), queue=cast(Any, self), room=100,
            patience=0.05,
        )  # fmt: skip
        self.indexing = IndexFiles(
            things=things, about=cast(Any, self), reader=PlainReader(), models=self, documents=cast(Any, self), room=100
        )

    def put(self, *texts: str) -> tuple[Conversation, str]:
        """Return a conversation with files, and its turn."""
        conversation, turn = asked("Where is the archive?")
        conversation.agent = conversation.answering = str(Agent.create_id("clerk"))
        attach(conversation, turn, [a_file(f"{number}.txt", text) for number, text in enumerate(texts)])
        self.agents.shelf.put(cast(Any, conversation))
        return conversation, turn

    async def index(self, conversation: Conversation) -> Any:
        job = Job(id=uuid4(), kind=self.indexing.kind, key=str(conversation.id))
        return (await self.indexing.carry_out([job]))[job.id]

    # The queue and what keeps ----------------------------------------------

    async def ask(self, kind: str, keys: Sequence[str]) -> None:
        self.asked += keys
        if self.works:
            for key in keys:
                await self.index(await self.agents.shelf.newest(Conversation, UUID(key)))

    async def standing(self, conversation: UUID) -> Mapping[str, Standing]:
        return {id: made.standing for id, made in self.kept.get(conversation, {}).items()}

    async def read(self, conversation: UUID) -> Mapping[str, PrivateDocument]:
        return self.kept.get(conversation, {})

    async def keep(self, conversation: UUID, subject: str, documents: Mapping[str, PrivateDocument]) -> None:
        self.kept.setdefault(conversation, {}).update(documents)

    async def remove(self, conversation: UUID) -> None:
        self.kept.pop(conversation, None)

    # The model, and the run of it --------------------------------------------

    async def embed(self, model: UUID | None, texts: Sequence[str], space: str | None = None, **_: Any) -> Embedded:
        if self.fails:
            raise self.fails.pop(0)
        self.embedded += texts
        used = replace(MODEL, id=self.model, model=self.answers)
        vectors = [by_words(text, 64).astype("<f4").tobytes() for text in texts]
        return Embedded(
            vectors=vectors, dimensions=64, model=used, usage=Usage(input=1), cost=self.agents.model.cost, attempts=()
        )

    async def settings(self, conversation: Conversation) -> tuple[Any, Any]:
        return None, None

    async def begin(self, *_: Any) -> Any:
        recording = self.agents.recording
        recording.finish = noted  # type: ignore[method-assign]
        return recording


async def noted(*_: Any, **__: Any) -> Any:
    """Note an end."""


async def files_of(world: World, conversation: Conversation, turn: str, **more: Any) -> FilesOfTurn:
    await world.sources.prepare(conversation)
    return await FilesOfTurn.of(conversation, turn, world.sources, world.agents.recording, **more)


def refused(status: int | None) -> ModelCallFailed:
    details = {} if status is None else {"upstream_status": status}
    return ModelCallFailed("No: the archive is secret.", code="upstream_error", details=details)


async def test_a_turn_is_told_what_its_message_finds_in_long_files_and_searches_them_further():
    world = World()
    conversation, turn = world.put(CELLAR, "Tea is at four.")
    files = await files_of(world, conversation, turn)
    assert "[1] 0.txt" in files.told()[0]["content"] and "The archive is in the cellar." in files.found[0].text
    assert str(files.found[0].document_id) == conversation.files[conversation.turn(turn)["message_id"]][0]["id"]
    assert files.found[0].source_id == conversation.id
    assert {each["type"] for each in files.known_to(await world.agents.chosen("clerk")).definition["actions"]} == {
        "files"
    }
    given = list(files.found)
    numbers = range(1, len(given) + 1)
    told, _ = await files.search(world.agents.recording, "Where is the archive?", given, numbers, None)
    assert told.startswith("Found, and given to you before: [1"), "what was given keeps its number"
    assert [each.id for each in given] == list(dict.fromkeys(each.id for each in given))


async def test_what_was_found_in_files_and_withheld_counts_as_given_to_nobody():
    world = World()
    conversation, turn = world.put(CELLAR)
    files = await files_of(world, conversation, turn)
    given = list(files.found)
    told, numbers = await files.search(world.agents.recording, "Where is the archive?", given, (), None)
    assert "The archive is in the cellar." in told and "given to you before" not in told
    assert set(numbers) == set(range(len(files.found) + 1, len(given) + 1))


async def test_a_job_that_was_killed_goes_on_with_what_is_left():
    world = World()
    conversation, _ = world.put(CELLAR, LONG)
    world.fails = [Killed()]
    with pytest.raises(Killed):
        await world.index(conversation)
    assert await world.index(conversation) == Finished()
    texts = len(world.embedded)
    [first, second] = world.kept[conversation.id]
    del world.kept[conversation.id][second]
    world.fails = []
    assert await world.index(conversation) == Finished()
    assert len(world.embedded) == texts + len(world.kept[conversation.id][second].passages)
    assert len(world.kept[conversation.id][first].vectors) == world.kept[conversation.id][first].standing.passages
    assert await world.index(conversation) == Finished()
    assert len(world.embedded) == texts + len(world.kept[conversation.id][second].passages)


async def test_while_the_model_is_away_files_are_found_by_their_words_and_tried_again():
    world = World()
    conversation, turn = world.put(CELLAR)
    world.fails = [refused(503)]
    files = await files_of(world, conversation, turn)
    assert "cellar" in files.found[0].text and files.found[0].scores["vector"] is None
    [state] = (await world.sources.states(conversation)).values()
    assert (state["status"], state["retrieval"], state["failure"]["code"]) == ("failed", "lexical", "upstream_error")
    assert "secret" not in str(state), "what a provider said may quote the file"
    world.fails = [refused(None)]
    assert await world.index(conversation) == Failed(error="upstream_error")
    files = await files_of(world, conversation, turn)
    assert files.found[0].scores["vector"] is not None
    world.fails = [refused(500)]
    files = await files_of(world, conversation, turn)
    assert "cellar" in files.found[0].text, "also where the query alone could not be embedded"
    world.answers = "another-model"
    files = await files_of(world, conversation, turn)
    assert files.found[0].scores["vector"] is None, "what stands in for the model has no vectors to compare with"
    assert {each["status"] for each in (await world.sources.states(conversation)).values()} == {"indexed"}


async def test_a_turn_does_not_wait_for_ever_for_files_that_nobody_indexes():
    world = World()
    world.works = False
    conversation, turn = world.put(CELLAR)
    async with asyncio.timeout(PATIENCE):
        files = await files_of(world, conversation, turn)
    assert world.asked == [str(conversation.id)] and "cellar" in files.found[0].text
    assert {each["status"] for each in (await world.sources.states(conversation)).values()} == {"pending"}


async def test_where_files_can_not_be_cut_the_turn_says_so_and_is_answered():
    world = World()
    world.works = False
    conversation, turn = world.put(CELLAR)

    class Down(PlainReader):
        async def cut(self, *_: Any, **__: Any) -> Any:
            raise ReaderDown

    world.sources = replace(world.sources, reader=Down())
    files = await files_of(world, conversation, turn)
    assert files.found == () and "could not be searched for my message: The processes" in files.told()[0]["content"]


async def test_where_guardrails_mask_what_persons_say_no_other_model_is_told_it():
    world = World(guardrails={"input": [{"type": "pii", "action": "mask"}]})
    conversation, turn = world.put(CELLAR)
    files = await files_of(world, conversation, turn)
    assert "cellar" in files.found[0].text and world.embedded == []
    assert {each["retrieval"] for each in (await world.sources.states(conversation)).values()} == {"lexical"}


async def test_a_turn_that_goes_on_has_the_passages_that_it_began_with_under_their_numbers():
    world = World()
    conversation, turn = world.put(CELLAR)
    files = await files_of(world, conversation, turn)
    without_texts = [replace(each, text="") for each in files.found]
    elsewhere = replace(files.found[0], source_id=uuid4(), text="")
    again = await files_of(world, conversation, turn, given=[*without_texts, elsewhere])
    assert again.told() == files.told()


async def test_what_stands_in_the_messages_is_cited_by_the_agent_that_is_told_it_and_by_no_other():
    actions = [{"type": "agent", "tool": "other", "function": "ask_other"}]
    world = World()
    world.agents.make(Agent, "other", instructions="You help, too.")
    world.agents.make(Agent, "first", instructions="You ask.", actions=actions)
    conversation, turn = world.put(CELLAR)
    files = await files_of(world, conversation, turn)
    steps = [calls("ask_other", message="Where?"), "There [1].", "In the cellar [1]."]
    pieces = await world.agents.ask("first", "Where?", steps=steps, course=Course(told=files.found))
    reply = reply_in(pieces)
    assert reply.content == "In the cellar [1]." and [each["marker"] for each in reply.citations] == ["[1]"]
    assert reply.citations[0]["document_id"] == str(files.found[0].document_id)
    [told] = [done.told for done in world.agents.done if done.call.name == "ask_other"]
    assert "There" in told and "[1]" not in told, "who is asked in between was told none"


async def test_research_searches_by_itself_and_is_told_nothing_before():
    world = World()
    conversation, turn = world.put(CELLAR)
    assert (await files_of(world, conversation, turn, searches=False)).found == ()


async def test_a_fork_takes_over_what_was_made_and_closing_removes_it():
    world = World()
    conversation, turn = world.put(CELLAR)
    await world.index(conversation)
    conversation.complete(turn, Reply(content="In the cellar."))
    made = fork(conversation, Cut.after(conversation, None), id=uuid4(), subject=None, principal=conversation.principal)
    made.answering = conversation.answering
    world.agents.shelf.put(cast(Any, made))
    texts = len(world.embedded)
    assert await world.index(made) == Finished()
    assert len(world.embedded) == texts and len(world.kept[made.id]) == 1
    conversation.close(by="person")
    assert await world.index(conversation) == Finished()
    assert list(world.kept) == [made.id]


async def test_without_a_model_files_are_cut_and_found_by_their_words():
    world = World()
    world.agents.shelf.things = {
        id: thing for id, thing in world.agents.shelf.things.items() if not isinstance(thing, DefaultModel)
    }
    conversation, turn = world.put(CELLAR)
    files = await files_of(world, conversation, turn)
    assert "cellar" in files.found[0].text and world.embedded == []
