"""A process that reads pages which are pictures, one at a time, by RapidOCR: it is limited as those that parse are."""

import encodings
import json
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pypdfium2
import rapidocr
from PIL import Image, ImageDraw, ImageFont

from adapters.reading import serving
from adapters.reading.page_images import LONGEST_SIDE, Pages, Pixels, pages_of
from adapters.reading.plain import NO_TEXT
from adapters.reading.reading_order import Line, in_order
from adapters.reading.serving import told

SURE = 0.8
"""Lines that are read less surely, on the average, may stand on their heads."""

ON_ITS_SIDE = 1.5
"""A line is on its side that is so often higher than wide."""


class PageReader:
    """The engine, and the document that is open."""

    def __init__(self) -> None:
        self._engine: Any = None
        self._pages: Pages | None = None

    def load(self) -> None:
        """Load the models, which lie in the engine's own package, and all that reading a page loads late."""
        cv2.setNumThreads(1)
        models = Path(rapidocr.__file__).parent / "models"
        self._engine = rapidocr.RapidOCR(
            params={
                # A path that is told is read as it is, and nothing is ever fetched.
                "Det.model_path": str(next(models.glob("*_det_*.onnx"))),
                "Rec.model_path": str(next(models.glob("*_rec_*.onnx"))),
                "Rec.rec_batch_num": 1,
                "Global.use_cls": False,
                "Global.max_side_len": LONGEST_SIDE,
                "Global.log_level": "critical",
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        image = Image.new("RGB", (400, 300), "white")
        ImageDraw.Draw(image).text((40, 40), "Warm 1234", font=ImageFont.load_default(size=40), fill="black")
        self.lines(np.asarray(image))
        Image.init()
        serving.load_all_of(encodings, pypdfium2)

    def answer(self, head: dict[str, Any], body: bytes) -> serving.Answer:
        """Tell that all is loaded; open a document, and tell its pages; or read one of them."""
        match head["op"]:
            case "begin":
                return b"{}", b""
            case "open":
                return told(partial(self._open, body, head["kind"]))
            case _:
                return told(partial(self._read, head["page"]))

    def _open(self, content: bytes, kind: str) -> serving.Answer:
        self._pages = None  # what was open before is given back first
        self._pages = pages_of(content, kind)
        return json.dumps({"pages": len(self._pages)}).encode(), b""

    def _read(self, number: int) -> serving.Answer:
        assert self._pages is not None
        text, replaced = NO_TEXT.subn("\ufffd", self.text(self._pages.drawn(number)))
        return json.dumps({"replaced": replaced}).encode(), text.encode()

    def text(self, page: Pixels) -> str:
        """Return what a page says, whichever way it was put on the scanner."""
        lines, sure = self.lines(page)
        if lines and sum(each.height > ON_ITS_SIDE * (each.right - each.left) for each in lines) > len(lines) / 2:
            lines, sure = max((self.lines(np.rot90(page, turns)) for turns in (1, 3)), key=lambda found: found[1])
        elif lines and sure < SURE:
            lines, sure = max((lines, sure), self.lines(np.rot90(page, 2)), key=lambda found: found[1])
        return in_order(lines)

    def lines(self, page: Pixels) -> tuple[list[Line], float]:
        """Return the lines on a page, and how surely they were read, from 0 to 1."""
        found = self._engine(np.ascontiguousarray(page))
        if not found.txts:
            return [], 0.0
        lines = []
        for box, text in zip(found.boxes, found.txts, strict=True):
            (left, top), (right, bottom) = box.min(axis=0), box.max(axis=0)
            upright = right - left >= bottom - top
            # A line that is not quite level is as high as its left and right sides, not as the box around it.
            sides = (np.linalg.norm(box[3] - box[0]) + np.linalg.norm(box[2] - box[1])) / 2
            height = float(sides) if upright else float(bottom - top)
            lines.append(
                Line(left=float(left), right=float(right), y=float(top + bottom) / 2, height=height, text=text.strip())
            )
        return lines, float(np.mean(found.scores))


def serve(descriptor: int) -> None:
    """Answer requests until the socket is closed."""
    reader = PageReader()
    serving.serve(descriptor, reader.load, reader.answer)
