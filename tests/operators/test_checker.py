"""The checker: right models pass, and every fault is named with its place, all at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onward.errors import CheckError, InvalidGraph, OnwardError
from onward.ir import as_model
from onward.operators import check

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def value(name: str, shape: list[int | str] | None = None, dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, [2, 3] if shape is None else shape)


def model(*nodes: onnx.NodeProto, **parts: object) -> onnx.ModelProto:
    inputs = parts.get("inputs", [value("x"), value("y")])
    outputs = parts.get("outputs", [value("z")])
    graph = helper.make_graph(list(nodes), str(parts.get("name", "g")), inputs, outputs, parts.get("initializer", []))
    opsets = parts.get("opset_imports", [helper.make_opsetid("", 18)])
    return helper.make_model(graph, opset_imports=opsets, ir_version=parts.get("ir_version", 9), functions=parts.get("functions", []))


def node(op: str, inputs: str = "x y", outputs: str = "z", **attributes: object) -> onnx.NodeProto:
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name="n", **attributes)


def function(name: str, *nodes: onnx.NodeProto) -> onnx.FunctionProto:
    return helper.make_function("local", name, ["x", "y"], ["z"], list(nodes), [helper.make_opsetid("", 18)])


LOCAL = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]

GOOD: dict[str, Callable[[], onnx.ModelProto]] = {
    "one node": lambda: model(node("Add")),
    "optional input left out": lambda: model(node("Clip", "x - y"), inputs=[value("x"), value("y", [])]),
    "initialiser": lambda: model(node("Add", "x w"), inputs=[value("x")], initializer=[numpy_helper.from_array(np.ones(3, np.float32), "w")]),
    "function": lambda: model(node("F", domain="local"), opset_imports=LOCAL, functions=[function("F", node("Add"))]),
    "symbolic extents": lambda: model(node("Add"), inputs=[value("x", ["batch", 3]), value("y", ["batch", 1])], outputs=[value("z", ["batch", 3])]),
}


@pytest.mark.parametrize("name", GOOD)
def test_right_models_pass(name: str) -> None:
    check(as_model(GOOD[name]()))


BROKEN: dict[str, tuple[Callable[[], onnx.ModelProto], list[str]]] = {
    "unknown operator": (lambda: model(node("Addd")), ["node 'n' (Addd)", "no operator ai.onnx.Addd", "mean Add"]),
    "operator of a later version": (lambda: model(node("Gelu", "x")), ["since version 20", "imports version 18"]),
    "deprecated operator": (lambda: model(node("Upsample")), ["deprecated since version 10"]),
    "domain not imported": (lambda: model(node("Foo", domain="com.example")), ["imports no version", "com.example"]),
    "opset of the future": (
        lambda: model(node("Add"), opset_imports=[helper.make_opsetid("", 999)]),
        ["imports version 999 of ai.onnx"],
    ),
    "IR version of the future": (lambda: model(node("Add"), ir_version=99), ["IR version 99"]),
    "too few inputs": (lambda: model(node("Add", "x")), ["has 1 inputs", "Add-14 takes 2"]),
    "too many inputs": (lambda: model(node("Relu")), ["has 2 inputs", "takes 1"]),
    "required input missing": (lambda: model(node("Add", "- y")), ["input 0 (A) of Add-14 is required"]),
    "unknown attribute": (lambda: model(node("Add", axis=1)), ["Add-14 has no attribute 'axis'"]),
    "attribute of a wrong type": (lambda: model(node("Softmax", "x", axis=1.5)), ["axis is FLOAT", "takes INT"]),
    "required attribute missing": (lambda: model(node("Concat")), ["Concat-13 needs the attribute 'axis'"]),
    "input not defined": (lambda: model(node("Add", "x nothing")), ["'nothing'", "'n' (Add)"]),
    "order": (
        lambda: model(node("Add", "x later"), helper.make_node("Relu", ["y"], ["later"])),
        ["input 1 'later' is computed only later"],
    ),
    "output not computed": (lambda: model(node("Add"), outputs=[value("w")]), ["'w'"]),
    "two data types": (
        lambda: model(node("Add"), inputs=[value("x"), value("y", dtype=INT64)]),
        ["input 1 'y' is tensor(int64)", "input 0 'x' is tensor(float)"],
    ),
    "data type not allowed": (
        lambda: model(node("Erf", "x"), inputs=[value("x", dtype=TensorProto.BOOL)]),
        ["tensor(bool)", "Erf-13 takes"],
    ),
    "wrong output type": (
        lambda: model(node("Add"), outputs=[value("z", dtype=INT64)]),
        ["output 0 'z' is tensor(int64)"],
    ),
    "graph without a name": (lambda: model(node("Add"), name=""), ["graph: it has no name"]),
    "initialiser of another type": (
        lambda: model(node("Add"), initializer=[numpy_helper.from_array(np.ones(5, np.float32), "y")]),
        ["initialiser 'y' is FLOAT [5]"],
    ),
    "function that calls itself": (
        lambda: model(
            node("F", domain="local"),
            opset_imports=LOCAL,
            functions=[helper.make_function("local", "F", ["x", "y"], ["z"], [node("F", domain="local")], LOCAL)],
        ),
        ["function F: it calls itself"],
    ),
    "fault inside a function": (
        lambda: model(node("F", domain="local"), opset_imports=LOCAL, functions=[function("F", node("Add", "x nothing"))]),
        ["function", "'nothing'"],
    ),
    "too many arguments of a function": (
        lambda: model(node("F", "x y x", domain="local"), opset_imports=LOCAL, functions=[function("F", node("Add"))]),
        ["has 3 inputs, but function F has 2"],
    ),
    "shapes that do not fit": (
        lambda: model(node("MatMul"), outputs=[value("z", ["a", "b"])]),
        ["node 'n' (MatMul)", "3", "2"],
    ),
    "declared shape that is wrong": (
        lambda: model(node("Add"), outputs=[value("z", [5, 3])]),
        ["value 'z' of node 'n' (Add)", "(5, 3)", "(2, 3)"],
    ),
    "sub-graph": (
        lambda: model(
            node(
                "If",
                "c",
                then_branch=helper.make_graph([node("Add", "x nothing", "a")], "t", [], [value("a")]),
                else_branch=helper.make_graph([node("Add", "x y", "b")], "e", [], [value("b")]),
            ),
            inputs=[value("x"), value("y"), value("c", [], TensorProto.BOOL)],
        ),
        ["graph 't'", "'nothing'"],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_faults_are_named(name: str) -> None:
    """By the checker, or by the reader where a graph cannot even be built."""
    build, words = BROKEN[name]
    with pytest.raises((CheckError, InvalidGraph)) as error:
        check(as_model(build()))
    for word in words:
        assert word in str(error.value)


def test_all_faults_are_listed_at_once() -> None:
    broken = model(node("Addd", "x y", "a"), node("Relu", "x y", "b"), node("Add", "a b", "z", axis=1))
    with pytest.raises(CheckError) as error:
        check(as_model(broken))
    assert "3 problems" in str(error.value)


@pytest.mark.parametrize("twice", ["output", "input"])
def test_a_name_that_is_given_twice_is_refused(twice: str) -> None:
    if twice == "output":
        broken = model(node("Add"), node("Mul"))
    else:
        broken = model(node("Add", "x x"), inputs=[value("x"), value("x")])
    with pytest.raises(OnwardError, match="'z'|'x'"):
        check(as_model(broken))
