"""Which of a document's metadata are fields, and where that ends."""

from projections.metadata_fields import MOST_FIELDS, MOST_ITEMS, fields_of


def test_of_very_many_keys_the_first_by_name_are_fields_and_those_that_are_mapped_always_are():
    metadata = {f"k{number:03}": number for number in range(MOST_FIELDS + 50)} | {"z": {"until": "2026-05-01"}}
    mapping = {"until": {"path": "z.until", "type": "time"}, "last": {"path": "k249", "type": "number"}}
    fields = fields_of(metadata, mapping)
    assert fields.pop("until") == "2026-05-01T00:00:00.000000Z"
    assert fields.pop("last") == 249
    assert list(fields) == [f"k{number:03}" for number in range(MOST_FIELDS)]


def test_what_no_filter_could_name_is_no_field():
    told = {"k" * 65: 1, "": 1, "object": {"a": 1}, "nothing": None, "long": "x" * 2001, "n\0": 1, "nul": "a\0"}
    assert fields_of(told | {"list": [*range(MOST_ITEMS + 1), {"a": 1}], "text": "x" * 2000}, {}) == {
        "list": list(range(MOST_ITEMS)),
        "text": "x" * 2000,
    }
