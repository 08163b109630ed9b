"""Evaluates the node test cases of the onnx package on the operator pages, with the NumPy evaluator."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case import node as node_cases

from onward import program as P
from onward.ir import as_model
from onward.ir.expressions import Symbol
from onward.operators import lower
from onward.operators.arguments import NotConstant


@functools.cache
def cases() -> Mapping[str, Any]:
    """All node test cases by name."""
    return {case.name: case for case in node_cases.collect_testcases(None)}


def case_names(operators: frozenset[str]) -> Iterator[str]:
    """The cases whose model is one node of these operators."""
    for name, case in cases().items():
        nodes = case.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in operators:
            yield name


def evaluate_model(
    proto: onnx.ModelProto, inputs: Sequence[np.ndarray], *, symbolic: bool = False
) -> dict[str, np.ndarray]:
    """The outputs by name. With `symbolic` no extent of an input is known when the program is written.

    Inputs that operators need to know before the run become constants.
    """
    model = as_model(proto)
    given = {value.name: array for value, array in zip(model.graph.inputs, inputs)}
    shapes = {name: array.shape for name, array in given.items()}
    if symbolic:
        shapes = {name: [Symbol(f"{name}.{axis}") for axis in range(array.ndim)] for name, array in given.items()}
    constants: dict[str, np.ndarray] = {}
    while True:
        try:
            program = lower(model, shapes=shapes, constants=constants)
            break
        except NotConstant as problem:
            needed = [name for name in problem.inputs if name not in constants]
            if not needed:
                raise
            constants.update({name: given[name] for name in needed})
    feeds = {name: array for name, array in given.items() if name not in constants}
    results = P.evaluate(list(program.outputs.values()), {item: feeds[item.label] for item in program.inputs})
    return dict(zip(program.outputs, results))


def arrays(values: Sequence[Any]) -> list[np.ndarray]:
    """Test data as arrays."""
    return [numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value) for value in values]


def assert_close(actual: np.ndarray, expected: np.ndarray, relative: float = 1e-3, absolute: float = 1e-6) -> None:
    """The same shape and dtype, and elements that are near, or equal unless they are floats."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if expected.dtype.kind in "OSU":
        assert (actual == expected).all()
        return
    floats = "float" in expected.dtype.name
    if expected.dtype.name in ("float16", "bfloat16"):  # one rounding more or less
        relative = max(relative, 1e-2 if expected.dtype.name == "bfloat16" else 2e-3)
        absolute = max(absolute, relative)
    np.testing.assert_allclose(
        actual.astype(np.float64), expected.astype(np.float64), rtol=relative if floats else 0, atol=absolute if floats else 0
    )
