"""Pages as pictures: those of a PDF are drawn by PDFium, files that are pictures are opened by Pillow.

How large a picture claims to be is looked at before anything of it is unpacked. Drawn pages are so large that small
print can be read, and no larger.
"""

from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any, Protocol

import numpy as np
import pypdfium2
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

from commands.knowledge.reading import PasswordProtected, TooLarge, Unreadable

DOTS_PER_INCH = 140
LONGEST_SIDE = 1_800
"""Pixels: A4 at these dots per inch has fewer, larger pages are made smaller."""

MOST_PIXELS = 150_000_000
"""Pixels of a picture: A4 at 1,200 dots per inch, or A3 at 600. A byte that is packed may hold thousands."""

NARROWEST = 4
"""How often longer than wide a page may be; blank paper is put beside what is narrower."""

FORMATS = ("PNG", "JPEG", "TIFF")
POINTS_PER_INCH = 72
DEEPEST = 4
Pixels = NDArray[np.uint8]
"""Height, width, and three colours."""


class Pages(Protocol):
    """The pages of a document, as pictures."""

    def __len__(self) -> int:
        """Return how many there are."""

    def drawn(self, number: int) -> Pixels:
        """Return a page (from 1), or raise Unreadable."""


def pages_of(content: bytes, kind: str) -> Pages:
    """Return the pages of a `pdf` or a `picture`, or raise Unreadable."""
    return PdfPages(content) if kind == "pdf" else Pictures(content)


class PdfPages:
    """The pages of a PDF."""

    def __init__(self, content: bytes) -> None:
        try:
            self._document = pypdfium2.PdfDocument(content)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                raise PasswordProtected("The PDF opens only with a password.") from None
            raise Unreadable("The PDF is damaged: its pages can't be drawn.") from None

    def __len__(self) -> int:
        return len(self._document)

    def drawn(self, number: int) -> Pixels:
        try:
            page = self._document[number - 1]
            try:
                for each in page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=DEEPEST):
                    must_not_be_larger(each.get_px_size())
                longest = max(*page.get_size(), 1.0)
                scale = min(DOTS_PER_INCH / POINTS_PER_INCH, LONGEST_SIDE / longest)
                drawn = page.render(scale=scale, prefer_bgrx=False, no_smoothtext=False)
                try:
                    return roomy(drawn.to_pil())
                finally:
                    drawn.close()
            finally:
                page.close()
        except (pypdfium2.PdfiumError, IndexError):
            raise Unreadable("The page is damaged: it can't be drawn.") from None


class Pictures:
    """A file that is a picture; of TIFF, one that may hold several."""

    def __init__(self, content: bytes) -> None:
        try:
            # What claims too many pixels is refused here, by our own measure.
            Image.MAX_IMAGE_PIXELS = None
            self._image = Image.open(BytesIO(content), formats=FORMATS)
            self._number = int(getattr(self._image, "n_frames", 1))
        except UnidentifiedImageError:
            raise Unreadable(
                "This is no PNG, JPEG or TIFF, whatever its name or type says, or it is damaged."
            ) from None

    def __len__(self) -> int:
        return self._number

    def drawn(self, number: int) -> Pixels:
        self._image.seek(number - 1)
        must_not_be_larger(self._image.size)
        image: Image.Image = self._image.copy() if self._number > 1 else self._image
        if image.mode.startswith("I"):  # more shades than a byte tells
            image = image.point(lambda shade: shade / 256).convert("L")
        elif image.mode == "1":
            image = image.convert("L")
        elif "A" in image.mode or "transparency" in image.info:
            image = on_paper(image.convert("RGBA"))
        elif image.mode not in ("L", "RGB"):
            image = image.convert("RGB")
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        with suppress(Exception):  # a damaged remark on how the camera was held
            ImageOps.exif_transpose(image, in_place=True)
        return roomy(image)


def must_not_be_larger(size: Sequence[int]) -> None:
    """Raise TooLarge for a picture that claims too many pixels."""
    width, height = size
    if width * height > MOST_PIXELS:
        raise TooLarge(f"A picture has {width} by {height} pixels: {MOST_PIXELS:,} are read.")


def on_paper(image: Image.Image) -> Image.Image:
    """Return what shines through as white."""
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image)
    return paper.convert("RGB")


def roomy(image: Image.Image) -> Pixels:
    """Return a picture as pixels, with white beside it where it is very narrow."""
    image = image.convert("RGB")
    least = max(image.size) // NARROWEST
    width, height = (max(side, least) for side in image.size)
    if (width, height) != image.size:
        paper = Image.new("RGB", (width, height), "white")
        paper.paste(image)
        image = paper
    pixels: Any = np.asarray(image)
    return np.ascontiguousarray(pixels)
