"""PDF: the text layer of its pages, by pypdf, and which of them are pictures."""

import re
from io import BytesIO

from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError, PyPdfError
from pypdf.generic import DictionaryObject, PdfObject

from adapters.reading.kinds import must_begin_as
from adapters.reading.pages import BETWEEN, begins_of
from adapters.reading.plain import NO_TEXT, line_of
from commands.knowledge.reading import PasswordProtected, Scanned, Text, TooLarge, Unreadable

MOST_PAGES = 20_000
LIGATURES = str.maketrans(
    {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st"}
)
"""How a font draws letters; nobody who looks for `office` writes one letter for `ffi`."""

FEW = 40
"""Characters of a page that is a picture all the same, such as a number that was stamped on a scan."""

DEEPEST, MOST_DRAWN = 4, 1_000
"""How deep pictures are looked for in what a page draws, and how many parts of it are looked at."""

PAINTS = re.compile(rb"(?:^|(?<=\s))(?:Do|BI|sh|[SsfFBb]\*?|T[jJ]|['\"])(?=\s|$)")
"""An operator that paints something: pictures, lines, shades, or text that says nothing when it is read."""

PICTURE = "It is a picture."


def read_pdf(content: bytes) -> Text:
    """Return the text of all pages, and as `unread` those that are pictures; raise what commands.knowledge.reading names.

    Where all of them are, the text is empty.
    """
    must_begin_as("pdf", content)
    try:
        reader = PdfReader(BytesIO(content), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise PasswordProtected("The PDF opens only with a password: take it away, then give the document again.")
        number = len(reader.pages)
        if number > MOST_PAGES:
            raise TooLarge(f"The PDF has {number} pages: {MOST_PAGES} are read.")
        said = [page.extract_text().translate(LIGATURES) for page in reader.pages]
        pictures = [place for place, page in enumerate(reader.pages) if is_picture(page, said[place])]
        told = reader.metadata.title if reader.metadata else None
    except DependencyError:
        raise Unreadable("The PDF is encrypted in a way that can't be read.") from None
    except PyPdfError as error:
        raise Unreadable(f"The PDF is damaged ({type(error).__name__}).") from None
    if not pictures and not any(text.strip() for text in said):
        raise Unreadable("The PDF has no text: its pages are empty.")
    replaced = 0
    for place, text in enumerate(said):
        said[place], found = NO_TEXT.subn("\ufffd", text)
        replaced += found
    scanned = Scanned(unread={place + 1: PICTURE for place in pictures}) if pictures else None
    return Text(text=BETWEEN.join(said), pages=begins_of(said), title=line_of(told), replaced=replaced, scanned=scanned)


def is_picture(page: PageObject, text: str) -> bool:
    """Return whether a page shows what is no text: it says nothing but draws, or next to nothing beside a picture."""
    said = len("".join(text.split()))
    if said:
        return said <= FEW and draws_a_picture(page.get("/Resources"))
    drawn = page.get_contents()
    return drawn is not None and PAINTS.search(drawn.get_data()) is not None


def draws_a_picture(resources: object) -> bool:
    """Return whether a picture is among what a page draws, or among what that draws."""
    looked_at, waiting = 0, [(resources, 0)]
    while waiting and looked_at < MOST_DRAWN:
        held, depth = waiting.pop()
        drawn = resolved(resolved(held).get("/XObject"))
        for each in map(resolved, list(drawn.values())[:MOST_DRAWN]):
            looked_at += 1
            if each.get("/Subtype") == "/Image":
                return True
            if depth < DEEPEST and each.get("/Subtype") == "/Form":
                waiting.append((each.get("/Resources"), depth + 1))
    return False


def resolved(held: object) -> DictionaryObject:
    """Return what a reference leads to; an empty dictionary where that is none."""
    found = held.get_object() if isinstance(held, PdfObject) else held
    return found if isinstance(found, DictionaryObject) else DictionaryObject()
