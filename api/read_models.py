"""The catalogue of read models: which projections are kept, and what writes their rows."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.postgres.configurations import PostgresConfigurationsWriter
from adapters.postgres.conversations import PostgresConversationsWriter
from adapters.postgres.passages.stored import StoredPassages
from adapters.postgres.passages.upkeep import keep_passages
from adapters.postgres.passages.writer import PostgresPassagesWriter
from adapters.postgres.runs import PostgresRunsWriter
from adapters.postgres.source_documents import PostgresSourceDocumentsWriter
from adapters.postgres.syncs import PostgresSyncsWriter
from adapters.projection_runner.batch import ReadModel
from commands.retrieval.vector_store import VectorStore
from projections.configurations import ConfigurationsProjection
from projections.conversations import ConversationsProjection
from projections.passages import PassagesProjection
from projections.runs import RunsProjection
from projections.source_documents import SourceDocumentsProjection
from projections.syncs import SyncsProjection

READ_MODELS: Sequence[ReadModel] = (
    ReadModel(projection=ConfigurationsProjection(), writer=PostgresConfigurationsWriter),
    ReadModel(projection=RunsProjection(), writer=PostgresRunsWriter, complete=PostgresRunsWriter.complete),
    ReadModel(projection=ConversationsProjection(), writer=PostgresConversationsWriter),
    ReadModel(
        projection=PassagesProjection(),
        writer=PostgresPassagesWriter,
        upkeep=keep_passages,
        complete=PostgresPassagesWriter.complete,
    ),
    ReadModel(
        projection=SourceDocumentsProjection(),
        writer=PostgresSourceDocumentsWriter,
        complete=PostgresSourceDocumentsWriter.complete,
    ),
    ReadModel(projection=SyncsProjection(), writer=PostgresSyncsWriter),
)


def read_models(store: VectorStore | None) -> Sequence[ReadModel]:
    """Return the read models; `store`: what vectors are put into besides, and asked what is near."""
    if store is None:
        return READ_MODELS
    keep = StoredPassages(store).keep
    return [replace(model, upkeep=keep) if model.upkeep is keep_passages else model for model in READ_MODELS]
