"""The node tests of ONNX: what an operator's function body says in many nodes is put together again, with equal results."""

from __future__ import annotations

import collections
import warnings

import numpy as np
import onnx
import pytest

from onward import backend, operators
from onward.ir import as_model
from onward.passes import Report, optimize

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    CASES = [case for case in collect_testcases(None) if case.name.endswith("_expanded")]

TOLERANCE = collections.defaultdict(lambda: 1e-5, {"float16": 2e-3, "bfloat16": 5e-2})


@pytest.mark.parametrize("part", range(8))
def test_expanded_operators(part: int) -> None:
    seen = 0
    for case in CASES[part::8]:
        model, report = as_model(case.model), Report()
        result = optimize(model, report=report)
        if not report.fired or operators.unsupported_operators(model):
            continue
        operators.check(result)
        onnx.checker.check_model(onnx.load_from_string(result.to_bytes()), full_check=True)
        inputs = case.data_sets[0][0]
        if any(isinstance(item, list) for item in inputs):
            continue
        before = backend.prepare(model, evaluator="reference").run(inputs)
        after = backend.prepare(result, evaluator="reference").run(inputs)
        for left, right in zip(before, after):
            _assert_close(case.name, np.asarray(left), np.asarray(right))
        seen += 1
    assert seen > 20


def _assert_close(name: str, left: np.ndarray, right: np.ndarray) -> None:
    assert left.dtype == right.dtype and left.shape == right.shape, name
    if left.dtype == object or left.dtype.kind in "iub":
        np.testing.assert_array_equal(left, right, name)
    else:
        tolerance = TOLERANCE[left.dtype.name]
        np.testing.assert_allclose(left.astype(np.float64), right.astype(np.float64), tolerance, tolerance, True, name)
