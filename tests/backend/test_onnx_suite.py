"""The backend test suite of the onnx package, run on `onward.backend`.

A model runs when every operator in it has a page. What is left out beyond that stands in `EXCLUDED`,
with its reason. `ONWARD_TEST_EVALUATOR=reference` runs the suite on the NumPy evaluator in place of compiled code.
"""

from __future__ import annotations

import os
import unittest
from typing import Any

import onnx.backend.test
from onnx.backend.test.loader import load_model_tests

from onward.backend import OnwardBackend
from onward.ir import as_model
from onward.operators import unsupported_operators

EVALUATOR = os.environ.get("ONWARD_TEST_EVALUATOR", "native")

LEAST_COVERED = 1880
"""Node tests of which every operator has a page; it only grows."""

EXCLUDED = {
    r"test_training_dropout(_default|_default_mask|_mask|)_cpu": "expects NumPy's random numbers",
    r"test_bernoulli": "expects NumPy's random numbers",
    r"test_dft_inverse(_opset19)?_cpu": "expects rounding noise above the tolerance where the exact answer is 0",
    r"test_attention_4d_causal_fp16": "float16 products are expected rounded after each step",
    r"test_loop16_seq_none": "the runner cannot compare scalars within sequences",
}
"""pattern of test names -> why they are left out"""


class Backend(OnwardBackend):
    """The backend with the evaluator under test."""

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> Any:
        missing = unsupported_operators(as_model(model))
        if missing:
            raise unittest.SkipTest(f"no page for {', '.join(missing)}")
        return super().prepare(model, device, evaluator=EVALUATOR, **kwargs)


def cases() -> dict[str, type[unittest.TestCase]]:
    """The classes of the suite, without the tests for devices there are not."""
    suite = onnx.backend.test.BackendTest(Backend, __name__)
    for pattern in EXCLUDED:
        suite.exclude(pattern)
    found = suite.enable_report().test_cases
    for case in found.values():
        for name in [name for name in vars(case) if name.endswith("_cuda")]:
            delattr(case, name)
    return found


globals().update(cases())


def test_the_suite_is_mostly_covered() -> None:
    """A page that is lost would otherwise only show as a skipped test."""
    models = [case.model for case in load_model_tests(kind="node")]
    compatible = sum(OnwardBackend.is_compatible(model) for model in models)
    assert compatible >= LEAST_COVERED, f"{compatible} of {len(models)} node tests have all their pages"
