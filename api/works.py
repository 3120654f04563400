"""The catalogue of what a worker does besides keeping read models: which jobs are carried out, and by what."""

from psycopg_pool import AsyncConnectionPool

from adapters.event_store.data_keys import DataKeys
from adapters.event_store.log import EventLog
from adapters.event_store.stored_answers import PostgresStoredAnswers
from adapters.knowledge.contents import PostgresContents
from adapters.knowledge.scheduled_sources import PostgresScheduledSources, tell_failed, tell_refused
from adapters.knowledge.source_documents import PostgresSourceDocuments
from adapters.knowledge.sync_items import PostgresSyncItems
from adapters.knowledge.texts import PostgresTexts
from adapters.knowledge.transformations import PostgresTransformations
from adapters.knowledge.vectors import PostgresVectors
from adapters.postgres.conversations import PostgresConversationsView, PostgresOpenConversations
from adapters.postgres.passages.upkeep import PostgresVectorTables
from commands.bus import Bus
from commands.channels.channel_deliveries import Adapters, DeliverAnswers
from commands.conversations.about_conversations import AboutConversations
from commands.conversations.background_turns import CarryOutTurns
from commands.conversations.closing import CloseIdleConversations, FindIdle
from commands.conversations.conversation_processing import PostProcessConversations
from commands.conversations.index_files import IndexFiles
from commands.conversations.on_behalf import Standing
from commands.conversations.private_source import PrivateSources
from commands.conversations.queued_turns import BeginQueuedTurns
from commands.conversations.titling import TitleConversations
from commands.conversations.turn_work import Claims
from commands.conversations.turns import Turns
from commands.jobs import JobQueue, Work
from commands.knowledge.document import Documents
from commands.knowledge.embedding_texts import Embedder
from commands.knowledge.index_building import FillIndexes, FollowModels
from commands.knowledge.indexing import IndexDocuments
from commands.knowledge.scheduling import SyncBySchedule
from commands.knowledge.source_trial import SourceTrials
from commands.knowledge.syncing import SyncSources
from commands.knowledge.tokenizing import Cutter
from commands.knowledge.transforming import Transformer
from commands.models.model_calls import ChatModels, EmbeddingModels
from commands.pipelines.pipeline_course import Entries
from commands.pipelines.pipeline_items import PipelineItems
from commands.pipelines.pipeline_work import RunPipelines
from commands.ports import Things
from commands.prompt_run import PromptRuns
from commands.retrieval.recent_searches import RecentSearches
from commands.runs.retention import EndRunTexts
from commands.runs.runs import Runs
from commands.subject import RemoveAnswers


def works_of(
    *,
    bus: Bus,
    things: Things,
    pool: AsyncConnectionPool,
    jobs: JobQueue,
    models: EmbeddingModels,
    runs: Runs,
    cutter: Cutter,
    given: Documents,
    sources: SourceTrials,
    log: EventLog,
    keys: DataKeys,
    run_texts_days: int | None,
    turns: Turns,
    claims: Claims,
    standing: Standing,
    chat: ChatModels,
    prompts: PromptRuns,
    channels: Adapters,
    entries: Entries,
    items: PipelineItems,
    files: PrivateSources,
    indexed: bool,
    recent: RecentSearches,
) -> list[Work]:
    """Return how each kind of job is carried out; `indexed`: PostgreSQL itself searches vectors."""
    documents = PostgresSourceDocuments(pool)
    about = AboutConversations(things=things, runs=runs, models=chat, prompts=prompts)
    open_conversations = PostgresOpenConversations(PostgresConversationsView(pool))
    return [
        IndexDocuments(
            bus=bus,
            things=things,
            contents=PostgresContents(pool),
            texts=PostgresTexts(pool),
            cutter=cutter,
            transformer=Transformer(
                things=things,
                chat=chat,
                prompts=prompts,
                runs=runs,
                texts=PostgresTexts(pool),
                transformations=PostgresTransformations(pool),
            ),
            embedder=Embedder(models=models, vectors=PostgresVectors(pool), runs=runs),
            recent=recent,
        ),
        FillIndexes(
            bus=bus,
            things=things,
            queue=jobs,
            documents=documents,
            tables=PostgresVectorTables(pool, indexed=indexed),
            log=log,
        ),
        FollowModels(bus=bus, documents=documents),
        SyncSources(
            bus=bus,
            things=things,
            documents=given,
            items=PostgresSyncItems(pool),
            connectors=sources.connectors,
            secrets=sources.secrets,
        ),
        SyncBySchedule(
            bus=bus,
            things=things,
            queue=jobs,
            sources=PostgresScheduledSources(pool),
            refused=tell_refused,
            failed=tell_failed,
        ),
        EndRunTexts(bus=bus, keys=keys, log=log, days=run_texts_days),
        CarryOutTurns(bus=bus, things=things, turns=turns, claims=claims, asking=standing),
        BeginQueuedTurns(bus=bus, things=things, turns=turns, asking=standing),
        RunPipelines(bus=bus, things=things, runs=runs, entries=entries, items=items, asking=standing),
        CloseIdleConversations(bus=bus, things=things),
        FindIdle(queue=jobs, conversations=open_conversations),
        PostProcessConversations(bus=bus, about=about),
        TitleConversations(bus=bus, about=about),
        DeliverAnswers(bus=bus, things=things, adapters=channels),
        RemoveAnswers(bus=bus, answers=PostgresStoredAnswers(pool), files=files.documents),
        IndexFiles(
            things=things,
            about=about,
            reader=files.reader,
            models=models,
            documents=files.documents,
            room=files.room,
        ),
    ]
