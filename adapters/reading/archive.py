"""ZIP archives that documents are packed in: looked at before anything in them is unpacked, read part by part."""

import posixpath
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from lxml import etree

from adapters.reading.kinds import must_begin_as
from adapters.reading.short_memory import raise_if_memory_was_short
from commands.knowledge.reading import PasswordProtected, TooLarge, Unreadable

MOST_ENTRIES = 10_000
MOST_BYTES = 300_000_000
"""Declared bytes of all that is packed; pictures count too."""

STEEPEST = 200
"""Times that an entry of more than a megabyte may be larger than its packed form."""

OFFICE = frozenset({"docx", "pptx", "xlsx"})
CONTENT_TYPES = "[Content_Types].xml"
EPUB_CONTAINER = "META-INF/container.xml"
ALTERNATIVES = "AlternateContent"


class Relation(NamedTuple):
    """What a part says of another: the last word of its type, such as `slide`, and the other's name."""

    type: str
    target: str


class Archive:
    """The parts of a document of one kind, by their names."""

    def __init__(self, content: bytes, kind: str) -> None:
        must_begin_as(kind, content)
        self.called = kind.upper()
        try:
            must_be_sound(content, kind)
            self._zip = ZipFile(BytesIO(content))
        except BadZipFile:
            raise Unreadable(f"The {self.called} is damaged: its archive can't be opened.") from None
        self._names = frozenset(self._zip.namelist())

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def read(self, name: str) -> bytes:
        """Return the bytes of a part, or raise Unreadable."""
        if name not in self._names:
            raise Unreadable(f"The {self.called} is damaged: it names a part {name[:200]!r} that it does not have.")
        try:
            return self._zip.read(name)
        # zipfile has NotImplementedError for a packing that it does not know.
        except (BadZipFile, EOFError, NotImplementedError, zlib.error) as error:
            raise Unreadable(
                f"The {self.called} is damaged: {name[:200]!r} can't be unpacked ({type(error).__name__})."
            ) from None

    def xml(self, name: str) -> Any:
        """Return the root element of a part, or raise Unreadable."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
        try:
            root = etree.fromstring(self.read(name), parser)
        except etree.XMLSyntaxError as error:
            raise self._no_xml(name, error) from None
        must_declare_nothing(root, self.called)
        return root

    def elements(self, name: str, tag: str) -> Iterator[Any]:
        """Yield the elements of a large part with this local name one by one; each is gone when the next comes."""
        stream = BytesIO(self.read(name))
        found = etree.iterparse(
            stream,
            tag=f"{{*}}{tag}",
            resolve_entities=False,
            no_network=True,
            remove_comments=True,
            remove_pis=True,
        )
        try:
            for number, (_, element) in enumerate(found):
                if not number:
                    must_declare_nothing(element, self.called)
                yield element
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
        except etree.XMLSyntaxError as error:
            raise self._no_xml(name, error) from None

    def relations(self, name: str) -> Mapping[str, Relation]:
        """Return what an Office part says of others, by the ids that it uses; of the whole document where `name` is empty."""
        folder, last = posixpath.split(name)
        told = posixpath.join(folder, "_rels", f"{last}.rels")
        if told not in self:
            return {}
        return {
            each.get("Id", ""): Relation(
                each.get("Type", "").rpartition("/")[2],
                posixpath.normpath(posixpath.join("/", folder, each.get("Target", ""))).lstrip("/"),
            )
            for each in self.xml(told)
            if each.get("TargetMode") != "External"
        }

    def target(self, relations: Mapping[str, Relation], element: Any, name: str = "id") -> str:
        """Return the name of the part that an element stands for, or raise Unreadable."""
        found = relations.get(related(element, name))
        if found is None:
            raise Unreadable(f"The {self.called} is damaged: nothing tells which part a {local(element)!r} is.")
        return found.target

    def main(self, root: str) -> tuple[str, Any]:
        """Return the name of an Office document's main part, and its root element, which must have this local name."""
        name = self.must_have(root)
        return name, self.xml(name)

    def must_have(self, root: str) -> str:
        """Return the name of an Office document's main part, which must have a root element of this local name."""
        name = next((each.target for each in self.relations("").values() if each.type == "officeDocument"), "")
        if name in self:
            try:
                begun = next(etree.iterparse(BytesIO(self.read(name)), events=("start",), no_network=True), None)
            except etree.XMLSyntaxError as error:
                raise self._no_xml(name, error) from None
            if begun is not None and local(begun[1]) == root:
                return name
        raise Unreadable(f"This is a ZIP archive, but no {self.called}.")

    def title(self) -> str | None:
        """Return the title that an Office document says it has."""
        name = next((each.target for each in self.relations("").values() if each.type == "core-properties"), "")
        return next((each.text for each in inner(self.xml(name), "title")), None) if name in self else None

    def _no_xml(self, name: str, error: etree.XMLSyntaxError) -> Unreadable:
        raise_if_memory_was_short(error)
        return Unreadable(f"The {self.called} is damaged: {name[:200]!r} is no XML.")


def must_be_sound(content: bytes, kind: str) -> None:
    """Raise TooLarge, PasswordProtected or Unreadable for an archive that is a trap, or not of this kind."""
    called = kind.upper()
    with ZipFile(BytesIO(content)) as archive:
        entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise TooLarge(f"The {called} has {len(entries)} parts: {MOST_ENTRIES} are read.")
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise TooLarge(f"The {called} declares more than {MOST_BYTES:,} bytes.")
    end = 0
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.flag_bits & 1:
            raise PasswordProtected(f"The {called} is encrypted: take its password away, then give it again.")
        if entry.file_size > 1_000_000 and entry.file_size > STEEPEST * max(1, entry.compress_size):
            raise TooLarge(f"A part of the {called} is packed more than text can be.")
        if entry.header_offset < end:
            raise Unreadable(f"Parts of the {called} overlap: it was made to do harm.")
        end = entry.header_offset + entry.compress_size
    expected = CONTENT_TYPES if kind in OFFICE else EPUB_CONTAINER
    if not any(entry.filename == expected for entry in entries):
        raise Unreadable(f"This is a ZIP archive, but no {called}.")


def must_declare_nothing(element: Any, called: str) -> None:
    """Raise Unreadable for XML with entities of its own: what they stand for would be missing, or have no end."""
    dtd = element.getroottree().docinfo.internalDTD
    if dtd is not None and next(dtd.iterentities(), None) is not None:
        raise Unreadable(f"The {called} declares entities, as none does: it was made to do harm.")


def local(element: Any) -> str:
    """Return an element's name without its namespace: there are two for each, and they mean the same."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Any, name: str) -> str | None:
    """Return an attribute by its local name."""
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), None)


def related(element: Any, name: str) -> str:
    """Return the id of a relation: an attribute with a namespace, where others of the same name have none."""
    return next((value for key, value in element.attrib.items() if key.endswith(f"}}{name}")), "")


def inner(parent: Any, *names: str) -> Iterator[Any]:
    """Yield the nearest elements of these local names, at any depth.

    What stands there in several forms, of which a program takes the first that it knows, is taken once.
    """
    for child in parent:
        name = local(child)
        if name in names:
            yield child
        elif name == ALTERNATIVES:
            yield from inner(child[0], *names) if len(child) else ()
        else:
            yield from inner(child, *names)
