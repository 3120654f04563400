"""What is shown of a pipeline's run: how it stands, and what its items gave."""

from collections.abc import Mapping
from typing import Any

from domain.pipeline_run import PipelineRun
from domain.pricing import total_cost, total_usage
from domain.run import Step, cost_document, usage_document
from domain.run_steps import step_of


def document(going: PipelineRun, *, with_texts: bool = True) -> dict[str, Any]:
    """Return its public form; without texts, nothing of what it was given and gave."""
    places = dict.fromkeys((*going.begun, *going.items))
    steps = [
        {
            "name": name,
            "items": [item_document(going, place, with_texts=with_texts) for place in places if place[0] == name],
        }
        for name in dict.fromkeys(step for step, _ in places)
    ]
    return {
        "id": going.run,
        "run_id": going.run,
        "version": going.version,
        "pipeline": {name: value for name, value in going.pipeline.items() if name != "kind"},
        "state": going.state,
        "subject": going.subject,
        "principal": going.principal,
        "inputs": going.inputs if with_texts else None,
        "output": going.output if with_texts else None,
        "error": None if going.error is None else {k: v for k, v in going.error.items() if k != "kind"},
        "steps": steps,
        **spent([step_of(part) for ended in going.items.values() for part in ended["parts"]]),
        "duration_ms": going.elapsed_ms,
    }


def item_document(going: PipelineRun, place: tuple[str, str], *, with_texts: bool = True) -> dict[str, Any]:
    """Return the public form of an item that was begun, or has ended."""
    ended = going.items.get(place)
    shown: dict[str, Any] = {"name": place[1], "attempts": len(going.begun.get(place, ()))}
    if ended is None:
        return {**shown, "state": "interrupted" if going.is_over else "running"}
    error: Mapping[str, Any] | None = ended["error"]
    return {
        **shown,
        "state": ended["outcome"],
        "error": None
        if error is None
        else {"code": error["code"], "message": error["message"] if with_texts else None},
        "result": ended["result"] if with_texts else None,
        "duration_ms": ended["duration_ms"],
        **spent([step_of(part) for part in ended["parts"]]),
    }


def spent(steps: list[Step]) -> dict[str, Any]:
    """Return usage and cost of steps, in their public form."""
    return {
        "usage": usage_document(total_usage([step.usage for step in steps])),
        "cost": cost_document(total_cost([step.cost for step in steps])),
    }
