"""Reading streams at the command line."""

from collections.abc import AsyncIterator

from api.cli.server_events import ServerEvent, events_in


async def lines(*given: str) -> AsyncIterator[str]:
    for line in given:
        yield line


async def test_events_are_read_with_their_cursor_and_type_and_signs_of_life_are_passed_over():
    said = [
        ": still here",
        "",
        "id: 7",
        "event: message.delta",
        'data: {"text": "a: b"}',
        "",
        "id: 8",
        'data: {"text": ""}',
        "",
    ]
    assert [event async for event in events_in(lines(*said))] == [
        ServerEvent(id="7", type="message.delta", data={"text": "a: b"}),
        ServerEvent(id="8", type="message", data={"text": ""}),
    ]


async def test_an_event_that_broke_off_is_none():
    assert [event async for event in events_in(lines("id: 1", 'data: {"a"'))] == []
