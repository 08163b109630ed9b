"""The tree of modules stays readable however large the model is."""

from __future__ import annotations

from onward.cli.outline import SCOPES, build_outline, lines, scope
from onward.ir import DataType, Graph, Model, Node, TensorType, Value


def node(name: str, *scopes: str) -> Node:
    result = Node("Relu", [Value("x", TensorType(DataType.FLOAT, (1,)))], 1, name=name)
    if scopes:
        result.metadata[SCOPES] = repr(["", *scopes, name])
    return result


def test_scope_from_names_and_from_metadata() -> None:
    assert scope(node("/encoder/layer.0/attention/MatMul")) == ("encoder", "layer.0", "attention")
    assert scope(node("relu_1", "encoder", "encoder.layer.0", "encoder.layer.0.output")) == ("encoder", "layer.0", "output")
    assert scope(node("plain")) == ()


def test_repeated_blocks_are_one_line() -> None:
    graph = Graph("large")
    value = Value("x", TensorType(DataType.FLOAT, (4,)))
    graph.inputs.append(value)
    for layer in range(1000):
        for part in ("attention", "output") * 4:
            item = Node("Relu", [value], [graph.new_value(hint="y")], name=f"/encoder/layer.{layer}/{part}/Relu")
            value = graph.append(item).outputs[0]
    rows = list(lines(build_outline(Model(graph)), deepest=3))
    assert [(row.depth, row.name, row.times) for row in rows] == [
        (0, "encoder", 1), (1, "layer.0 … layer.999", 1000), (2, "attention", 1), (2, "output", 1),
    ]  # fmt: skip
    assert rows[0].block.total_operators["Relu"] == 8000
