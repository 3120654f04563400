"""What is printed does nothing to a terminal and forges no line, whoever wrote it."""

import json
from typing import Any

import pytest

from api.cli.events import print_event
from api.cli.output import labelled, line, show_json, table

FORGED = "ok\r\n       9  2026-01-01T00:00:00Z  api_key.revoked  by admin"
WRITTEN = (
    FORGED,
    "a\x1b[2K\x1b[1Ab",
    "a\x1b]0;title\x07b",
    "a\x9b2Jb",
    "a\u2028b\u2029c\x85d\x0ce",
    "live\u202eteg\u2066\u2069",
    "\x08\x08\x7f\x00",
)


@pytest.mark.parametrize("written", WRITTEN)
def test_an_event_is_one_line_whatever_was_written_in_it(capsys: pytest.CaptureFixture[str], written: str):
    event: dict[str, Any] = {
        "position": 8,
        "recorded_at": "2026-01-01T00:00:00Z",
        "type": "prompt.text_changed",
        "name": "p",
        "summary": f"Tagged as {written}",
        "actor": {"name": written},
        "reason": written,
    }
    print_event(event, as_json=False)
    [told] = capsys.readouterr().out.splitlines()
    assert told.isprintable() and told.startswith("       8  2026")
    assert told.count("\\u001b") == 3 * written.count("\x1b"), "the library drops some of it where there is no terminal"


@pytest.mark.parametrize("written", WRITTEN)
def test_a_value_stays_in_its_line_of_a_list_or_table(capsys: pytest.CaptureFixture[str], written: str):
    labelled({"reason": written, "summary": "x"})
    table(("who", "what"), [(written, "x")])
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 4 and all(each.isprintable() for each in told)


@pytest.mark.parametrize("written", WRITTEN)
def test_json_means_what_it_meant(capsys: pytest.CaptureFixture[str], written: str):
    show_json({"reason": written})
    told = capsys.readouterr().out
    assert json.loads(told) == {"reason": written}
    assert not any(each in told for each in "\x1b\x9b\x7f\x85\r")


def test_an_answer_keeps_its_lines_and_whatever_it_is_written_in(capsys: pytest.CaptureFixture[str]):
    text = "one\n\ttwo\r\n\u202bשם\u202c \u200fعربي 👩\u200d💻"
    line(text)
    line("\x1b[31mred\x1b[0m\rover")
    assert capsys.readouterr().out == f"{text}\n\\u001b[31mred\\u001b[0m\\u000dover\n"
