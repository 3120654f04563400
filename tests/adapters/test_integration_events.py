"""Events as others get them."""

import json

from projections.integration_events import LARGEST, cloud_event, envelope

EVENT = {
    "position": 7,
    "id": "e",
    "type": "prompt.published",
    "aggregate_id": "a",
    "recorded_at": "2026-11-25T12:00:00Z",
    "correlation_id": "c",
    "causation_id": None,
    "data": {"text": "x"},
    "hash": "00",
}


def test_an_event_is_wrapped_whole_and_what_there_is_none_of_is_left_out():
    wrapped = cloud_event(EVENT, "/magnet/i")
    assert wrapped["data"] == EVENT
    assert wrapped["correlationid"] == "c" and "causationid" not in wrapped


def test_only_an_event_that_is_too_large_is_referred_to_instead_of_carried():
    fits = envelope({**EVENT, "data": {"text": "x" * (LARGEST - 2000)}}, "/magnet/i")
    large = envelope({**EVENT, "data": {"text": "x" * LARGEST}}, "/magnet/i")
    assert json.loads(fits.value)["data"]["data"]["text"]
    assert json.loads(large.value)["data"]["data"] is None
    assert json.loads(large.value)["dataref"] == "/v1/events?after=6&limit=1"
