"""Real files for tests of reading: PDF, DOCX and archives that are traps."""

import re
import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

from docx import Document
from pypdf import PdfReader, PdfWriter

WORDS = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def a_pdf(*pages: str, title: str | None = None, compressed: bool = False) -> bytes:
    """Return a PDF with a line of text on each page; an empty text makes a page without a text layer."""
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    kids = []
    for text in pages:
        drawn = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode("latin-1") if text else b"0 0 m 10 10 l S"
        extra = b""
        if compressed:
            drawn, extra = zlib.compress(drawn), b" /Filter /FlateDecode"
        objects.append(b"<< /Length %d%s >>\nstream\n%s\nendstream" % (len(drawn), extra, drawn))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
            % len(objects)
        )
        kids.append(len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (
        len(kids),
        b" ".join(b"%d 0 R" % number for number in kids),
    )
    made = _pdf_of(objects)
    if title is None:
        return made
    writer = PdfWriter(clone_from=PdfReader(BytesIO(made)))
    writer.add_metadata({"/Title": title})
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def _pdf_of(objects: Sequence[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def a_locked_pdf(text: str, password: str, algorithm: str = "RC4-128") -> bytes:
    """Return a PDF that opens only with a password."""
    writer = PdfWriter(clone_from=PdfReader(BytesIO(a_pdf(text))))
    writer.encrypt(password, algorithm=algorithm)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def a_pdf_with_ligatures() -> bytes:
    """Return a PDF whose font draws ffi, fi and fl as one glyph each."""
    return _pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [4 0 R] >>",
            b"<< /Length 50 >>\nstream\n"
            + b"BT /F1 12 Tf 72 720 Td (o\\001ce \\002nds \\003oor) Tj ET".ljust(50)
            + b"\nendstream",
            (
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 3 0 R /Resources << /Font << /F1"
                b" << /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding"
                b" << /Type /Encoding /Differences [1 /f_f_i /fi /fl] >> /ToUnicode 5 0 R >> >> >> >>"
            ),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(LIGATURES), LIGATURES),
        ]
    )


LIGATURES = b"""/CIDInit /ProcSet findresource begin begincmap
1 begincodespacerange <00> <FF> endcodespacerange
3 beginbfchar <01> <FB03> <02> <FB01> <03> <FB02> endbfchar
endcmap end"""


def a_pdf_bomb(size: int) -> bytes:
    """Return a small PDF whose page's content unpacks to so many bytes of text operators."""
    drawn = zlib.compress(b"BT (x) Tj ET\n" * (size // 13), 9)
    return _pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [4 0 R] >>",
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(drawn), drawn),
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 3 0 R >>",
        ]
    )


def a_docx(*blocks: str | Sequence[Sequence[str]], title: str = "") -> bytes:
    """Return a DOCX: `# text` is a heading, `- text` an item of a list, a list of rows a table."""
    document = Document()
    for block in blocks:
        if not isinstance(block, str):
            table = document.add_table(rows=len(block), cols=len(block[0]))
            for row, cells in zip(table.rows, block, strict=True):
                for cell, text in zip(row.cells, cells, strict=True):
                    cell.text = text
        elif block.startswith("# "):
            document.add_heading(block[2:], level=1)
        elif block.startswith("- "):
            document.add_paragraph(block[2:], style="List Bullet")
        else:
            document.add_paragraph(block)
    document.core_properties.title = title
    out = BytesIO()
    document.save(out)
    return out.getvalue()


def with_entry(archive: bytes, name: str, content: bytes) -> bytes:
    """Return an archive with one more entry."""
    out = BytesIO(archive)
    with ZipFile(out, "a", ZIP_DEFLATED, compresslevel=9) as opened:
        opened.writestr(name, content)
    return out.getvalue()


def of_many_parts(archive: bytes, number: int = 10_001) -> bytes:
    """Return an archive with so many more entries, all of them empty."""
    out = BytesIO(archive)
    with ZipFile(out, "a") as opened:
        for each in range(number):
            opened.writestr(f"word/{each}.xml", b"")
    return out.getvalue()


def with_part(archive: bytes, name: str, content: bytes) -> bytes:
    """Return an archive with another content of one entry."""
    out = BytesIO()
    with ZipFile(BytesIO(archive)) as given, ZipFile(out, "w", ZIP_DEFLATED) as made:
        for entry in given.namelist():
            made.writestr(entry, content if entry == name else given.read(entry))
    return out.getvalue()


def a_docx_of(body: str) -> bytes:
    """Return a DOCX with this WordprocessingML as its body."""
    document = f'<w:document xmlns:w="{WORDS}"><w:body>{body}</w:body></w:document>'
    return with_part(a_docx("x"), "word/document.xml", document.encode())


def without_styles(document: bytes) -> bytes:
    """Return a DOCX without the part that names its styles, as small programs write it."""
    out = BytesIO()
    with ZipFile(BytesIO(document)) as given, ZipFile(out, "w", ZIP_DEFLATED) as made:
        for name in given.namelist():
            if name == "word/_rels/document.xml.rels":
                made.writestr(name, re.sub(rb"<Relationship [^>]*/styles\"[^>]*/>", b"", given.read(name)))
            elif name != "word/styles.xml":
                made.writestr(name, given.read(name))
    return out.getvalue()


def declaring(archive: bytes, size: int) -> bytes:
    """Return an archive whose directory declares another size for its last entry."""
    at = archive.rindex(b"PK\x01\x02")
    return archive[: at + 24] + struct.pack("<I", size) + archive[at + 28 :]


def overlapping(archive: bytes) -> bytes:
    """Return an archive in whose directory all entries stand at the place of the first."""
    made = bytearray(archive)
    at = made.find(b"PK\x01\x02")
    while at >= 0:
        made[at + 42 : at + 46] = struct.pack("<I", 0)
        at = made.find(b"PK\x01\x02", at + 4)
    return bytes(made)


def a_pdf_of_pages_without_end(levels: int = 12) -> bytes:
    """Return a small PDF whose page tree has ten times as many pages on each level."""
    tree = [
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (10 ** (levels - level), b" ".join([b"%d 0 R" % (level + 3)] * 10))
        for level in range(levels)
    ]
    page = b"<< /Type /Page /MediaBox [0 0 612 792] >>"
    return _pdf_of([b"<< /Type /Catalog /Pages 2 0 R >>", *tree, page])


def a_pdf_that_draws_without_end(size: int = 80_000_000) -> bytes:
    """Return a small PDF with one page of very many operators."""
    drawn = zlib.compress(b"BT /F1 12 Tf 1 0 0 1 0 0 Tm (a) Tj ET\n" * (size // 38), 9)
    return _pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [4 0 R] >>",
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(drawn), drawn),
            (
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 3 0 R /Resources << /Font << /F1"
                b" << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
            ),
        ]
    )
