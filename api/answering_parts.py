"""What searches, answers and agents are put together of."""

from commands.agents.actions import Actions
from commands.agents.agent_loop import AgentLoop
from commands.agents.classifying import Classifier
from commands.agents.guardrails import Guards
from commands.agents.looking_back import LookingBack
from commands.agents.summaries import Memory
from commands.agents.tool_actions import ToolActions
from commands.agents.tools import Tools
from commands.bus import Bus
from commands.conversations.private_source import PrivateSources
from commands.conversations.turn_answering import TurnAnswering
from commands.knowledge.languages import LanguageDetector
from commands.models.model_calls import ChatModels, EmbeddingModels, RerankModels
from commands.ports import Things
from commands.prompt_run import PromptRuns
from commands.retrieval.answering import Answerer
from commands.retrieval.expanding import Expanding
from commands.retrieval.grounding import GroundingChecks
from commands.retrieval.post_processing import PostProcessing
from commands.retrieval.recent_searches import RecentSearches
from commands.retrieval.reranking import Reranking
from commands.retrieval.retrieval import Searcher
from commands.retrieval.searching import ToolSearches


def answerer_of(
    *,
    things: Things,
    searcher: Searcher,
    chat: ChatModels,
    rerankers: RerankModels,
    prompts: PromptRuns,
    embeddings: EmbeddingModels,
    languages: LanguageDetector,
    recent: RecentSearches,
) -> Answerer:
    """Return who answers questions, and searches on the way."""
    reranking = Reranking(things=things, models=rerankers, chat=chat)
    expanding = Expanding(things=things, chat=chat, prompts=prompts)
    searches = ToolSearches(things=things, searcher=searcher, expanding=expanding, reranking=reranking, recent=recent)
    return Answerer(
        things=things,
        searches=searches,
        models=chat,
        prompts=prompts,
        languages=languages,
        grounding=GroundingChecks(chat=chat, embeddings=embeddings),
        post_processing=PostProcessing(things=things, chat=chat, prompts=prompts),
    )


def turn_answering_of(
    *, bus: Bus, things: Things, chat: ChatModels, loop: AgentLoop, prompts: PromptRuns, sources: PrivateSources
) -> TurnAnswering:
    """Return what has turns answered."""
    memory = Memory(things=things, models=chat, prompts=prompts)
    looking_back = LookingBack(guards=loop.guards)
    return TurnAnswering(bus=bus, things=things, loop=loop, memory=memory, looking_back=looking_back, sources=sources)


def agent_loop_of(
    *,
    things: Things,
    chat: ChatModels,
    answerer: Answerer,
    prompts: PromptRuns,
    tools: Tools,
    guards: Guards,
) -> AgentLoop:
    """Return what lets agents answer."""
    actions = Actions(things=things, answerer=answerer, prompts=prompts, tools=ToolActions(tools=tools))
    classifier = Classifier(things=things, models=chat, prompts=prompts)
    return AgentLoop(models=chat, actions=actions, classifier=classifier, guards=guards)
