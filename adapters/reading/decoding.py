"""Bytes as text: by their mark, as UTF-8, else in the encoding that they are most likely written in."""

import re

from charset_normalizer import from_bytes

from commands.knowledge.reading import Unreadable

BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
MARKS = tuple(mark for mark, _ in BYTE_ORDER_MARKS)
CONTROL = bytes([*range(9), *range(14, 27), *range(28, 32), 127])
"""Characters that text has hardly any of; each is one byte of UTF-8, and none of another character's."""

BINARY = 0.1
"""Share of control characters in its beginning from which on something is no text."""

BINARY_IF_GUESSED = 0.02
"""The same where nothing but a guess says that it is text: of bytes drawn by lot, a tenth are control characters."""

DAMAGED = 0.02
"""Share of undecodable places up to which text counts as damaged UTF-8, and not as another encoding."""

OTHER_SCRIPTS = ("cp932", "euc_jp", "gb18030", "big5", "cp949", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256")
RULED_LINE = re.compile(rb"([\x80-\xff])\1{2,}")
BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")
FEWEST = 4
WORDS_BEYOND_ASCII = 0.3
"""Share of bytes beyond ASCII that stand three or more in a row from which on whole words are of another script:
in western languages such letters stand alone or in pairs."""

SAMPLE = 65_536


def decode(content: bytes) -> tuple[str, int]:
    """Return the text, and how much of it was no text and is U+FFFD now; or raise Unreadable."""
    text, guessed = _decoded(content)
    head = text[:100_000]
    said = head.encode(errors="replace")
    if len(said) - len(said.translate(None, CONTROL)) > (BINARY_IF_GUESSED if guessed else BINARY) * len(head):
        raise Unreadable("This is no text.")
    replaced = text.count("\x00")
    if replaced:
        text = text.replace("\x00", "\ufffd")
    return text, replaced + _undecodable(content, text, replaced)


def _undecodable(content: bytes, text: str, nuls: int) -> int:
    """Return how many characters stand for bytes that could not be decoded."""
    found = text.count("\ufffd") - nuls
    return max(0, found - content.count("\ufffd".encode())) if found else 0


def _decoded(content: bytes) -> tuple[str, bool]:
    """Return the text, and whether its encoding is guessed."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace"), False
    try:
        return content.decode("utf-8"), False
    except UnicodeDecodeError:
        pass
    try:
        # Surrogates are no characters, but some programs write them: pairs are joined, single ones replaced.
        halves = content.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
        return halves.decode("utf-16-le", "replace"), False
    except UnicodeDecodeError:
        pass
    even, odd = content[:2000:2].count(0), content[1:2000:2].count(0)
    sample = min(len(content), 2000) // 2
    if sample and max(even, odd) > sample // 2:
        return content.decode("utf-16-le" if odd > even else "utf-16-be", "replace"), False
    damaged = content.decode("utf-8", "replace")
    if damaged.count("\ufffd") <= DAMAGED * len(damaged) and any(
        ord(char) > 255 for char in damaged if char != "\ufffd"
    ):
        return damaged, False
    return content.decode(_likely(content), "replace"), True


def _likely(content: bytes) -> str:
    """Return the encoding of another script where whole words are written in one; else that of western Windows."""
    sample = content[:SAMPLE]
    runs = BEYOND_ASCII.findall(RULED_LINE.sub(b"", sample))
    found = sum(map(len, runs))
    if found >= FEWEST and sum(len(run) for run in runs if len(run) > 2) > WORDS_BEYOND_ASCII * found:
        # A sample may end within a character: it is read up to the end of its last line.
        whole = sample[: sample.rfind(b"\n") + 1] if len(content) > SAMPLE and b"\n" in sample else sample
        best = from_bytes(whole, cp_isolation=list(OTHER_SCRIPTS)).best()
        if best is not None:
            return best.encoding
    # Whatever else it is, most likely it was written on Windows; every byte means something there, nearly.
    return "cp1252"
