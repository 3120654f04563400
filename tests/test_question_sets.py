"""Sets of questions for the benchmarks: read in both forms, and measured as it is defined."""

import json
from pathlib import Path

from benchmarks.question_sets import mean_reciprocal_rank, read, recall, thinned


def test_a_file_of_squads_form_is_read(tmp_path: Path):
    paragraphs = [
        {"context": "Cats purr.", "qas": [{"question": "What do cats do?"}, {"question": "x", "is_impossible": True}]},
        {"context": "Dogs bark.", "qas": [{"question": "What do dogs do?"}]},
        {"context": "Cats purr.", "qas": [{"question": "Who purrs?"}]},
    ]
    (tmp_path / "pets.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    made = read(tmp_path / "pets.json")
    assert (made.name, made.passages) == ("pets", ["Cats purr.", "Dogs bark."])
    assert dict(zip(made.questions, made.relevant, strict=True)) == {
        "What do cats do?": {0}, "What do dogs do?": {1}, "Who purrs?": {0},
    }  # fmt: skip
    assert thinned(made, 1).questions == ["What do cats do?"] and thinned(made, 9) == made


def test_a_folder_of_beirs_form_is_read(tmp_path: Path):
    (tmp_path / "qrels").mkdir()
    corpus = [{"_id": "a", "title": "Cats", "text": "They purr."}, {"_id": "b", "text": "Dogs bark."}]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    queries = [{"_id": "1", "text": "Who purrs?"}, {"_id": "2", "text": "Nobody answers this."}]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n1\tb\t0\n")
    made = read(tmp_path)
    assert (made.passages, made.questions) == (["Cats\nThey purr.", "Dogs bark."], ["Who purrs?"])
    assert made.relevant == [{0}]


def test_lines_of_beirs_form_end_where_json_lines_do(tmp_path: Path):
    (tmp_path / "qrels").mkdir()
    text = "One\u2028two\u2029three\u0085four"
    for name, id in (("corpus", "a"), ("queries", "1")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"_id": id, "text": text}, ensure_ascii=False) + "\n")
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n")
    made = read(tmp_path)
    assert (made.passages, made.questions, made.relevant) == ([text], [text], [{0}])


def test_recall_and_reciprocal_ranks_are_as_they_are_defined():
    relevant = [frozenset({3}), frozenset({1, 2}), frozenset({9})]
    rankings = [[5, 3], [1, 7, 8, 6, 5, 2], [1, 2, 3, 4, 5, 9]]
    assert recall(rankings, relevant) == (1 + 0.5 + 0) / 3
    assert mean_reciprocal_rank(rankings, relevant) == (1 / 2 + 1 + 1 / 6) / 3
