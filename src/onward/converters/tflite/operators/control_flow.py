"""Branches, loops and calls: other subgraphs of the file."""

from __future__ import annotations

from typing import Any

from onward.converters.tflite.emitter import Emitter, Node
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Laid, Tensor
from onward.ir import TensorType, Value
from onward.ir.datatypes import DataType


@operator("IF", "STABLEHLO_CASE")
def if_(c: Emitter, node: Node, condition: Tensor, *operands: Tensor) -> Any:
    if node.name == "STABLEHLO_CASE":
        branches = [int(number) for number in node.options.branch_subgraph_indices]
        return _case(c, node, c.value(condition), list(operands), branches, 0)
    inputs = [Laid(c.value(x)) for x in operands]
    graphs = [_branch(c, number, inputs) for number in (node.options.then_subgraph_index, node.options.else_subgraph_index)]
    return _chosen(c, c.op("Reshape", c.value(condition), []), *graphs)


def _branch(c: Emitter, number: int, inputs: list[Laid]) -> Any:
    with c.inner_graph("branch") as graph:
        made = c.walk.run(number, [Laid(item.last) for item in inputs])
        graph.outputs.extend(c.op("Identity", c.value(x)) for x in made)
    return graph


def _chosen(c: Emitter, condition: Value, yes: Any, no: Any) -> list[Value]:
    count = len(yes.outputs)
    made = c.op("If", condition, then_branch=yes, else_branch=no, outputs=count)
    return [made] if count == 1 else list(made)


def _case(c: Emitter, node: Node, index: Value, operands: list[Tensor], branches: list[int], place: int) -> list[Value]:
    """A branch by number; numbers that there are not stand for the last branch."""
    inputs = [Laid(c.value(x)) for x in operands]
    if place == len(branches) - 1:
        return [c.value(x) for x in c.walk.run(branches[place], inputs)]
    yes = _branch(c, branches[place], inputs)
    with c.inner_graph("branch") as no:
        no.outputs.extend(c.op("Identity", value) for value in _case(c, node, index, operands, branches, place + 1))
    import numpy as np

    return _chosen(c, c.op("Equal", c.op("Reshape", index, []), np.int32(place)), yes, no)


@operator("WHILE", "STABLEHLO_WHILE")
def while_(c: Emitter, node: Node, *states: Tensor) -> Any:
    condition, body = node.options.cond_subgraph_index, node.options.body_subgraph_index
    start = [c.value(x) for x in states]
    first = _truth(c, c.walk.run(condition, [Laid(value) for value in start]))
    with c.inner_graph("body") as graph:
        for name, kind in (("turn", DataType.INT64), ("condition", DataType.BOOL)):
            graph.inputs.append(graph.new_value(TensorType(kind, ()), name))
        ports = [graph.new_value(TensorType(DataType.of(x.dtype), (None,) * x.rank), "state") for x in states]
        graph.inputs.extend(ports)
        after = [c.value(x) for x in c.walk.run(body, [Laid(value) for value in ports])]
        again = _truth(c, c.walk.run(condition, [Laid(value) for value in after]))
        graph.outputs.extend(c.op("Identity", value) for value in (again, *after))
    made = c.op("Loop", None, first, *start, body=graph, outputs=len(start))
    return [made] if len(start) == 1 else list(made)


def _truth(c: Emitter, outputs: list[Tensor]) -> Value:
    return c.op("Reshape", c.value(outputs[0]), [])


@operator("CALL", "STABLEHLO_COMPOSITE")
def call(c: Emitter, node: Node, *inputs: Tensor) -> Any:
    """Another subgraph in place: for a composite it says what the composite computes."""
    number = node.options.subgraph if node.name == "CALL" else node.options.decomposition_subgraph_index
    return [c.held(x) for x in c.walk.run(number, [Laid(c.value(x)) for x in inputs])]
