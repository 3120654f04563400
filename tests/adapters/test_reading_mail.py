"""Mails: who wrote what to whom and when, in the form that was written; what is attached is named."""

import pytest

from adapters.reading.reader import Reader
from commands.knowledge.reading import PasswordProtected, ReadingLimit, Unreadable
from tests.support.office_files import a_mail

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEAD = (
    "Subject: Grüße aus Köln \u2013 世界\n"
    "From: Jörg Größe <joerg@x.example>\n"
    "To: a@x.example, Bé <b@x.example>\n"
    "Date: Wed, 01 May 2024 10:30:00 +0200\n\n"
)


async def test_a_mail_is_its_headers_its_text_and_the_names_of_what_is_attached(reader: Reader):
    mail = a_mail(
        'Hällo,\n\n> 10:30 https://x "q"\n\tbye\n', html="<p>other</p>", attached=["Rechnung über 1 €.pdf", "b.pdf"]
    )
    text = await reader.read(mail.as_bytes(), "", "a.eml")
    assert text.text == (HEAD + 'Hällo,\n\n> 10:30 https://x "q"\n\tbye\n\nAttachments: Rechnung über 1 €.pdf, b.pdf')
    assert (text.title, text.replaced) == ("Grüße aus Köln \u2013 世界", 0)
    assert "secret" not in text.text


async def test_a_mail_that_is_only_html_is_read_as_a_page(reader: Reader):
    mail = a_mail(html="<style>p {}</style><h1>Hi</h1><table><tr><td>a<td>b</table><p hidden>x</p>")
    assert (await reader.read(mail.as_bytes(), "message/rfc822", "x")).text == HEAD + "Hi\n\na | b"


async def test_an_empty_text_beside_html_is_not_what_was_written(reader: Reader):
    mail = a_mail(" \n", html="<p>said</p>")
    assert (await reader.read(mail.as_bytes(), "", "a.eml")).text == HEAD + "said"


async def test_all_texts_of_a_mail_are_read_in_their_order_and_mails_in_it_are_named(reader: Reader):
    inner = a_mail("not read")
    mail = a_mail("first")
    mail.add_attachment(inner)
    mail.add_attachment("not read", filename="notes.txt")
    mail.add_attachment("second", disposition="inline")
    text = await reader.read(mail.as_bytes(), "", "a.eml")
    assert text.text == HEAD + "first\n\nsecond\n\nAttachments: message/rfc822, notes.txt"


@pytest.mark.parametrize(
    ("mail", "said", "replaced"),
    [
        (b"Subject: caf\xe9\r\n\r\na\r\nb\r\n", "Subject: café\n\na\nb", 0),
        ("Subject: 世界 x\n\nb".encode(), "Subject: 世界 x\n\nb", 0),
        (b"Subject: =?utf-8?q?a_=C3=A9?=\n =?koi8-r?b?0NLJ18XU?= b\n\nc", "Subject: a éпривет b\n\nc", 0),
        (b"Subject: =?nonsense?b?YWJj?= =?utf-8?b?!?=\n\nc", None, 0),
        (
            b"From: a\nContent-Type: text/plain; charset=shift_jis\n\n" + "日本".encode("shift_jis"),
            "From: a\n\n日本",
            0,
        ),
        (b"From: a\nContent-Type: text/plain; charset=nonsense\n\ncaf\xe9", "From: a\n\ncafé", 0),
        (b"From: a\nContent-Type: text/plain; charset=us-ascii\n\ncaf\xe9", "From: a\n\ncafé", 0),
        (b"From: a\nContent-Type: text/plain; charset=hex\n\n6162", "From: a\n\n6162", 0),
        (b"From: a\nContent-Transfer-Encoding: base64\n\nYQBi", "From: a\n\na\ufffdb", 1),
        (b"From: a\nContent-Transfer-Encoding: quoted-printable\n\na=C3=A9=\nb", "From: a\n\naéb", 0),
        (b"\n\nFrom: a\n\nb", "From: a\n\nb", 0),
        (b"From: a\nTo: b", "From: a\nTo: b", 0),
        (b"From: a\nContent-Type: multipart/mixed; boundary=x\n\nnot in parts", "From: a\n\nnot in parts", 0),
        (b'From: a\nContent-Type: image/png; name="=?utf-8?b?w6k=?=.png"\n\nx', "From: a\n\nAttachments: é.png", 0),
        (b"From: a\nContent-Type: image/png\n\nx", "From: a\n\nAttachments: image/png", 0),
        (b"From: a\nContent-Type: text/html\n\n<!-- -->", "From: a", 0),
    ],
)
async def test_mails_are_read_as_they_were_sent(reader: Reader, mail: bytes, said: str | None, replaced: int):
    text = await reader.read(mail, "", "a.eml")
    if said is not None:
        assert (text.text, text.replaced) == (said, replaced)


async def test_what_is_no_mail_says_so(reader: Reader):
    for content in (b"just text", b"def f():\n    pass\n", b"Name: x\n\ny"):
        with pytest.raises(Unreadable, match="no mail"):
            await reader.read(content, "", "a.eml")


@pytest.mark.parametrize(
    "kind",
    [
        'multipart/encrypted; protocol="application/pgp-encrypted"; boundary=x',
        "application/pkcs7-mime; smime-type=enveloped-data",
    ],
)
async def test_an_encrypted_mail_says_so(reader: Reader, kind: str):
    with pytest.raises(PasswordProtected, match="encrypted"):
        await reader.read(f"From: a\nContent-Type: {kind}\n\nsealed".encode(), "", "a.eml")


async def test_a_mail_nested_without_end_ends_with_its_reason(reader: Reader):
    levels = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(5000))
    with pytest.raises(ReadingLimit):
        await reader.read(b"From: a\n" + levels + b"\nx", "", "a.eml")
    assert (await reader.read(b"From: a\n\nx", "", "a.eml")).text == "From: a\n\nx"
