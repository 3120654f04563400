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
from commands.about_conversations import AboutConversations
from commands.bus import Bus
from commands.channel_deliveries import Adapters, DeliverAnswers
from commands.closing import CloseIdleConversations, FindIdle
from commands.conversation_processing import PostProcessConversations
from commands.document import Documents
from commands.embedding_texts import Embedder
from commands.index_building import FillIndexes, FollowModels
from commands.indexing import IndexDocuments
from commands.jobs import JobQueue, Work
from commands.model_calls import ChatModels, EmbeddingModels
from commands.pipeline_course import Entries
from commands.pipeline_items import PipelineItems
from commands.pipeline_work import RunPipelines
from commands.ports import Things
from commands.prompt_run import PromptRuns
from commands.queued_turns import BeginQueuedTurns, Standing
from commands.retention import EndRunTexts
from commands.runs import Runs
from commands.scheduling import SyncBySchedule
from commands.source_trial import SourceTrials
from commands.subject import RemoveAnswers
from commands.syncing import SyncSources
from commands.titling import TitleConversations
from commands.tokenizing import Cutter
from commands.transforming import Transformer
from commands.turns import Turns


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
    standing: Standing,
    chat: ChatModels,
    prompts: PromptRuns,
    channels: Adapters,
    entries: Entries,
    items: PipelineItems,
) -> list[Work]:
    """Return how each kind of job is carried out."""
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
        ),
        FillIndexes(
            bus=bus, things=things, queue=jobs, documents=documents, tables=PostgresVectorTables(pool), log=log
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
        BeginQueuedTurns(bus=bus, things=things, turns=turns, asking=standing),
        RunPipelines(bus=bus, things=things, runs=runs, entries=entries, items=items, asking=standing),
        CloseIdleConversations(bus=bus, things=things),
        FindIdle(queue=jobs, conversations=open_conversations),
        PostProcessConversations(bus=bus, about=about),
        TitleConversations(bus=bus, about=about),
        DeliverAnswers(bus=bus, things=things, adapters=channels),
        RemoveAnswers(bus=bus, answers=PostgresStoredAnswers(pool)),
    ]
