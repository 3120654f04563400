"""What the models of knowledge sources, retrieval tools and RAG tools must be able to do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from commands.configuration import Change
from commands.ports import Things
from domain.errors import Invalid, NotFound
from domain.model import Model
from domain.references import places

CHAT = frozenset({"chat"})
KINDS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "retrieval_tool": {
        "rewrite/model": CHAT,
        "translate/model": CHAT,
        "multi_query/model": CHAT,
        "rerank/model": frozenset({"rerank", "chat"}),
    },
    "knowledge_source": {"transformation/model": CHAT},
    "rag_tool": {"grounding/model": CHAT, "post_processing/model": CHAT},
}
"""Kind of thing -> where a model is named -> kinds of models that will do."""


@dataclass(frozen=True, kw_only=True)
class ModelKinds:
    """The rule of such tools: models are of a kind that can do what they are named for."""

    things: Things

    async def __call__(self, change: Change) -> None:
        """Raise Invalid where one is not."""
        await must_be_able(self.things, change.thing.TOPIC, change.thing.definition)


async def must_be_able(things: Things, kind: str, definition: Mapping[str, Any], prefix: str = "") -> None:
    """Raise Invalid where a model is of a kind that will not do; `prefix` is where the definition stands."""
    for pointer, id, kinds in _named(KINDS.get(kind, {}), definition):
        try:
            model = await things.newest(Model, id)
        except NotFound:
            continue  # the append refuses what refers to it
        if model.definition["kind"] not in kinds:
            raise Invalid(
                f"A model of kind {' or '.join(sorted(kinds))} is needed here; this one is of kind "
                f"{model.definition['kind']}.",
                code="wrong_model_kind",
                pointer=prefix + pointer,
            )


def _named(
    known: Mapping[str, frozenset[str]], definition: Mapping[str, Any]
) -> Iterator[tuple[str, UUID, frozenset[str]]]:
    for path, kinds in known.items():
        for each in (path, f"variants/*/{path}"):
            for pointer, container, key in places(definition, each):
                yield pointer, UUID(container[key]), kinds
