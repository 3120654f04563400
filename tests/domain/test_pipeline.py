"""Pipelines: their paths point back; their runs begin what changes something once, and end once."""

from typing import Any
from uuid import uuid4

import pytest

from domain.errors import Invalid
from domain.pipeline import Pipeline
from domain.pipeline_run import ItemBegun, PipelineRun, PipelineRunEnded

ID = str(uuid4())


def item(name: str, type: str = "prompt", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type, "tool": ID, **more}


def steps(*parallel: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": f"step{number}", "parallel": items} for number, items in enumerate(parallel, 1)]


def pointers(definition: dict[str, Any]) -> list[str]:
    with pytest.raises(Invalid) as refused:
        Pipeline.create(name="p", definition=definition)
    return [error.pointer for error in refused.value.errors]


def test_paths_point_at_inputs_and_at_what_earlier_steps_give():
    made = Pipeline.create(
        name="p",
        definition={
            "inputs": {"text": {}},
            "steps": steps(
                [
                    item("summary", inputs={"text": {"input": "text"}}),
                    item("found", "rag_tool", inputs={"question": {"value": "?"}}),
                ],
                [
                    item(
                        "reply",
                        inputs={"a": {"path": "steps.step1.summary.parsed.title"}},
                        when="steps.step1.found.citations.0",
                    )
                ],
            ),
            "output": {"reply": "steps.step2.reply.text", "all": "steps.step1", "asked": "inputs.text"},
        },
    )
    assert made.definition["steps"][0]["parallel"][0]["inputs"] == {"text": {"input": "text"}}


@pytest.mark.parametrize(
    ("path", "is_wrong"),
    [
        ("steps.step1.a.text", False),
        ("steps.step1.a", False),
        ("steps.step1.a.error.code", False),
        ("steps.step1.a.txt", True),
        ("steps.step1.b.text", True),
        ("steps.step2.x.text", True),  # its own step
        ("steps.step3.y.text", True),  # a later one
        ("steps", True),
        ("inputs.nothing", True),
        ("somewhere.else", True),
    ],
)
def test_a_path_that_points_at_nothing_or_not_back_is_refused_where_it_stands(path: str, is_wrong: bool):
    definition = {"steps": steps([item("a")], [item("x", inputs={"v": {"path": path}}, when=path)], [item("y")])}
    if is_wrong:
        assert pointers(definition) == ["/steps/1/parallel/0/inputs/v/path", "/steps/1/parallel/0/when"]
    else:
        Pipeline.create(name="p", definition=definition)


def test_the_paths_of_output_and_of_variants_are_checked_too():
    assert pointers({"steps": steps([item("a")]), "output": {"x": "steps.step9"}}) == ["/output/x"]
    varied = {"steps": steps([item("b")])}
    definition = {"steps": steps([item("a")]), "output": "steps.step1.a.text", "variants": {"short": varied}}
    assert pointers(definition) == ["/variants/short/output"]


def test_a_variant_may_leave_open_what_has_defaults():
    varied = {"limits": {"seconds": 5.0}, "steps": steps([item("b")])}
    made = Pipeline.create(name="p", definition={"steps": steps([item("a")]), "variants": {"short": varied}})
    short = Pipeline.as_variant(made.definition, "short")
    assert short["limits"]["concurrency"] == 4
    assert short["steps"][0]["parallel"][0]["on_error"] == "fail"


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        (item("a", inputs={"v": {"input": "x", "value": 1}}), "/steps/0/parallel/0/inputs/v"),
        (item("a", inputs={"v": {}}), "/steps/0/parallel/0/inputs/v"),
        (item("a", inputs={"v": {"input": "nothing"}}), "/steps/0/parallel/0/inputs/v/input"),
        (item("a", operation="x"), "/steps/0/parallel/0"),
        (item("a", "api_tool"), "/steps/0/parallel/0"),
        (item("a", "rag_tool"), "/steps/0/parallel/0"),
        (item("a", "retrieval_tool", inputs={"query": {"value": "x"}, "more": {"value": 1}}), "/steps/0/parallel/0"),
        (item("a.b"), "/steps/0/parallel/0/name"),
    ],
)
def test_an_item_is_given_what_its_type_takes_each_from_one_place(wrong: dict[str, Any], pointer: str):
    assert pointers({"steps": steps([wrong])}) == [pointer]


def test_names_differ_and_runs_is_no_pipelines_name():
    assert pointers({"steps": steps([item("a"), item("a")])}) == ["/steps/0/parallel"]
    assert pointers({"steps": [*steps([item("a")]), *steps([item("a")])]}) == ["/steps"]
    with pytest.raises(Invalid):
        Pipeline.create(name="runs", definition={"steps": steps([item("a")])})


def begun() -> PipelineRun:
    return PipelineRun.start(
        run=uuid4(), pipeline={}, principal={}, subject="ada", channel="api", attributes={}, inputs={"x": 1}
    )


def end(run: PipelineRun, name: str, **more: Any) -> None:
    run.end_item("s", name, **{"outcome": "completed", "started_ms": 1.0, "elapsed_ms": 5.0, "versions": {}, **more})


def test_what_changes_something_is_begun_once_and_all_else_again_after_a_kill():
    run = begun()
    for _ in range(2):
        run.begin_item("s", "read", changes=False, elapsed_ms=1.0)
    run.begin_item("s", "order", changes=True, elapsed_ms=1.0)
    with pytest.raises(ItemBegun):
        run.begin_item("s", "order", changes=True, elapsed_ms=2.0)
    assert len(run.begun["s", "read"]) == 2
    end(run, "read", result={"text": "1"})
    assert run.has_begun("s", "read") is None
    assert run.has_begun("s", "order") == {"changes": True, "started_ms": 1.0}


def test_the_first_end_of_an_item_counts_and_results_are_found_by_paths():
    run = begun()
    end(run, "a", result={"text": "first"})
    end(run, "a", result={"text": "second"})
    end(run, "b", outcome="failed", error={"kind": "NotFound", "code": "not_found"}, reason="No such prompt.")
    end(run, "c", outcome="skipped")
    error = {"code": "not_found", "message": "No such prompt."}
    assert run.results() == {"s": {"a": {"text": "first"}, "b": {"error": error}, "c": {}}}


def test_a_run_ends_once_and_nothing_happens_in_it_afterwards():
    run = begun()
    run.cancel()
    run.cancel()
    assert (run.state, run.version, run.is_over) == ("cancelling", 2, False)
    run.stop()
    run.cancel()
    assert (run.state, run.version, run.is_over) == ("cancelled", 3, True)
    for late in (lambda: run.complete(1), lambda: end(run, "a"), lambda: run.fail({})):
        with pytest.raises(PipelineRunEnded):
            late()
