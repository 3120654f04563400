"""Reading scanned pages by the real engine: what comes out, in which order, and what is told of what can't be read."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.reading.process import Child
from adapters.reading.reader import Reader
from adapters.reading.reading_order import Line, in_order
from adapters.reading.scans import Scans, is_installed
from commands.knowledge.reading import ReaderDown, Unreadable, UnsupportedMediaType
from tests.support.files import a_pdf
from tests.support.processes import emptied, parts, what_it_holds
from tests.support.scans import (
    a_huge_png,
    a_pdf_of_a_huge_picture,
    a_scan,
    a_scanned_pdf,
    cropped,
    file_of,
    joined,
)

module_loop = pytest.mark.asyncio(loop_scope="module")
PDF = "application/pdf"
CANARY = "canary-51c0"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ocr() -> AsyncIterator[Reader]:
    """A reader with OCR: its process takes as long to start as some pages."""
    assert is_installed(), "make test installs the extra `ocr`"
    made = Reader(processes=1, scans=Scans())
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SECRET_ENCRYPTION_KEY", CANARY)
        yield made
    await made.close()


async def child_of(ocr: Reader) -> Child:
    """Return the process, started if need be; no page is read for it."""
    assert ocr._scans is not None
    await ocr._scans.read(file_of(a_scan(), "PNG"), "picture", None, 0)
    assert ocr._scans._child is not None
    return ocr._scans._child


@module_loop
async def test_scanned_pages_are_read_in_their_order_between_pages_of_text(ocr: Reader):
    made = joined(
        a_scanned_pdf(a_scan("Invoice number 4711", "Payable in thirty days")),
        a_pdf("Terms of payment are on this page, which needs no OCR at all."),
        a_scanned_pdf(a_scan("Total amount: 1,250.00 EUR")),
    )
    text = await ocr.read(made, PDF, "a")
    pages = [text.text[start:end].strip() for start, end in zip(text.pages, [*text.pages[1:], None], strict=True)]
    assert pages == [
        "Invoice number 4711\nPayable in thirty days",
        "Terms of payment are on this page, which needs no OCR at all.",
        "Total amount: 1,250.00 EUR",
    ]
    assert text.scanned is not None and text.scanned.told == {"pages": [1, 3], "unread": []}
    chunks = await ocr.cut(text, {"strategy": "recursive", "size": 16, "overlap": 0})
    assert [chunk.page for chunk in chunks if "1,250.00" in chunk.text] == [3]


@module_loop
@pytest.mark.parametrize("turned", [90, 180])
async def test_a_page_is_read_whichever_way_it_was_put_on_the_scanner(ocr: Reader, turned: int):
    scan = a_scan("This page lay the wrong way", "when it was scanned.", turned=turned)
    assert (await ocr.read(a_scanned_pdf(scan), PDF, "a")).text == "This page lay the wrong way\nwhen it was scanned."


@module_loop
async def test_pictures_are_documents_and_a_tiff_has_pages(ocr: Reader):
    scan, further = a_scan("Read from a picture"), a_scan("and from the next page")
    assert (await ocr.read(file_of(scan, "PNG"), "image/png", "a")).text == "Read from a picture"
    tiff = await ocr.read(file_of(scan, "TIFF", [further]), "", "b.TIF")
    assert (tiff.text, tiff.pages) == ("Read from a picture\n\nand from the next page", [0, 21])
    assert ocr.parser("", "b.jpeg") == "picture/1"
    with pytest.raises(Unreadable, match="no PNG"):
        await ocr.read(b"just text", "image/png", "a")


@module_loop
async def test_what_a_profile_asks_for_is_done(ocr: Reader):
    made = joined(a_scanned_pdf(a_scan("Only seen")), a_pdf("A text layer that says enough not to be a picture."))
    off = await ocr.read(made, PDF, "a", "off")
    assert "Only seen" not in off.text and off.scanned is not None and list(off.scanned.unread) == [1]
    always = await ocr.read(cropped(a_pdf("Drawn with a text layer"), (60, 660, 300, 760)), PDF, "a", "always")
    assert (always.text, always.scanned and list(always.scanned.pages)) == ("Drawn with a text layer", [1])
    assert len({ocr.parser(PDF, "a"), ocr.parser(PDF, "a", "off"), ocr.parser(PDF, "a", "always")}) == 3, "kept apart"


@module_loop
async def test_only_so_many_pages_are_read_and_the_others_are_told(ocr: Reader):
    text = await ocr.read(a_scanned_pdf(a_scan("First"), a_scan("Second")), PDF, "a", most_scanned=1)
    assert text.text.strip() == "First"
    assert text.scanned is not None and "1 pages of a document" in text.scanned.unread[2]


@module_loop
async def test_a_page_without_a_word_says_so(ocr: Reader):
    with pytest.raises(Unreadable, match="OCR found no text"):
        await ocr.read(a_scanned_pdf(a_scan()), PDF, "a")


@module_loop
async def test_huge_pictures_are_refused_before_anything_of_them_is_unpacked(ocr: Reader):
    with pytest.raises(Unreadable, match=r"Page 1: A picture has 90000 by 90000 pixels"):
        await ocr.read(a_pdf_of_a_huge_picture(90_000), PDF, "a")
    with pytest.raises(Unreadable, match=r"A picture has 60000 by 60000 pixels"):
        await ocr.read(a_huge_png(60_000), "image/png", "a")
    with pytest.raises(Unreadable, match="Page 1"):
        await ocr.read(file_of(a_scan("cut off"), "PNG")[:300], "image/png", "a")


@module_loop
async def test_the_process_that_reads_pictures_is_limited_and_knows_no_secret(ocr: Reader):
    child = await child_of(ocr)
    place = Path("/proc") / str(child.process.pid)
    limits = dict(parts(line) for line in (place / "limits").read_text().splitlines()[1:])
    for name in ("Max open files", "Max file size", "Max core file size", "Max processes"):
        assert limits[name] == "0", name
    assert limits["Max cpu time"].isdigit() and limits["Max address space"].isdigit()
    assert CANARY not in what_it_holds(child.process.pid)


@module_loop
async def test_what_reads_pictures_tells_nobody_and_keeps_nothing(ocr: Reader):
    child = await child_of(ocr)
    assert len(os.listdir(f"/proc/{child.process.pid}/task")) == 1, "no thread that could"
    _, *held = what_it_holds(child.process.pid).split("', '")
    assert all("/dev/null" in each or "socket:" in each for each in held), held


@module_loop
async def test_a_page_that_ends_the_process_costs_no_other(ocr: Reader, monkeypatch: pytest.MonkeyPatch):
    child = await child_of(ocr)
    asked = child.exchange

    async def ended(request: bytes) -> tuple[bytes, bytes] | None:
        if b'"read"' in request[:64]:
            child.process.kill()
        return await asked(request)

    monkeypatch.setattr(child, "exchange", ended)
    text = await ocr.read(a_scanned_pdf(a_scan("First"), a_scan("Second")), PDF, "a")
    assert text.scanned is not None and text.text.strip() == "Second"
    assert list(text.scanned.pages) == [2] and "ended the process" in text.scanned.unread[1]


@module_loop
async def test_a_process_without_work_ends(ocr: Reader, monkeypatch: pytest.MonkeyPatch):
    assert ocr._scans is not None
    monkeypatch.setattr(ocr._scans, "_kept", 0.0)
    await emptied((await child_of(ocr)).process.pid)
    assert ocr._scans._child is None


@module_loop
async def test_pages_that_take_too_long_are_told_and_soon_no_more_are_tried(
    ocr: Reader, monkeypatch: pytest.MonkeyPatch
):
    assert ocr._scans is not None

    async def late(child: Child, request: bytes) -> tuple[bytes, bytes] | None:
        if b'"read"' in request[:64]:
            raise TimeoutError
        return (b'{"pages": 5}', b"")

    monkeypatch.setattr(Child, "exchange", late)
    text = await ocr._scans.read(b"", "pdf", None)
    assert [("more than 300 seconds" in reason) for reason in text.unread.values()] == [True, True, True, False, False]
    assert "not tried" in text.unread[5]


async def test_closing_ends_the_process_and_what_it_reads():
    scans = Scans()
    reading = asyncio.create_task(scans.read(file_of(a_scan("late"), "PNG"), "picture", None))
    while scans._child is None:
        await asyncio.sleep(0)
    group = scans._child.process.pid
    await scans.close()
    with pytest.raises(ReaderDown):
        await reading
    await emptied(group)


async def test_without_the_extra_scans_say_what_to_install():
    reader = Reader(processes=1)
    try:
        with pytest.raises(Unreadable, match=r"pip install 'magnet\[ocr\]'"):
            await reader.read(a_scanned_pdf(a_scan("seen")), PDF, "a")
        with pytest.raises(UnsupportedMediaType, match=r"pip install 'magnet\[ocr\]'"):
            reader.parser("image/png", "a")
        with pytest.raises(Unreadable, match="profile asks for OCR"):
            await reader.read(a_pdf("said"), PDF, "a", "always")
        text = await reader.read(joined(a_scanned_pdf(a_scan("seen")), a_pdf("A page with a text layer.")), PDF, "a")
        assert "text layer" in text.text and text.scanned is not None
        assert "pip install 'magnet[ocr]'" in text.scanned.unread[1]
        assert reader.parser(PDF, "a") == "pdf/2", "what was kept before is read no second time"
    finally:
        await reader.close()


def test_columns_of_prose_are_read_one_after_another():
    heading = Line(left=0, right=500, y=10, height=20, text="Heading over both")
    left = [Line(left=0, right=240, y=60 + 30 * n, height=20, text=f"left {n}") for n in range(4)]
    right = [Line(left=270, right=500, y=60 + 30 * n, height=20, text=f"right {n}") for n in range(4)]
    said = in_order([*right, *left, heading])
    assert said == "Heading over both\n\n" + "\n".join(f"left {n}" for n in range(4)) + "\n\n" + "\n".join(
        f"right {n}" for n in range(4)
    )


def test_fields_of_a_table_are_read_row_by_row():
    names = [Line(left=0, right=100, y=30 * n, height=20, text=f"field {n}") for n in range(4)]
    values = [Line(left=300, right=380, y=30 * n + 2, height=20, text=f"{n}.00") for n in range(4)]
    assert in_order([*values, *names]) == "\n".join(f"field {n} {n}.00" for n in range(4))


def test_a_gap_begins_a_paragraph():
    lines = [Line(left=0, right=400, y=y, height=20, text=f"at {y}") for y in (10, 40, 100)]
    assert in_order(lines) == "at 10\nat 40\n\nat 100"
