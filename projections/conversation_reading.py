"""A conversation as it is read: from the log itself, now or as it was, by whoever may see it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from domain.conversation import Conversation
from domain.conversation_files import file_in
from domain.conversation_notes import Titled
from domain.errors import NotFound
from domain.research import research_shown
from domain.turn import answer_id, content_of
from projections.configurations import next_cursor
from projections.conversations import ConversationsQuery, ConversationsView
from projections.documents import rfc3339
from projections.history import Log, Streams
from projections.recorded import LogEntry
from projections.run_reading import Revealer


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who reads: a principal, and whether they may see what others began, and what reviewers noted."""

    type: str
    id: str
    reads_all: bool
    reads_notes: bool = False

    def may_read(self, principal: Mapping[str, str]) -> bool:
        """Return whether they may read what a principal began."""
        return self.reads_all or (principal["type"], principal["id"]) == (self.type, self.id)


SCANNED_AT_ONCE = 100
SCANNED = 2_000
"""Conversations that one search looks through; the page's cursor goes on behind them."""


class Talks(Protocol):
    """Many conversations with what was said in them."""

    async def newest_of(self, kind: type[Conversation], ids: Collection[UUID]) -> Mapping[UUID, Conversation]:
        """Return many as they are now, without those that there are not."""


class ConversationLog(Log, Protocol):
    """The entries of conversations."""

    async def newest(self, streams: Sequence[UUID], topic: str) -> Sequence[LogEntry]:
        """Return the newest entry of a topic of each stream that has one."""


class FileStates(Protocol):
    """How the files of conversations stand in the sources that they are."""

    async def states(self, conversation: Conversation) -> Mapping[str, Mapping[str, Any]]:
        """Return what is told of how each file stands, by file: {status, retrieval, passages, failure}."""


@dataclass(frozen=True, kw_only=True)
class ConversationReader:
    """Reads conversations; one that the reader may not see is as absent."""

    streams: Streams
    log: ConversationLog
    view: ConversationsView
    talks: Talks
    revealer: Revealer
    files: FileStates

    async def page(self, query: ConversationsQuery, text: str | None) -> dict[str, Any]:
        """Return a page of a list, `{items, next_cursor}`; with a text, only where it was said.

        What was said is in no read model: it is looked for in the log, among what the query asks for, so a page
        may be short, or empty, and the next one have more.
        """
        found, following = await (self._some(query) if text is None else self._searched(query, text))
        names = await self.log.names({UUID(row["agent"]["id"]) for row in found})
        titles = await self._titles([UUID(row["id"]) for row in found])
        items = [
            {
                **row,
                "agent": {"id": row["agent"]["id"], "name": names[UUID(row["agent"]["id"])]},
                "title": titles.get(row["id"]),
            }
            for row in found
        ]
        return {"items": items, "next_cursor": None if following is None else next_cursor(following)}

    async def _titles(self, ids: Sequence[UUID]) -> Mapping[str, str | None]:
        """Return what conversations are called; a title says what is talked about, so it is in no read model."""
        entries = await self.log.newest(ids, Titled.TOPIC)
        await self.revealer.reveal([entry.event for entry in entries])
        return {str(entry.stream): entry.event.title for entry in entries}

    async def _some(self, query: ConversationsQuery) -> tuple[list[Mapping[str, Any]], int | None]:
        rows = await self.view.page(replace(query, limit=query.limit + 1))
        shown = rows[: query.limit]
        return [row for _, row in shown], shown[-1][0] if len(rows) > query.limit else None

    async def _searched(self, query: ConversationsQuery, text: str) -> tuple[list[Mapping[str, Any]], int | None]:
        wanted, found, after = text.casefold(), list[Mapping[str, Any]](), query.after
        for _ in range(SCANNED // SCANNED_AT_ONCE):
            rows = await self.view.page(replace(query, after=after, limit=SCANNED_AT_ONCE))
            talks = await self.talks.newest_of(Conversation, [UUID(row["id"]) for _, row in rows])
            for after, row in rows:
                talk = talks.get(UUID(row["id"]))
                if talk is not None and any(wanted in said.casefold() for said in talk.said()):
                    found.append(row)
                    if len(found) == query.limit:
                        return found, after
            if len(rows) < SCANNED_AT_ONCE:
                return found, None
        return found, after

    async def read(
        self, id: UUID, reader: Reader, *, version: int | None = None, as_of: datetime | None = None
    ) -> tuple[Conversation, int]:
        """Return a conversation and the position of its last event, now or at a version or time; or raise NotFound."""
        if as_of is not None:
            version = await self.streams.version_at(id, as_of)
            if version is None:
                raise absent()
        if version is not None:
            now = await self._newest(id, reader)
            conversation = (
                await self.streams.at_version(Conversation, id, version) if version < now[0].version else now[0]
            )
            if conversation.version != version:
                raise NotFound("There is no such version of this conversation.", code="unknown_version")
            return conversation, now[1]
        return await self._newest(id, reader)

    async def _newest(self, id: UUID, reader: Reader) -> tuple[Conversation, int]:
        loaded = await self.streams.load(id)
        if loaded is None or not isinstance(loaded[0], Conversation) or not reader.may_read(loaded[0].principal):
            raise absent()
        return loaded[0], loaded[1]

    async def file(self, conversation: Conversation, id: str) -> dict[str, Any]:
        """Return the public form of a file, or raise NotFound."""
        file = file_in(conversation, id)
        return shown_file(file, (await self.files.states(conversation))[id])

    async def shown_files(self, conversation: Conversation) -> dict[str, list[dict[str, Any]]]:
        """Return the public forms of all files, by the messages that they were given with."""
        if not conversation.files:
            return {}
        states = await self.files.states(conversation)
        return {
            message: [shown_file(file, states[file["id"]]) for file in files]
            for message, files in conversation.files.items()
        }

    async def document(
        self, conversation: Conversation, *, with_notes: bool, with_files: bool = False
    ) -> dict[str, Any]:
        """Return its public form, with what reviewers noted where they may be told, and what files say."""
        names = await self.log.names({UUID(conversation.agent), UUID(conversation.answering)})
        files = await self.shown_files(conversation)
        turns = list(conversation.turns.values())
        begun = [turn for turn in turns if turn["agent"]]
        created_at, updated_at = [
            (await self.log.stream(conversation.id, after=version - 1, before=version + 1, limit=1))[0].recorded_at
            for version in (1, conversation.version)
        ]
        return {
            "id": str(conversation.id),
            "version": conversation.version,
            "title": conversation.title,
            "agent": {"id": conversation.agent, "name": names[UUID(conversation.agent)]},
            "answering": {"id": conversation.answering, "name": names[UUID(conversation.answering)]},
            "subject": conversation.subject,
            "principal": conversation.principal,
            "variables": conversation.variables,
            "status": "closed" if conversation.closed else "open",
            "closed_by": conversation.closed_by,
            "processing": conversation.processing,
            "state": begun[-1]["state"] if begun else None,
            "channel": conversation.channel,
            "topic": conversation.topic,
            "summary": conversation.summary,
            "welcome_message": conversation.welcome,
            "forked_from": conversation.origin,
            "messages": [message for turn in turns for message in messages_of(turn, conversation, files)],
            "turns": [turn_shown(turn) for turn in turns],
            "confirmations": list(conversation.confirmations.values()),
            **({"notes": notes_of(conversation)} if with_notes else {}),
            **({"files": [file for each in files.values() for file in each]} if with_files and files else {}),
            "created_at": rfc3339(created_at),
            "updated_at": rfc3339(updated_at),
        }


def absent() -> NotFound:
    """Return the refusal of what is absent, or not to be seen."""
    return NotFound("There is no such conversation.")


def notes_of(conversation: Conversation) -> list[dict[str, Any]]:
    """Return what reviewers noted, the oldest first."""
    return [{**note, "created_at": moment(note["created_at"])} for note in conversation.notes]


def messages_of(
    turn: Mapping[str, Any], conversation: Conversation, files: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Return what was said in a turn, with the files of its message; one that was tried again stands in its first turn only."""
    said: list[dict[str, Any]] = []
    if turn["retry_of"] is None:
        said.append(
            {
                "id": turn["message_id"],
                "role": "user",
                "content": turn["content"],
                "attachments": [without_text(file) for file in files.get(turn["message_id"], ())],
                "turn": turn["id"],
                "created_at": moment(turn["started_at"]),
            }
        )
    reply = turn["reply"]
    if reply is not None or turn["partial"]:
        id = str(answer_id(UUID(turn["id"])))
        said.append(
            {
                "id": id,
                "role": "assistant",
                "content": content_of(turn),
                "citations": [] if reply is None else reply["citations"],
                "tool_calls": [] if reply is None else reply["tool_calls"],
                "turn": turn["id"],
                "state": turn["state"],
                "feedback": conversation.feedback.get(id),
                "copied": id in conversation.copied,
                "created_at": moment(turn["ended_at"] or turn["started_at"]),
            }
        )
    return said


def shown_file(file: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the public form of a file, with what it says and how it stands."""
    shown = {name: file[name] for name in ("id", "name", "media_type", "sha256", "size")}
    return {**shown, "characters": len(file["text"]), **state, "text": file["text"]}


def without_text(file: Mapping[str, Any]) -> dict[str, Any]:
    """Return the public form of a file without what it says."""
    return {name: value for name, value in file.items() if name != "text"}


def turn_shown(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return a turn's public form."""
    names = ("id", "number", "state", "run_id", "message_id", "retry_of", "actions", "error", "copied_from")
    return {
        **{name: turn[name] for name in names},
        "agent": turn["agent"] or None,
        "earlier_runs": [leg["run_id"] for leg in turn["legs"]],
        "topic": turn["topic"],
        "guardrails": turn["guardrails"],
        "code": turn["details"].get("code"),
        "handed_to": turn["handed_to"],
        "research": research_shown(turn),
        **{name: turn["details"].get(name) for name in ("usage", "cost")},
        "started_at": moment(turn["started_at"]),
        "ended_at": moment(turn["ended_at"]),
    }


def moment(text: str | None) -> str | None:
    """Return a kept time in its public form."""
    return None if text is None else rfc3339(datetime.fromisoformat(text))
