"""EML: subject, from, to, date and text of a mail, by the standard library; what is attached is named, not read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import collapse_rfc2231_value

from adapters.reading.decoding import decode
from adapters.reading.growing import Growing
from adapters.reading.html import Page, parsed
from adapters.reading.kinds import must_begin_as
from adapters.reading.plain import NO_TEXT, line_of
from commands.knowledge.reading import PasswordProtected, Text, Unreadable

SHOWN = ("Subject", "From", "To", "Cc", "Date")
OF_MAILS = frozenset({"from", "to", "date", "subject", "received", "message-id", "mime-version", "return-path"})
ENCRYPTED = frozenset({"multipart/encrypted"})
SEALED = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})


@dataclass
class Found:
    """What is in a part of a mail: its texts, whether one of them was written as such, and names of what is attached."""

    texts: list[str] = field(default_factory=list)
    plain: bool = False
    attached: list[str] = field(default_factory=list)
    replaced: int = 0


def read_eml(content: bytes) -> Text:
    """Return the text of a mail, or raise what commands.knowledge.reading names."""
    must_begin_as("eml", content)
    mail = BytesParser(policy=compat32).parsebytes(content.lstrip())
    if not OF_MAILS.intersection(name.lower() for name in mail.keys()):  # noqa: SIM118 - a mail is no mapping
        raise Unreadable("This is no mail, whatever its name or type says: it has none of a mail's headers.")
    text = Growing("mail")
    for name in SHOWN:
        if said := ", ".join(_header(value) for value in _raw(mail, name)):
            text.add(f"{name}: {said}", between="\n")
    found = _found(mail)
    for each in found.texts:
        text.add(each)
    if found.attached:
        text.add("Attachments: " + ", ".join(found.attached))
    subject = next((_header(value) for value in _raw(mail, "Subject")), None)
    return text.text(title=line_of(subject), replaced=found.replaced)


def _raw(mail: "Message[str, str]", name: str) -> Sequence[str]:
    """Return the values of a header as they were sent."""
    return [value for key, value in mail.raw_items() if key.lower() == name.lower()]


def _header(value: str) -> str:
    """Return what a header says, as one line."""
    said, _ = decode(value.encode("utf-8", "surrogateescape"))
    return " ".join(NO_TEXT.sub("\ufffd", _words(said)).split())


def _words(said: str) -> str:
    """Return a header whose words may be encoded."""
    try:
        pieces = decode_header(said)
    except HeaderParseError:
        return said
    # A header without encoded words comes back as it is, pieces beside such words as bytes of `raw-unicode-escape`.
    return "".join(
        piece if isinstance(piece, str) else _decoded(piece, charset or "raw-unicode-escape")[0]
        for piece, charset in pieces
    )


def _found(part: "Message[str, str]") -> Found:
    """Return what is in a part; a part of several may hold any number of others."""
    kind = part.get_content_type()
    if kind in ENCRYPTED or (kind in SEALED and part.get_param("smime-type") == "enveloped-data"):
        raise PasswordProtected("The mail is encrypted: decrypt it, then give it again.")
    if part.get_content_maintype() == "multipart":
        parts = part.get_payload()
        if isinstance(parts, list):
            return _together(kind, [_found(each) for each in parts if isinstance(each, Message)])
        return _text(part, "text/plain")  # it has no parts, whatever it says
    name = part.get_filename()
    if name is None and kind.startswith("text/") and part.get_content_disposition() != "attachment":
        return _text(part, kind)
    called = _header(collapse_rfc2231_value(name)) if name else ""
    return Found(attached=[called or kind])


def _together(kind: str, parts: Sequence[Found]) -> Found:
    """Return what is in several parts; of the same in several forms, the one that was written as text."""
    texts = parts
    if kind == "multipart/alternative":
        # Senders give the form that they like best last.
        texts = sorted((each for each in parts if each.texts), key=lambda each: each.plain)[-1:]
    return Found(
        texts=[said for each in texts for said in each.texts],
        plain=any(each.plain for each in texts),
        attached=[name for each in parts for name in each.attached],
        replaced=sum(each.replaced for each in texts),
    )


def _text(part: "Message[str, str]", kind: str) -> Found:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    said, replaced = _decoded(content, part.get_content_charset() or "utf-8")
    if kind == "text/html":
        page = Page()
        if said.strip():
            page.walk(parsed(said))
        said = page.text
    said = said.replace("\r\n", "\n").strip("\n")
    return Found(texts=[said] if said.strip() else [], plain=kind != "text/html", replaced=replaced)


def _decoded(content: bytes, charset: str) -> tuple[str, int]:
    """Return characters in the encoding that is told where they are in that, else as any other text."""
    try:
        return NO_TEXT.subn("\ufffd", content.decode(charset))
    except (LookupError, ValueError):
        return decode(content)
