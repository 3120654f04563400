"""Scanned pages for tests of OCR: text drawn into pictures, as files of their own or as pages of a PDF."""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont
from pypdf import PdfReader, PdfWriter
from pypdf.generic import RectangleObject

from tests.support.files import _pdf_of


def a_scan(*lines: str, size: tuple[int, int] = (460, 400), turned: int = 0) -> Image.Image:
    """Return a picture of lines of text, turned to the left by degrees."""
    page = Image.new("L", size, 250)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=26)
    for number, line in enumerate(lines):
        draw.text((30, 30 + 44 * number), line, font=font, fill=20)
    return page.rotate(turned, expand=True)


def file_of(scan: Image.Image, form: str, more: Sequence[Image.Image] = ()) -> bytes:
    """Return a picture as a file of this form, with further pages after it."""
    out = BytesIO()
    scan.save(out, form, **({"save_all": True, "append_images": list(more)} if more else {}))
    return out.getvalue()


def a_scanned_pdf(*scans: Image.Image) -> bytes:
    """Return a PDF whose pages are pictures."""
    return file_of(scans[0], "PDF", scans[1:])


def cropped(document: bytes, box: tuple[int, int, int, int]) -> bytes:
    """Return a PDF whose pages show a part of what they did: left, bottom, right, top in points."""
    writer = PdfWriter(clone_from=PdfReader(BytesIO(document)))
    for page in writer.pages:
        page.mediabox = RectangleObject(box)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def joined(*documents: bytes) -> bytes:
    """Return a PDF with the pages of several."""
    writer = PdfWriter()
    for each in documents:
        writer.append(PdfReader(BytesIO(each)))
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def a_pdf_of_a_huge_picture(side: int) -> bytes:
    """Return a small PDF whose page is a picture of so many pixels in each direction."""
    picture = (
        b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8"
        b" /Filter /FlateDecode /Length 8 >>\nstream\n%s\nendstream"
    )
    return _pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /XObject << /I 5 0 R >> >> >>",
            b"<< /Length 32 >>\nstream\nq 612 0 0 792 0 0 cm /I Do Q     \nendstream",
            picture % (side, side, zlib.compress(b"")),
        ]
    )


def a_huge_png(side: int) -> bytes:
    """Return a small PNG that claims so many pixels in each direction."""
    chunks = (
        (b"IHDR", struct.pack("!IIBBBBB", side, side, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(99))),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack("!I", len(data)) + name + data + struct.pack("!I", zlib.crc32(name + data)) for name, data in chunks
    )
