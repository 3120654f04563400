"""A model's own rules: each kind has at most one default, and what is embedded follows its models."""

from typing import cast
from uuid import UUID

from commands.configuration import Change
from commands.knowledge.knowledge_source import FOLLOW_MODELS, concerns_indexes
from domain.model import DefaultModel, Model


async def settle_model(change: Change) -> None:
    """Keep the default single, and have knowledge sources follow."""
    await settle_default(change)
    if concerns_indexes(cast(Model, change.thing), change.before):
        change.unit.effect("job", kind=FOLLOW_MODELS, key="all")


async def settle_default(change: Change) -> None:
    """Keep the default of the model's kind single: the former default steps back with this command."""
    model, unit = cast(Model, change.thing), change.unit
    was_default = change.before is not None and change.before["default"]
    if model.archived:
        model.set_default(False)
    wants = model.definition["default"]
    if wants == was_default:
        return
    kind = model.definition["kind"]
    default = await unit.find(DefaultModel, DefaultModel.create_id(kind))
    if not wants:
        if default is not None and default.model_id == str(model.id):
            default.choose(None)
            unit.save(default)
        return
    if default is None:
        unit.save(DefaultModel(kind=kind, model_id=str(model.id)))
        return
    if default.model_id not in (None, str(model.id)):
        former = await unit.load(Model, UUID(default.model_id))
        former.set_default(False)
        unit.save(former)
    default.choose(str(model.id))
    unit.save(default)
