"""Text out of bytes that are cut anywhere: the same, whatever the pieces; what is no text becomes U+FFFD, counted."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.openai.chat_answer import ChatReading
from adapters.openai.failures import Failure
from adapters.openai.sse import LONGEST_EVENT, EventReader
from adapters.openai.text import Cleaner, NotJson, cleaned, read_json, write_json
from adapters.openai.vectors import vectors_from

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()) | st.sampled_from("\x00\ud83d\ude00\ud800\udfffü😀"))


@st.composite
def cut(draw: st.DrawFn, whole: Any) -> list[Any]:
    """Return the whole in pieces, cut anywhere."""
    places = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    return [whole[start:end] for start, end in zip([0, *places], [*places, len(whole)], strict=True)]


def replaced_by_hand(text: str) -> tuple[str, int]:
    """Return the text as it should come out, found character by character."""
    out: list[str] = []
    count = place = 0
    while place < len(text):
        one, two = text[place], text[place : place + 2]
        if "\ud800" <= one <= "\udbff" and len(two) == 2 and "\udc00" <= two[1] <= "\udfff":
            out.append(chr(0x10000 + ((ord(one) - 0xD800) << 10) + ord(two[1]) - 0xDC00))
            place += 2
            continue
        wrong = one == "\x00" or "\ud800" <= one <= "\udfff"
        out.append("\ufffd" if wrong else one)
        count += wrong
        place += 1
    return "".join(out), count


@given(st.data(), ANY_TEXT)
def test_text_cut_anywhere_comes_out_the_same(data: st.DataObject, text: str):
    cleaner = Cleaner()
    pieces = [cleaner.clean(piece) for piece in data.draw(cut(text))]
    came = "".join([*pieces, cleaner.rest()])
    assert (came, cleaner.replaced) == replaced_by_hand(text) == cleaned(text)
    came.encode()  # it is text


def events_of(chunks: Sequence[bytes]) -> list[bytes]:
    reader = EventReader()
    return [data for chunk in chunks for data in reader.feed(chunk)]


LINE = st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b""))


@given(
    st.data(),
    st.lists(st.one_of(LINE.map(lambda line: b"data: " + line), LINE, st.just(b""), st.just(b": still here"))),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_events_cut_anywhere_are_the_same(data: st.DataObject, lines: list[bytes], ending: bytes):
    whole = ending.join([*lines, b"", b""])
    assert events_of(data.draw(cut(whole))) == events_of([whole])


@settings(deadline=None)
@given(st.data(), st.lists(ANY_TEXT, max_size=6), st.booleans())
def test_a_streamed_answer_cut_anywhere_says_the_same(data: st.DataObject, pieces: list[str], escaped: bool):
    """Cut inside lines, inside characters of UTF-8, and inside pairs of surrogates."""
    text = "".join(pieces)
    written = b""
    for piece in [*pieces, None]:
        choice = {"delta": {"content": piece} if piece is not None else {}, "finish_reason": None if piece else "stop"}
        plain = not escaped and (piece or "").isprintable()
        written += b"data: " + json.dumps({"choices": [choice]}, ensure_ascii=not plain).encode() + b"\n\n"
    reading, reader, passed_on = ChatReading(), EventReader(), []
    for chunk in data.draw(cut(written)):
        passed_on += [reading.event(event) for event in reader.feed(chunk)]
    passed_on.append(reading.finish())
    assert ("".join(passed_on), reading.replaced) == replaced_by_hand(text)
    assert reading.text == "".join(passed_on)


def test_bytes_that_are_no_utf8_are_replaced_and_counted():
    value, replaced = read_json(b'{"a": "\xff\xfe ok \xef\xbf\xbd"}')
    assert (value, replaced) == ({"a": "\ufffd\ufffd ok \ufffd"}, 2)


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b"{", b"nul", b"1" * 5000, b"\x00", b'{"a":1}x'])
def test_what_is_no_json_is_told_so(data: bytes):
    with pytest.raises(NotJson):
        read_json(data)


@given(st.recursive(st.none() | st.integers() | st.floats() | ANY_TEXT, lambda inner: st.lists(inner, max_size=3)))
def test_every_request_can_be_written(value: Any):
    write_json({"value": value}).decode("utf-8")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "index",
                    "id",
                    "name",
                    "arguments",
                    "usage",
                    "prompt_tokens",
                    "prompt_tokens_details",
                    "cached_tokens",
                    "error",
                    "code",
                    "finish_reason",
                    "data",
                    "embedding",
                    "text",
                    "refusal",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(JUNK)
def test_whatever_a_provider_sends_is_an_answer_or_a_failure(value: Any):
    data = json.dumps(value).encode()
    for read in (ChatReading().whole, ChatReading().event, lambda data: vectors_from(data, 1, None)):
        with contextlib.suppress(Failure):
            read(data)


@settings(deadline=None)
@given(JUNK)
def test_whatever_an_answer_has_for_its_message_is_text_or_a_failure(value: Any):
    for place in ("message", "delta"):
        reading = ChatReading()
        data = json.dumps({"choices": [{place: value}], "usage": value}).encode()
        try:
            (reading.whole if place == "message" else reading.event)(data)
            reading.tool_calls()
        except Failure:
            continue
        reading.text.encode()
        assert reading.usage is None or reading.usage.total >= 0


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"x" * (LONGEST_EVENT + 10)],
        [b"data: ", *[b"x" * 100_000] * 41],
        [b"data: " + b"x" * 1000 + b"\n"] * 5000,
        [b": " + b"x" * (LONGEST_EVENT + 10)],
    ],
    ids=["at once", "in pieces", "many lines", "a comment"],
)
def test_an_event_that_never_ends_is_refused_before_it_fills_the_memory(chunks: list[bytes]):
    with pytest.raises(Failure) as failure:
        events_of(chunks)
    assert failure.value.code == "invalid_response"


def test_a_long_line_in_small_pieces_takes_time_in_proportion():
    chunks = [b"data: ", *[b"x"] * 1_000_000, b"\n\n"]
    assert [len(data) for data in events_of(chunks)] == [1_000_000]


def test_an_answer_that_never_ends_is_refused():
    reading = ChatReading()
    event = json.dumps({"choices": [{"delta": {"content": "x" * 1_000_000}}]}).encode()
    for _ in range(8):
        reading.event(event)
    with pytest.raises(Failure) as failure:
        reading.event(event)
    assert failure.value.message == "sent an answer that is too long"
