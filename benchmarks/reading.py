"""Documents read and cut, in the process that reads, beside the parser and the tokenizer alone; time of a processor."""

import asyncio
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import llama_index
import psutil
import tiktoken
from lxml import etree

from adapters.reading.counting import CL100K_PATTERN
from adapters.reading.reader import Reader
from adapters.reading.tokenizers import CACHED, CL100K
from benchmarks.database import Databases
from benchmarks.ingest import written
from benchmarks.measure import Scale, interleaved
from benchmarks.table import Row
from commands.knowledge.reading import Tokenizer

DOCUMENTS, SECTIONS = 40, 20
"""Documents, and how many of the ingested ones make one of these: some 90 KB each, no two alike.

Of one that comes again, a tokenizer that remembers words has nothing left to do.
"""

CUTTING = {"strategy": "recursive", "size": 256, "overlap": 32}
MEGABYTE = 1_000_000


def reading(_: Databases, scale: Scale) -> Iterator[Row]:
    """Have the same documents read and cut; say how many megabytes a second that is."""
    sections = written(SECTIONS * scale.count(DOCUMENTS))
    texts = ["\n\n".join(sections[first : first + SECTIONS]) for first in range(0, len(sections), SECTIONS)]
    pages = [
        f"<html><body>{''.join(f'<p>{part}</p>' for part in text.split(chr(10) * 2))}</body></html>".encode()
        for text in texts
    ]
    vocabulary = (Path(next(iter(llama_index.__path__))) / CACHED).read_bytes()
    tokenizer = Tokenizer(name=CL100K, data=vocabulary)
    ranks = {b64decode(token): int(rank) for token, rank in map(bytes.split, vocabulary.splitlines())}
    encoding = tiktoken.Encoding(CL100K, pat_str=CL100K_PATTERN, mergeable_ranks=ranks, special_tokens={})

    def alone() -> float:
        began = processor()
        for page in pages:
            encoding.encode_ordinary(etree.tostring(etree.HTML(page), encoding="unicode", method="text"))
        return processor() - began

    exact = rate(pages, lambda: asyncio.run(read_and_cut(pages, "text/html", tokenizer)))
    parts = rate(pages, alone)
    ours, theirs = interleaved(scale, exact, parts)
    yield Row(
        what="HTML parsed and cut, tokens counted", ours=ours, unit="MB/s",
        compared="lxml's parser and tiktoken alone", theirs=theirs, least=0.7,
    )  # fmt: skip
    plain = [text.encode() for text in texts]
    [ours] = interleaved(scale, rate(plain, lambda: asyncio.run(read_and_cut(plain, "text/plain", None))))
    yield Row(what="text cut, tokens estimated, one core", ours=ours, unit="MB/s", floor=5)


def rate(contents: Sequence[bytes], work: Callable[[], float]) -> Callable[[], float]:
    """Return what tells megabytes for each second that work says it took."""
    size = sum(map(len, contents)) / MEGABYTE
    return lambda: size / work()


def processor() -> float:
    """Return the seconds of a processor that this process and those it started have taken.

    A reading process gives way to all others: where these have something to do, the clock tells how much of a
    processor they left it, not how long it takes.
    """
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return time.process_time() + sum(each.user + each.system for each in times)


async def read_and_cut(contents: Sequence[bytes], media_type: str, tokenizer: Tokenizer | None) -> float:
    """Return the seconds of a processor that reading takes, here and in the process that reads, after its start."""
    reader = Reader(processes=1)
    try:
        await one(reader, contents[0], media_type, tokenizer)
        began = processor()
        for content in contents:
            await one(reader, content, media_type, tokenizer)
        return processor() - began
    finally:
        await reader.close()


async def one(reader: Reader, content: bytes, media_type: str, tokenizer: Tokenizer | None) -> None:
    """Read and cut a document."""
    text = await reader.read(content, media_type, "")
    assert await reader.cut(text, CUTTING, tokenizer)
