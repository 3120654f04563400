"""Bombs among good documents: each fails with its reason in a limited child, the good ones are found, nothing moves."""

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.api.test_documents import DOCUMENTS, finished, upload
from tests.support.files import (
    a_docx,
    a_pdf,
    a_pdf_bomb,
    a_pdf_of_pages_without_end,
    a_pdf_that_draws_without_end,
    declaring,
    overlapping,
    with_entry,
    with_part,
)
from tests.support.postgres import Database
from tests.support.server import Running, serving

MEGABYTE = 1 << 20
WORDS = b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"
BILLION_LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%b">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(10))
    + b"]><html><body><p>&k;</p></body></html>"
)


def bombs() -> dict[str, bytes]:
    """Return name -> content of small files that would become very large, or take very long."""
    laughs = BILLION_LAUGHS.replace(b"<html>", b'<w:document xmlns:w="%s">' % WORDS).replace(b"/html", b"/w:document")
    laughs = laughs.replace(b"body>", b"w:body>").replace(b"<p>&k;</p>", b"<w:p><w:r><w:t>&k;</w:t></w:r></w:p>")
    return {
        "zeros.docx": with_entry(a_docx("x"), "word/media/z.bin", bytes(300 * MEGABYTE)),
        "declares.docx": declaring(a_docx("x"), 2_000_000_000),
        "overlaps.docx": overlapping(a_docx("x")),
        "entities.docx": with_part(a_docx("x"), "word/document.xml", laughs),
        "unpacks.pdf": a_pdf_bomb(300 * MEGABYTE),
        "pages.pdf": a_pdf_of_pages_without_end(),
        "draws.pdf": a_pdf_that_draws_without_end(),
    }


GOOD = {
    "leave.txt": b"Holidays are thirty days a year.",
    "canteen.md": b"# Canteen\n\nLunch is at noon.",
    "table.csv": b"floor,room\n2,canteen\n",
    "trip.pdf": a_pdf("Trips are paid by the company."),
    "office.docx": a_docx("# Office", "The office opens at eight."),
    "laughs.html": BILLION_LAUGHS,
}
"""What is taken; a page's entities are left as they are by a reader of HTML, who knows none of them."""


@pytest.fixture
async def magnet(database: Database, tmp_path: Path) -> Any:
    async with serving(database, tmp_path) as running:
        await running.do("POST", "/v1/knowledge-sources", {"name": "handbook", "type": "files"})
        await running.do("POST", "/v1/retrieval-tools", {"name": "find", "sources": ["handbook"]})
        yield running


async def documents(magnet: Running) -> dict[str, Any]:
    return {each["external_id"]: each for each in (await magnet.get(f"{DOCUMENTS}?limit=500"))["items"]}


async def test_bombs_fail_with_their_reasons_and_the_good_documents_beside_them_are_found(magnet: Running):
    me, bad = psutil.Process(), bombs()
    before = me.memory_info().rss
    answer = await upload(magnet, *bad.items(), *GOOD.items())
    assert answer.status_code == 202, answer.text
    done = asyncio.create_task(finished(magnet, answer.json()["job_id"]))
    async with asyncio.timeout(120):
        while not done.done():
            assert (await magnet.client.get("/health/ready")).status_code == 200
            await asyncio.sleep(0.05)
    await done
    assert me.memory_info().rss - before < 300 * MEGABYTE, "what bursts, bursts in a child"
    found = await documents(magnet)
    for name in bad:
        each = found[name]
        assert each["status"] == "failed", name
        assert each["failure"]["code"] and len(each["failure"]["reason"]) > 20, each["failure"]
    assert {name: found[name]["status"] for name in GOOD} == dict.fromkeys(GOOD, "indexed")
    for query, name in (("holidays", "leave.txt"), ("trips", "trip.pdf"), ("opens at eight", "office.docx")):
        passages = await magnet.do("POST", "/v1/retrieval-tools/find/search", {"query": query})
        assert passages["passages"][0]["document"]["external_id"] == name
    events = await magnet.get("/v1/events?type=document.failed&limit=500")
    assert len(events["items"]) == len(bad)
