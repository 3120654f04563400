"""Single passages, changed by people: edited, switched off and on, and written by hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from commands.bus import Bus, Done
from commands.knowledge import document_checks
from commands.knowledge.connectors import GivenDocument
from commands.knowledge.document import INDEX_DOCUMENT, Added, Contents, Documents, OnDocument, addressed, groups_in
from commands.ports import Context, Receipt, Things, Unit
from domain.errors import Conflict, Invalid
from domain.passage_edits import THE_ONLY_ONE, PassageName

LONGEST = 30_000
"""Characters of a passage that a person writes: what embedding models read of one text."""


def said(value: Any, pointer: str) -> str:
    """Return what a passage says, or raise Invalid."""
    text = document_checks.text(value, pointer, 1, LONGEST)
    if not text.strip():
        raise Invalid("A passage says something.", code="wrong_length", pointer=pointer)
    return text


CHECKS: Mapping[str, Callable[[Any, str], Any]] = {
    "text": said,
    "title": lambda value, pointer: document_checks.line(value, pointer, 0, 1000),
    "url": lambda value, pointer: None if value is None else document_checks.address(value, pointer),
    "metadata": document_checks.metadata,
    "acl": lambda value, pointer: None if value is None else document_checks.groups(value, pointer),
}
"""What each field of a passage that is written by hand must be."""


class NotWritten(Conflict):
    """This passage was cut from a document: disable it, or remove the document."""

    code = "not_manual"


@dataclass(frozen=True, kw_only=True)
class Addressed:
    """A passage of a document, as a caller addresses it; None: the one that the document is, written by hand."""

    source: UUID
    document: UUID
    passage: PassageName | None
    orphaned: bool = False


@dataclass(frozen=True, kw_only=True)
class ChangePassage(OnDocument):
    """Change a passage that was cut: what it says (`text_sha256`; None with `restored`: as it was cut), or if it is found."""

    passage: PassageName
    text_sha256: str | None = None
    restored: bool = False
    disabled: bool | None = None


@dataclass(frozen=True, kw_only=True)
class RewritePassage(OnDocument):
    """Change a passage that was written by hand: its `content` (SHA-256 and bytes), some details, or if it is found."""

    content: tuple[str, int] | None
    details: Mapping[str, Any]
    disabled: bool | None


@dataclass(frozen=True, kw_only=True)
class PassageHandlers:
    """Carries out the commands on passages."""

    things: Things

    async def change(self, command: ChangePassage, unit: Unit) -> Done:
        """Change a passage that was cut; what it says is found once that was indexed."""
        document = await addressed(command, unit, self.things)
        edition = document.edition
        if command.text_sha256 is not None or command.restored:
            document.edit(command.passage, text_sha256=command.text_sha256)
        if command.disabled is not None:
            document.disable(command.passage, disabled=command.disabled)
        edited = document.edition != edition
        if edited:
            unit.effect("job", kind=INDEX_DOCUMENT, key=str(document.id))
        unit.save(document)
        return Done(aggregate=document, queued=edited)

    async def rewrite(self, command: RewritePassage, unit: Unit) -> Done:
        """Change a passage that was written by hand."""
        document = await addressed(command, unit, self.things)
        document.must_be_there()
        sha256, size = command.content or (document.content["sha256"], document.content["size"])
        media_type = document.content["media_type"]
        details = {**document.details, **command.details}
        rewritten = document.add(sha256=sha256, size=size, media_type=media_type, **details)
        if rewritten:
            unit.effect("job", kind=INDEX_DOCUMENT, key=str(document.id))
        if command.disabled is not None:
            document.disable(THE_ONLY_ONE, disabled=command.disabled)
        unit.save(document)
        return Done(aggregate=document, queued=rewritten)


@dataclass(frozen=True, kw_only=True)
class Passages:
    """What is asked of passages. Texts are stored before the events that name them."""

    bus: Bus
    contents: Contents
    documents: Documents

    async def write(self, source: UUID, given: Mapping[str, Any], context: Context) -> Added:
        """Make a passage of {text, title, url, metadata, acl}; it is a document of its own that is never cut."""
        fields = {"title": "", "url": None, "metadata": {}, "acl": None, **checked(given)}
        document = GivenDocument(
            external_id=f"passage-{uuid4()}",
            title=fields["title"],
            url=fields["url"],
            media_type="text/plain",
            content=fields["text"].encode(),
            metadata=fields["metadata"],
            acl=fields["acl"],
        )
        return await self.documents.add(source, [document], context, written=True)

    async def change(
        self, at: Addressed, changes: Mapping[str, Any], context: Context, *, if_match: int | None = None
    ) -> Receipt:
        """Change some fields of a passage: `text` null is what was cut there. Raises NotFound or Invalid."""
        fields = {name: value for name, value in changes.items() if name != "disabled"}
        disabled = changes.get("disabled")
        on: dict[str, Any] = {
            "source": at.source,
            "id": at.document,
            "groups": groups_in(context),
            "if_match": if_match,
        }
        if at.passage is None:
            fields = checked(fields)
            content = await self._keep(fields.pop("text")) if "text" in fields else None
            command = RewritePassage(**on, content=content, details=fields, disabled=disabled)
            return await self.bus.dispatch(command, context)
        for name in fields.keys() - {"text"}:
            raise Invalid(
                "Of a passage that was cut, `text` and `disabled` can be changed; the rest is its document's.",
                code="not_manual",
                pointer=f"/{name}",
            )
        restored = "text" in fields and fields["text"] is None
        content = None if restored or not fields else await self._keep(checked(fields)["text"])
        edit = ChangePassage(
            **on,
            passage=at.passage,
            text_sha256=None if content is None else content[0],
            restored=restored,
            disabled=disabled,
        )
        return await self.bus.dispatch(edit, context)

    async def remove(self, at: Addressed, context: Context, *, if_match: int | None = None) -> Receipt:
        """Remove a passage that was written by hand; raises NotWritten for another one."""
        if at.passage is not None:
            raise NotWritten
        return await self.documents.remove(at.source, at.document, context, if_match=if_match)

    async def _keep(self, said: str) -> tuple[str, int]:
        content = said.encode()
        name = sha256(content).hexdigest()
        await self.contents.keep({name: content})
        return name, len(content)


def checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of a passage that is written by hand in their normal form, or raise Invalid."""
    return {name: CHECKS[name](value, f"/{name}") for name, value in fields.items()}
