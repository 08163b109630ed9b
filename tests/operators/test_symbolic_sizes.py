"""Every page at symbolic sizes: the node tests of the onnx package with each extent of each tensor input a symbol.

Small integer vectors (axes, shapes, amounts) are constants, as they are in models.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from onward import program as P
from onward.errors import OnwardError
from onward.ir import as_model
from onward.operators import lower, unsupported_operators

NEEDS_STATIC = {
    "GRU", "LSTM", "RNN", "Loop", "Scan", "If", "SplitToSequence", "SequenceMap", "DFT", "STFT", "Det",
    "MelWeightMatrix", "Attention", "ConstantOfShape", "OptionalGetElement", "OptionalHasElement",
    "LinearAttention",
}  # fmt: skip
"""Operators whose number of turns or of outputs is an extent, or whose input's length is the rank of the result,
or is no tensor."""

STATIC_INPUTS = {"GatherND": "indices", "ScatterND": "indices", "Resize": "roi scales", "Upsample": "scales"}
"""Inputs of which an extent is the rank of something."""

EXCLUDED = {
    "test_attention_4d_causal_fp16": "expects rounding to float16 after each step",
    "test_unique_sorted_with": "slices are compared element by element, so their size must be known",
    "test_bernoulli": "expects NumPy's random numbers",
    "test_resize_upsample_sizes_nearest_not": "the common scale is a ratio of static extents",
    "test_resize_downsample_sizes_nearest_not": "the common scale is a ratio of static extents",
}
"""beginnings of test names -> why they are left out"""


def cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    return [case for case in found if len(case.model.graph.node) == 1 and not case.name.startswith("test_training")]


def plain(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def is_parameter(value: np.ndarray) -> bool:
    return value.dtype.kind in "iu" and value.ndim <= 1 or value.size == 0 or value.dtype == bool and value.ndim == 0


def symbolic(name: str, shape: tuple[int, ...]) -> tuple[P.Dimension, ...]:
    return tuple(P.Symbol(f"{name}{axis}") if extent != 1 else 1 for axis, extent in enumerate(shape))


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_symbolic_sizes(case: Any) -> None:
    model = as_model(case.model)
    inputs, expected = ([plain(value) for value in values] for values in case.data_sets[0])
    operator = case.model.graph.node[0].op_type
    if unsupported_operators(model) or operator in NEEDS_STATIC or case.name.startswith(tuple(EXCLUDED)):
        pytest.skip("no page, or sizes that must be static")
    if any(not isinstance(value, np.ndarray) or value.dtype.kind in "OUS" for value in (*inputs, *expected)):
        pytest.skip("no numeric tensors")
    feeds = dict(zip([value.name for value in model.graph.inputs], inputs))
    constants = {name: value for name, value in feeds.items() if is_parameter(value)}
    static = STATIC_INPUTS.get(operator, "").split()
    constants.update({name: value for name, value in feeds.items() if name in static and value.ndim == 1})
    shapes = {
        name: value.shape if name in static else symbolic(name, value.shape)
        for name, value in feeds.items()
    }
    try:
        program = lower(model, shapes=shapes, constants=constants)
    except OnwardError as error:
        pytest.fail(f"{case.name}: {error}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = P.evaluate(list(program.outputs.values()), {item: feeds[item.label] for item in program.inputs})
    Runner.assert_similar_outputs(expected, results, max(case.rtol, 1e-3), max(case.atol, 1e-6))
