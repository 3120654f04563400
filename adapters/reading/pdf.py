"""PDF: the text layer of its pages, by pypdf."""

from io import BytesIO

from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from adapters.reading.kinds import must_begin_as
from adapters.reading.plain import NO_TEXT, line_of
from commands.knowledge.reading import PasswordProtected, Text, TooLarge, Unreadable

MOST_PAGES = 20_000
BETWEEN = "\n\n"
LIGATURES = str.maketrans(
    {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st"}
)
"""How a font draws letters; nobody who looks for `office` writes one letter for `ffi`."""


def read_pdf(content: bytes) -> Text:
    """Return the text of all pages, or raise what commands.knowledge.reading names."""
    must_begin_as("pdf", content)
    try:
        reader = PdfReader(BytesIO(content), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise PasswordProtected("The PDF opens only with a password: take it away, then give the document again.")
        number = len(reader.pages)
        if number > MOST_PAGES:
            raise TooLarge(f"The PDF has {number} pages: {MOST_PAGES} are read.")
        said = [page.extract_text().translate(LIGATURES) for page in reader.pages]
        told = reader.metadata.title if reader.metadata else None
    except DependencyError:
        raise Unreadable("The PDF is encrypted in a way that can't be read.") from None
    except PyPdfError as error:
        raise Unreadable(f"The PDF is damaged ({type(error).__name__}).") from None
    if not any(text.strip() for text in said):
        raise Unreadable("The PDF has no text layer: its pages are pictures. Give it through OCR first.")
    pages, at, replaced = [], 0, 0
    for number, text in enumerate(said):
        said[number], found = NO_TEXT.subn("\ufffd", text)
        replaced += found
        pages.append(at)
        at += len(text) + len(BETWEEN)
    return Text(text=BETWEEN.join(said), pages=pages, title=line_of(told), replaced=replaced)
