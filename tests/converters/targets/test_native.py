"""Rules of a target on top of the generic way."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.backend.test.loader import load_model_tests

from onward import operators
from onward.converters.builder import ModelBuilder
from onward.converters.targets import page_of
from onward.converters.targets.numpy.words import NumpyWords
from onward.converters.targets.printing.naming import Names
from onward.converters.targets.printing.native import NativeRules, Writer
from onward.converters.targets.printing.printer import Printer
from onward.errors import OnwardError, UnsupportedOperator
from onward.ir import Model, as_model
from onward.ir.datatypes import DataType
from onward.operators.native import Call, Native, call_of

RULES = NativeRules()


@RULES.rule("MatMul")
def matmul(call: Call) -> Writer | None:
    left, right = call.inputs
    return (lambda printer: f"np.dot({printer.array(left)}, {printer.array(right)})") if right.known is not None else None


@RULES.rule("Add")
def add(call: Call) -> Native | None:
    """With the product before it, one expression."""
    left, right = call.inputs
    product = call_of(left)
    if product is None or product.node.op_type != "MatMul":
        return None
    x, weight = product.inputs
    return Native(lambda printer: f"np.matmul({printer.array(x)}, {printer.array(weight)}) + {printer.array(right)}", (x,))


@RULES.rule("Split")
def split(call: Call) -> Writer:
    return lambda printer: f"np.split({printer.array(call.inputs[0])}, {len(call.results)}, {call.attributes['axis']})"


def printed(model: Model) -> tuple[str, dict[str, np.ndarray]]:
    program = operators.lower(model, native=RULES)
    printer = Printer(NumpyWords(), Names(["np", "weights"]))
    for item in program.inputs:
        printer.input(item, printer.names.fresh(item.label))
    result = printer.array(next(iter(program.outputs.values())))
    return "\n".join([*printer.lines, f"    result = {result}"]), printer.weights


@pytest.mark.parametrize("bias", [False, True])
def test_rules_and_definitions_in_one_program(bias: bool) -> None:
    random = np.random.default_rng(0)
    b = ModelBuilder("mixed")
    x = b.input("x", DataType.FLOAT, ["n", 5])
    weight, offset = random.standard_normal((5, 6)).astype(np.float32), random.standard_normal(6).astype(np.float32)
    y = b.op("MatMul", b.op("Tanh", x), b.constant(weight, "w"))
    y = b.op("Add", y, b.constant(offset, "b")) if bias else y
    first, second = b.op("Split", y, outputs=2, axis=1, num_outputs=2)
    b.output(b.op("Mul", first, second), "y")
    text, weights = printed(b.model())
    assert ("np.matmul" in text, "np.dot" in text, "np.split" in text, "np.tanh" in text) == (bias, not bias, True, True)
    given = random.standard_normal((3, 5)).astype(np.float32)
    scope = {"np": np, "weights": weights, "x": given}
    exec("if True:\n" + text, scope)
    full = np.tanh(given) @ weight + (offset if bias else 0)
    np.testing.assert_allclose(scope["result"], full[:, :3] * full[:, 3:], rtol=1e-5)


def older_models() -> list[tuple[str, onnx.ModelProto]]:
    """Node tests in the versions before an operator had all of its attributes, one for each operator and version."""
    found: dict[str, onnx.ModelProto] = {}
    histories: dict[str, list[Any]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        histories.setdefault(f"{schema.domain}:{schema.name}", []).append(schema)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    for case in cases:
        kinds = {(node.domain, node.op_type) for node in case.model.graph.node}
        (domain, kind), *others = kinds
        history = sorted(histories.get(f"{domain}:{kind}", []), key=lambda schema: schema.since_version)
        for schema in () if others or domain else history[:-1]:
            name = f"{kind}-{schema.since_version}"
            if name in found or schema.attributes.keys() >= history[-1].attributes.keys():
                continue
            older = onnx.ModelProto.FromString(case.model.SerializeToString())
            older.opset_import[0].version = schema.since_version
            try:
                operators.check(as_model(older), shapes=False)
                operators.lower(as_model(older))
            except OnwardError:  # the test has what came later
                continue
            found[name] = older
    return list(found.items())


@pytest.mark.parametrize("target", ["jax", "torch", "tensorflow", "keras"])
def test_attributes_that_came_later(target: str) -> None:
    """A rule asks for no attribute that its operator has not in a version."""
    pytest.importorskip(target)
    models = older_models()
    assert len(models) > 20
    for name, model in models:
        try:
            page_of(target).source_of(as_model(model))
        except UnsupportedOperator:
            continue
        except OnwardError as problem:
            raise AssertionError(name) from problem
