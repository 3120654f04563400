"""Putting what people changed of passages in the place of what was cut there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from commands.knowledge.index_entries import Contents, Cut, Part, Texts
from commands.knowledge.reading import Chunk, Text, Unreadable
from commands.knowledge.tokenizing import Cutter
from domain.errors import DomainError
from domain.passage_edits import CutPassage, edits_of, matched


async def revise(part: Part, contents: Contents, texts: Texts, cutter: Cutter) -> None:
    """Make the chunks of those documents of which passages were edited, where they are not kept already."""
    entries = [each for each in part.going if any(edit["text"] for edit in each.document.edits.values())]
    if not entries:
        return
    before = await texts.kept({part.final(each) for each in entries})
    wanted = {edit["text"] for each in entries for edit in each.document.edits.values() if edit["text"]}
    contents_now = await contents.read(wanted)
    cuts: dict[bytes, Cut] = {}
    for entry in entries:
        base = before[part.final(entry)]
        edits = {
            ordinal: edit.text
            for ordinal, edit in matched(edits_of(entry.document.edits), as_cut(base.chunks)).items()
            if edit.text is not None
        }
        if any(text not in contents_now for text in edits.values()):
            part.failures[entry.key] = Unreadable("What a passage was edited to is not stored any more: edit it again.")
        elif edits:
            id = edited_id(base.id, edits)
            said = {ordinal: contents_now[text].decode() for ordinal, text in edits.items()}
            try:
                cuts[id] = replace(base, id=id, chunks=await edited(base, said, cutter, entry.model))
            except DomainError as error:
                part.note(entry, error, its_own=isinstance(error, Unreadable))
            else:
                part.made[entry.key] = id
    await keep(cuts, texts)


async def keep(cuts: Mapping[bytes, Cut], texts: Texts) -> None:
    """Keep chunks where they are not kept already."""
    there = await texts.cuts(set(cuts)) if cuts else {}
    if lacking := [cut for id, cut in cuts.items() if id not in there]:
        await texts.keep_cuts(lacking)


def as_cut(chunks: Sequence[Chunk]) -> list[CutPassage]:
    """Return the passages that edits can mean: those whose text is given."""
    return [
        CutPassage(ordinal=ordinal, start=each.start, sha256=each.cut_hash.hex())
        for ordinal, each in enumerate(chunks)
        if each.parent is None
    ]


def edited_id(base: bytes, edits: Mapping[int, str]) -> bytes:
    """Return under what edited chunks are kept: the hash of those they are made of, and what they say instead."""
    return sha256(json.dumps([base.hex(), sorted(edits.items())]).encode()).digest()


async def edited(base: Cut, said: Mapping[int, str], cutter: Cutter, model: str | None) -> list[Chunk]:
    """Return chunks of which some say something else; where they stand stays what it was.

    What is found instead of an edited chunk is cut anew.
    """
    chunks = [
        replace(each, text=said[ordinal], cut=each.cut_hash, tokens=None, searched="" if each.searched == "" else None)
        if ordinal in said
        else each
        for ordinal, each in enumerate(base.chunks)
        if each.parent is None
    ]
    for ordinal, given in enumerate(tuple(chunks)):
        if given.searched == "" and ordinal in said:
            parts = await cutter.cut(Text(text=given.text), {**base.settings, "strategy": "recursive"}, model)
            chunks += [
                replace(each, start=given.start, end=given.end, page=given.page, heading=given.heading, parent=ordinal)
                for each in parts
            ]
        else:
            chunks += [each for each in base.chunks if each.parent == ordinal]
    return chunks
