"""Calls that somebody claims while a graph is lowered."""

from __future__ import annotations

import numpy as np
from onnx import parser

from onward import operators
from onward import program as P
from onward.ir import Model, as_model
from onward.operators.native import Call, Native, call_of

HEADER = '<ir_version: 9, opset_import: ["" : 18, "local" : 1]>'


def parse(text: str) -> Model:
    return as_model(parser.parse_model(text))


def lowered(text: str, *claimed: str) -> tuple[operators.Program, list[Call]]:
    """The program with calls of some operators claimed, and what was offered."""
    offered: list[Call] = []

    def form(call: Call) -> Native | None:
        offered.append(call)
        return Native(lambda: call.node.op_type) if call.node.op_type in claimed else None

    return operators.lower(parse(text), native=form), offered


def routines(array: P.Array) -> list[P.Routine]:
    """The claimed routines that an array is computed from, itself included."""
    found, pending = {}, [array]
    while pending:
        item = pending.pop()
        if isinstance(item, P.RoutineOutput) and item.routine.name == "native":
            found[item.routine] = None
        body = item.routine.attributes.get("body") if isinstance(item, P.RoutineOutput) else None
        pending += [*item.sources, *((*body.following, *body.collected) if body else ())]
    return list(found)


def test_a_claimed_call_has_the_form_of_its_definition() -> None:
    program, offered = lowered(HEADER + "g (float[n, 4] x) => (float[n, 4] y) { h = LogSoftmax(x) y = Relu(h) }", "LogSoftmax")
    (native,) = routines(program.outputs["y"])
    assert native.inputs == program.inputs and native.outputs[0][0] == program.inputs[0].shape
    assert native.attributes["call"] is offered[0] and offered[0].attributes == {"axis": -1} and offered[0].version == 13
    assert program.values[next(iter(offered[1].node.inputs))].label == "h"


def test_what_shapes_are_made_of_is_not_offered() -> None:
    program, offered = lowered(
        HEADER
        + """g (float[n, 4, 6] x) => (float[a, b] y) <int64[1] last = {-1}, int64[1] zero = {0}> {
        s = Shape(x) m = Gather(s, zero) t = Concat<axis = 0>(m, last) y = Reshape(x, t)
    }""",
        "Reshape",
        "Concat",
        "Gather",
        "Shape",
    )
    assert [call.node.op_type for call in offered] == ["Reshape"]
    assert list(map(str, program.outputs["y"].shape)) == ["n", "24"]


def test_what_is_constant_is_not_offered_and_no_source() -> None:
    program, offered = lowered(HEADER + "g (float[n, 2] x) => (float[n, 2] y) <float[2, 2] w = {1, 2, 3, 4}> { t = Exp(w) y = MatMul(x, t) }", "Exp", "MatMul")
    assert [call.node.op_type for call in offered] == ["MatMul"]
    (native,) = routines(program.outputs["y"])
    assert native.inputs == program.inputs
    np.testing.assert_allclose(offered[0].inputs[1].known, np.exp([[1, 2], [3, 4]]), rtol=1e-6)


def test_optional_inputs_and_several_results() -> None:
    program, offered = lowered(
        HEADER
        + """g (float[t, 2, 3] x, float[1, 4, 3] w, float[1, 4, 4] r) => (float[1, 2, 4] h) {
        y, h = RNN<hidden_size = 4>(x, w, r)
    }""",
        "RNN",
    )
    assert offered[0].inputs[3:] == (None, None, None) and len(offered[0].results) == 2
    assert call_of(program.outputs["h"]) is offered[0] and program.outputs["h"].position == 1


def test_calls_inside_functions_and_loops_are_offered() -> None:
    program, offered = lowered(
        HEADER
        + """g (float[4] x, int64 n) => (float[4] y) <bool yes = {1}> {
        y = Loop(n, yes, x) <body = step (int64 i, bool go, float[4] s) => (bool more, float[4] next) { more = Identity(go) next = local.twice(s) }>
    }
    <domain: "local", opset_import: ["" : 18]> twice (a) => (b) { c = Softplus(a) b = Add(c, c) }""",
        "Softplus",
    )
    assert "Loop" not in {call.node.op_type for call in offered}
    (native,) = routines(program.outputs["y"])
    assert native.attributes["call"].node.op_type == "Softplus"


def test_nothing_is_computed_of_parameters_ahead() -> None:
    model = parse(HEADER + "g (float[n, 2] x) => (float[n, 2] y) <float[2, 2] w = {1, 2, 3, 4}> { t = Exp(w) y = MatMul(x, t) }")
    offered: list[Call] = []

    def form(call: Call) -> Native:
        offered.append(call)
        return Native(lambda: None)

    program = operators.lower(model, native=form, parameters={model.graph.initializers["w"]})
    (call,) = offered
    assert call.node.op_type == "MatMul" and call.inputs[1].known is None
    np.testing.assert_allclose(P.evaluate([call.inputs[1]], {})[0], np.exp([[1, 2], [3, 4]]), rtol=1e-6)
    assert routines(program.outputs["y"])[0].inputs == program.inputs
