"""From graphs to tensor programs, and the types that follow."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from onward import program as P
from onward.errors import InferenceError, InvalidInput, UnsupportedOperator
from onward.ir import Model, TensorType, as_model
from onward.operators import infer, lower, unsupported_operators
from onward.operators.arguments import NotConstant
from onward.runtime import InferenceSession


def parse(text: str) -> Model:
    return as_model(parser.parse_model(text))


HEADER = '<ir_version: 9, opset_import: ["" : 18, "local" : 1]>'


def types(model: Model) -> dict[str, str]:
    infer(model)
    return {value.name: ", ".join(map(str, value.type.shape or ())) for value in model.graph.values() if isinstance(value.type, TensorType)}


def test_sizes_are_followed_through_the_arithmetic_on_shapes() -> None:
    """The usual form of a flattening by an older exporter: Shape, Gather, Unsqueeze, Concat, Reshape."""
    model = parse(
        HEADER
        + """
        g (float[batch, 3, length] x) => (float[a, b] y)
        <int64[1] zero = {0}, int64[1] two = {2}, int64[1] minus = {-1}, int64[1] three = {3}> {
            s = Shape(x)
            n = Gather(s, zero)
            l = Gather(s, two)
            m = Mul(l, three)
            target = Concat<axis = 0>(n, m)
            y = Reshape(x, target)
            w = Reshape(x, minus)
        }"""
    )
    assert types(model)["y"] == "batch, 3*length"
    assert types(model)["w"] == "3*batch*length"


def test_declared_names_are_kept_for_sizes_of_the_run() -> None:
    model = parse(HEADER + "g (float[n] x) => (int64[1, found] y) { y = NonZero(x)  z = Transpose(y) }")
    assert types(model) == {"x": "n", "y": "1, found", "z": "found, 1"}


def test_contradictions_are_named() -> None:
    with pytest.raises(InferenceError, match="value 'y'.*Relu.*declared"):
        infer(parse(HEADER + "g (float[2, 3] x) => (float[3, 3] y) { y = Relu(x) }"))
    with pytest.raises(InferenceError, match="data type INT64"):
        infer(parse(HEADER + "g (float[2, 3] x) => (int64[2, 3] y) { y = Relu(x) }"))


def test_inference_goes_on_after_an_unknown_operator() -> None:
    model = parse(
        '<ir_version: 9, opset_import: ["" : 18, "com.example" : 1]>g (float[2] x) => (float[a] y, float[b] z) { y = com.example.Foo(x)  z = Exp(x) }'
    )
    found = types(model)
    assert found["z"] == "2" and found["y"] == "a"
    assert unsupported_operators(model) == ["com.example.Foo-1"]


def test_all_unsupported_nodes_are_listed() -> None:
    model = parse(
        '<ir_version: 9, opset_import: ["" : 18, "com.example" : 1]>'
        "g (float[2] x) => (float[a] y, float[b] z) { y = com.example.Foo(x)  z = com.example.Bar(x) }"
    )
    with pytest.raises(UnsupportedOperator) as error:
        lower(model)
    assert "2 things" in str(error.value) and "Foo" in str(error.value) and "Bar" in str(error.value)


def test_a_wrong_node_is_named() -> None:
    with pytest.raises(InferenceError, match=r"Concat.*axis"):
        lower(parse(HEADER + "g (float[2, 3] x, float[3, 3] y) => (float z) { z = Concat<axis = 1>(x, y) }"))


def test_functions_of_the_model_are_inlined_with_their_attributes() -> None:
    model = parse(
        HEADER
        + """
        g (float[2, 3] x) => (float[2, 3] y) { y = local.Scaled<factor = 3.0>(x) }
        <domain: "local", opset_import: ["" : 18]>
        Scaled <factor> (a) => (b) { c = Constant<value_float: float = @factor>()  b = Mul(a, c) }"""
    )
    program = lower(model)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (y,) = P.evaluate(list(program.outputs.values()), {"x": x})
    np.testing.assert_array_equal(y, 3 * x)


def test_inputs_that_must_be_constants_are_named_and_can_be_given() -> None:
    model = parse(HEADER + "g (float[2, 3] x, int64[1] axes) => (float y) { y = Unsqueeze(x, axes) }")
    with pytest.raises(NotConstant, match="axes of Unsqueeze") as error:
        lower(model)
    assert error.value.inputs == ["axes"]
    program = lower(model, constants={"axes": np.array([1])})
    assert [item.label for item in program.inputs] == ["x"]
    assert program.outputs["y"].shape == (2, 1, 3)


def test_shapes_of_inputs_can_be_overridden() -> None:
    program = lower(parse(HEADER + "g (float[n, m] x) => (float y) { y = Relu(x) }"), shapes={"x": (4, P.Symbol("k"))})
    assert program.symbols == ("k",)
    assert [str(extent) for extent in program.outputs["y"].shape] == ["4", "k"]


def test_arrays_know_the_node_they_come_from() -> None:
    model = parse(HEADER + "g (float[2, 3] x) => (float y) { [soft] y = Softmax<axis = -1>(x) }")
    array = lower(model).outputs["y"]
    assert array.label == "y"
    pending = [array]
    while pending:
        item = pending.pop()
        if not isinstance(item, (P.Input, P.Constant)):
            assert [origin.op_type for origin in item.origins] == ["Softmax"]
        pending.extend(item.sources)


def branch(name: str, op: str) -> onnx.GraphProto:
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return helper.make_graph([helper.make_node(op, ["x"], [name])], name, [], [output])


def test_branches() -> None:
    """A known condition leaves one branch; another selects."""
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch("a", "Relu"), else_branch=branch("b", "Neg"))
    x, y, c = (helper.make_tensor_value_info(name, dtype, shape) for name, dtype, shape in (("x", 1, [2]), ("y", 1, [2]), ("c", TensorProto.BOOL, [])))
    opsets = [helper.make_opsetid("", 18)]
    chosen = helper.make_model(helper.make_graph([node], "g", [x, c], [y]), opset_imports=opsets)
    fixed = numpy_helper.from_array(np.array(False), "c")
    known = helper.make_model(helper.make_graph([node], "g", [x], [y], [fixed]), opset_imports=opsets)
    data = np.array([-1, 2], np.float32)
    for condition in (True, False):
        (result,) = P.evaluate([lower(as_model(chosen)).outputs["y"]], {"x": data, "c": np.array(condition)})
        np.testing.assert_array_equal(result, np.maximum(data, 0) if condition else -data)
    (result,) = P.evaluate([lower(as_model(known)).outputs["y"]], {"x": data})
    np.testing.assert_array_equal(result, -data)


MISMATCHES = {
    "Reshape": ("float[n, 3] x", "y = Reshape(x, s)", [(3, 3)]),
    "Concat": ("float[n, 3] x, float[m, 3] z", "y = Concat<axis = 1>(x, z)", [(4, 3), (1, 3)]),
    "Add": ("float[n, 3] x, float[m, 3] z", "y = Add(x, z)", [(4, 3), (2, 3)]),
    "MatMul": ("float[2, n] x, float[m, 3] z", "y = MatMul(x, z)", [(2, 5), (4, 3)]),
    "Squeeze": ("float[n, 3] x", "y = Squeeze(x, zero)", [(3, 3)]),
    "Expand": ("float[n, 3] x", "y = Expand(x, s)", [(5, 3)]),
}


@pytest.mark.parametrize("operator", MISMATCHES)
def test_sizes_that_do_not_go_together_are_refused_before_the_run(operator: str) -> None:
    inputs, node, shapes = MISMATCHES[operator]
    model = parse(HEADER + f"g ({inputs}) => (float[a, b] y) <int64[2] s = {{2, 3}}, int64[1] zero = {{0}}> {{ {node} }}")
    model.graph.outputs[0].type = None
    session = InferenceSession(model)
    feeds = {name: np.zeros(shape, np.float32) for name, shape in zip("xz", shapes)}
    with pytest.raises(InvalidInput, match=f"{operator}.* against "):
        session.run(None, feeds)
