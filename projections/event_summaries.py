"""What happened, in plain words: the sentence that stands with each event."""

from collections.abc import Callable, Mapping
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
    match event:
        case Created(name=name):
            return f"Created '{name}'"
        case Described():
            return "Changed title or description"
        case Tagged(tags=[]):
            return "Removed all tags"
        case Tagged(tags=tags):
            return f"Tagged as {', '.join(tags)}"
        case Published(version=version, label=label):
            return f"Published version {version} as {label}"
        case LabelRemoved(label=label):
            return f"Removed the label {label}"
        case RolledBack(to_version=version):
            return f"Rolled back to version {version}"
        case SecretSet(field=field):
            return f"Set the secret {field}"
        case SecretCleared(field=field, cause="origin_changed"):
            return f"Cleared the secret {field}, because the address moved to another origin"
        case SecretCleared(field=field):
            return f"Cleared the secret {field}"
        case ArchivedAway():
            return "Revoked" if isinstance(event, ApiKey.ArchivedAway) else "Archived"
        case Restored():
            return "Restored"
        case DefaultModel.Created(kind=kind):
            return f"Chose the first default {kind} model"
        case DefaultModel.Chosen(model_id=None):
            return "Chose no model as the default"
        case DefaultModel.Chosen():
            return "Chose another default model"
        case Tag.Created(tag=tag):
            return f"Noted the tag {tag}, to rename it"
        case Tag.Renamed(to=to, things=things):
            return f"Renamed to {to} on {counted(things, 'thing')}"
        case Aggregate.Event():
            topic = get_topic(type(event))
            said = SAID.get(topic)
            # What says no more than that it happened is named for it.
            return topic.partition(".")[2].replace("_", " ").capitalize() if said is None else said(event)
        case _:
            return UNREADABLE


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
