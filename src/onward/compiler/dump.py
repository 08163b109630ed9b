"""Every stage prints: `ONWARD_DUMP=graph,steps,llvm` shows on standard error what the compiler sees."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from onward.compiler.layout import LayoutPlanner
from onward.compiler.steps import BlockStep, ContractionStep, CopyStep, Nest, RoutineStep, Step, UpdateStep
from onward.ir import Model


def wanted(stage: str) -> bool:
    """Whether the user asked for this stage."""
    return stage in os.environ.get("ONWARD_DUMP", "").split(",")


def graph(model: Model) -> None:
    """The optimised graph, a node a line."""
    if not wanted("graph"):
        return
    for node in model.graph.nodes:
        outputs = ", ".join(value.name for value in node.outputs)
        inputs = ", ".join(value.name if value is not None else "-" for value in node.inputs)
        print(f"{outputs} = {node.op_type}({inputs})", file=sys.stderr)


def steps(items: Sequence[Step], layouts: LayoutPlanner) -> None:
    """The kernels, with the scalars they compute."""
    if not wanted("steps"):
        return
    for number, step in enumerate(items):
        print(f"{number}: {describe(step, layouts)}", file=sys.stderr)


def describe(step: Step, layouts: LayoutPlanner) -> str:
    """One step in a few lines."""
    if isinstance(step, Nest):
        rows = ", ".join(f"{row}<{step.extents.get(str(row), 1)}" for row in step.rows or [])
        lines = [f"nest rows [{rows}]"]
        for stage in step.stages:
            view = layouts.view(stage.root.array)
            where = "".join(f"[{place}]" for place in stage.variables)
            lines.append(f"    {stage.kind} {stage.root.array.label}{where} {view.strides} = {str(stage.body)[:300]}")
            if stage.reduce_body is not None:
                assert stage.root.reduce is not None
                lines.append(f"        {stage.root.reduce.operation} of {str(stage.reduce_body)[:300]}")
        return "\n".join(lines)
    if isinstance(step, ContractionStep):
        contraction = step.root.contraction
        assert contraction is not None
        return (
            f"contraction {step.root.array.label} {step.root.shape} = sum of {contraction.left} * {contraction.right} over "
            f"{list(zip(map(str, step.root.reduction), step.root.extents))}; element {str(step.root.body)[:300]}"
        )
    if isinstance(step, BlockStep):
        blocks = step.blocks
        return f"blocks of {blocks.rows} rows of {blocks.root.array.label} {blocks.root.shape}, {blocks.counts} of them; for each:"
    if isinstance(step, CopyStep):
        return f"copy {step.source} into {step.target} at {step.shift}"
    if isinstance(step, UpdateStep):
        update = step.update
        return f"{update.source.label} with {update.new} from {update.begin} to {update.end} along axis {update.axis}, {update.root.array.label}"
    if isinstance(step, RoutineStep):
        return f"routine {step.routine.name} of {', '.join(map(str, step.routine.inputs))}"
    return f"border of {step.padding.root.array} around {step.padding.source.label}"


def llvm(texts: Sequence[str]) -> None:
    """The LLVM IR of every kernel and of the entry."""
    if wanted("llvm"):
        for text in texts:
            print(text, file=sys.stderr)
