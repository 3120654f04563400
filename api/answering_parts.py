"""What searches and answers are put together of."""

from commands.answering import Answerer
from commands.expanding import Expanding
from commands.model_calls import ChatModels, RerankModels
from commands.ports import Things
from commands.prompt_run import PromptRuns
from commands.reranking import Reranking
from commands.retrieval import Searcher
from commands.searching import ToolSearches


def answerer_of(
    *, things: Things, searcher: Searcher, chat: ChatModels, rerankers: RerankModels, prompts: PromptRuns
) -> Answerer:
    """Return who answers questions, and searches on the way."""
    reranking = Reranking(things=things, models=rerankers, chat=chat)
    expanding = Expanding(things=things, chat=chat, prompts=prompts)
    searches = ToolSearches(things=things, searcher=searcher, expanding=expanding, reranking=reranking)
    return Answerer(things=things, searches=searches, models=chat, prompts=prompts)
