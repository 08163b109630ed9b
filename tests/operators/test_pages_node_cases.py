"""The operator pages on the node test cases of the onnx package, with all extents known and with none."""

from __future__ import annotations

import pytest

from onward.operators.registry import all_definitions
from tests.operators.evaluate_node_test import arrays, assert_close, case_names, cases, evaluate_model

FAMILIES = (
    "elementwise", "activation", "reduction", "linear", "normalization", "pooling", "attention", "recurrent",
    "quantization", "loss", "vision", "signal", "random", "classical",
)  # fmt: skip

OPERATORS = frozenset(
    definition.name for definition in all_definitions() if definition.function.__module__.split(".")[2] in FAMILIES
)

RANDOM = frozenset({"Bernoulli"})
"""Operators whose expected numbers are NumPy's."""

NEEDS_SIZES = {
    "RNN": "number of steps", "GRU": "number of steps", "LSTM": "number of steps", "LinearAttention": "number of steps",
    "Det": "size of the matrices", "AffineGrid": "number of axes", "MaxUnpool": "number of axes",
    "DFT": "complex or real", "STFT": "complex or real",
}  # fmt: skip
"""Operators for which some extent decides what is computed -> which one."""


@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
@pytest.mark.parametrize("name", list(case_names(OPERATORS - RANDOM)))
def test_node_case(name: str, symbolic: bool) -> None:
    case = cases()[name]
    if symbolic and case.model.graph.node[0].op_type in NEEDS_SIZES:
        pytest.skip(f"{NEEDS_SIZES[case.model.graph.node[0].op_type]} must be known")
    for inputs, outputs in case.data_sets:
        actual = evaluate_model(case.model, arrays(inputs), symbolic=symbolic)
        for value, expected in zip(case.model.graph.output, arrays(outputs)):
            assert_close(actual[value.name], expected, max(case.rtol, 1e-4), max(case.atol, 1e-6))
