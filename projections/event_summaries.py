"""What happened, in plain words: the sentence that stands with each event."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from eventsourcing.domain import Aggregate
from eventsourcing.utils import get_topic

from domain.api_key import ApiKey
from domain.configuration_events import (
    ArchivedAway,
    Created,
    Described,
    LabelRemoved,
    Published,
    Restored,
    RolledBack,
    SecretCleared,
    SecretSet,
    Tagged,
)
from domain.model import DefaultModel
from domain.tag import Tag

UNREADABLE = "Something that this version of Magnet can't read: use a newer one"


def summary(event: object) -> str:
    """Say in plain words what happened; never what persons said."""
    cls: Any = type(event)
    return _said_by(cls)(event)


@cache
def _said_by(cls: type[Any]) -> Callable[[Any], str]:
    """Return what says what happened, found once for each class of events: this is asked for every event that leaves."""
    for classes, said in SHARED.items():
        if issubclass(cls, classes):
            return said
    if not issubclass(cls, Aggregate.Event):
        return lambda _: UNREADABLE
    topic = get_topic(cls)
    # What says no more than that it happened is named for it.
    name = topic.partition(".")[2].replace("_", " ").capitalize()
    return SAID.get(topic, lambda _: name)


def counted(number: int, word: str) -> str:
    """Return a number of things."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def named(target: Mapping[str, Any], otherwise: str) -> str:
    """Return what was run: its kind and name; where it was never saved, what it is."""
    name = target.get("name")
    return f"{str(target.get('kind')).replace('_', ' ')} {name}" if name else otherwise


def ended(outcome: str, error: Mapping[str, Any] | None) -> str:
    """Return how something ended."""
    return f"{outcome} ({error['code']})" if error and error.get("code") else outcome


def switched(event: Any) -> str:
    """Return what a change of `active` does."""
    return "Switched on" if event.active else "Switched off"


SAID: Mapping[str, Callable[[Any], str]] = {
    "api_key.roles_changed": lambda e: (
        f"Roles are {', '.join(e.roles) or 'none'}, groups {', '.join(e.groups) or 'none'}"
    ),
    "channel.activity_changed": switched,
    "checkpoint.signed": lambda e: f"Vouched for the first {counted(e.size, 'event')}",
    "conversation.action_completed": lambda e: f"Did {e.function}: {e.outcome}",
    "conversation.action_started": lambda e: f"Began {e.function}",
    "conversation.close_decided": lambda e: f"To be closed by {e.by}",
    "conversation.confirmation_given": lambda e: "Agreed to an action" if e.approved else "Declined an action",
    "conversation.created": lambda _: "Began",
    "conversation.delivery_failed": lambda _: "A part of an answer could not be sent",
    "conversation.feedback_given": lambda e: f"Feedback: {e.rating}",
    "conversation.guardrail_triggered": lambda e: f"Guardrail {e.guardrail}: {e.action}",
    "conversation.handed_off": lambda e: f"Handed off to {named({'kind': 'agent', **e.agent}, 'another agent')}",
    "conversation.topic_chosen": lambda e: f"Topic: {e.topic or e.intent}",
    "conversation.turn_failed": lambda e: f"Turn failed: {e.code}",
    "document.created": lambda e: f"Given as '{e.external_id}'",
    "document.failed": lambda e: f"Version {e.number} failed: {e.code}",
    "document.indexed": lambda e: f"Version {e.number} is found in index {e.index}: {counted(e.chunks, 'passage')}",
    "document.removed": lambda e: f"Removed: {e.cause}",
    "document.version_added": lambda e: f"Version {e.number}, {counted(e.size, 'byte')}",
    "knowledge_source.index_started": lambda e: f"Began to build index {e.index}",
    "knowledge_source.index_switched": lambda e: f"Index {e.index} answers now",
    "model.activity_changed": switched,
    "model.default_changed": lambda e: "Became the default" if e.default else "Is the default no more",
    "pipeline_run.created": lambda e: f"Began a run of {named(e.pipeline, 'a pipeline')}",
    "pipeline_run.failed": lambda e: ended("Failed", e.error),
    "pipeline_run.item_ended": lambda e: f"Step {e.step}, {e.item}: {ended(e.outcome, e.error)}",
    "pipeline_run.item_started": lambda e: f"Step {e.step}, {e.item}: begun",
    "run.finished": lambda e: f"Ended: {ended(e.outcome, e.error)}",
    "run.started": lambda e: f"Began a run of {named(e.target, e.kind)}",
    "run_texts.destroyed": lambda e: f"Ended the texts of runs of {counted(len(e.days), 'day')}",
    "subject.answers_removed": lambda e: f"Removed {counted(e.answers, 'stored answer')}",
    "subject.created": lambda e: f"Noted the subject {e.subject}",
    "subject.erased": lambda _: "Erased what the subject said",
    "subject.exported": lambda _: "Gave out what is held of the subject",
    "sync.failed": lambda e: f"Failed: {e.code}",
    "sync.listed": lambda e: f"Listed {counted(e.documents, 'document')}, {e.to_fetch:,} of them to be fetched",
    "webhook.activity_changed": switched,
}
"""What a kind's own events say."""

SHARED: Mapping[type, Callable[[Any], str]] = {
    Created: lambda e: f"Created '{e.name}'",
    Described: lambda _: "Changed title or description",
    Tagged: lambda e: f"Tagged as {', '.join(e.tags)}" if e.tags else "Removed all tags",
    Published: lambda e: f"Published version {e.version} as {e.label}",
    LabelRemoved: lambda e: f"Removed the label {e.label}",
    RolledBack: lambda e: f"Rolled back to version {e.to_version}",
    SecretSet: lambda e: f"Set the secret {e.field}",
    SecretCleared: lambda e: (
        f"Cleared the secret {e.field}"
        f"{', because the address moved to another origin' if e.cause == 'origin_changed' else ''}"
    ),
    ApiKey.ArchivedAway: lambda _: "Revoked",
    ArchivedAway: lambda _: "Archived",
    Restored: lambda _: "Restored",
    DefaultModel.Created: lambda e: f"Chose the first default {e.kind} model",
    DefaultModel.Chosen: lambda e: (
        "Chose no model as the default" if e.model_id is None else "Chose another default model"
    ),
    Tag.Created: lambda e: f"Noted the tag {e.tag}, to rename it",
    Tag.Renamed: lambda e: f"Renamed to {e.to} on {counted(e.things, 'thing')}",
}
"""What events say that several kinds have, or that are known by their class; of several that fit, the first."""
