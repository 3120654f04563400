"""What is proposed for the metadata of a source, from a sample."""

from commands.knowledge.source_trial import proposed


def test_each_value_of_a_sample_is_proposed_by_its_path_with_the_type_it_looks_like():
    metadata = {
        "author": "Ada", "pages": 3, "score": 0.5, "public": True, "changed": "2026-05-04T10:00:00Z", "day": "2026-05-04",
        "labels": ["a", "b"], "space": {"key": "DOC", "owner": {"name": "Bob"}}, "odd key!": "x", "nothing": None,
        "rows": [{"a": 1}], "not a day": "2026-99-99", "!!!": 1,
    }  # fmt: skip
    assert {name: (field["path"], field["type"]) for name, field in proposed(metadata).items()} == {
        "author": ("author", "text"), "pages": ("pages", "number"), "score": ("score", "number"),
        "public": ("public", "boolean"), "changed": ("changed", "time"), "day": ("day", "time"),
        "labels": ("labels", "list"), "space_key": ("space.key", "text"),
        "space_owner_name": ("space.owner.name", "text"), "odd_key": ("odd key!", "text"),
        "not_a_day": ("not a day", "text"),
    }  # fmt: skip
