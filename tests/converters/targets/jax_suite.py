"""The node tests of the onnx package through JAX. `python -m tests.converters.targets.jax_suite EVERY` runs one of EVERY so many, and prints what failed and how many passed."""

from __future__ import annotations

import sys

from onward.converters.targets import jax as page
from tests.converters.targets.suite import failures
from tests.converters.targets.test_numpy import EXCLUDED

NOT_IN_JAX = {
    **EXCLUDED,
    r"test_ai_onnx_ml_label_encoder_(string|tensor).*": "tensors of text",
    "test_equal_string(_broadcast)?": "text",
    "test_cast_e8m0_FLOAT(16)?_to_FLOAT8E8M0": "the least number of 8 bits is subnormal in float32, which XLA takes for 0",
}


def run(every: int) -> tuple[list[str], int, int]:
    """What failed beyond the exclusions, how many passed, and the number of tests."""
    return failures(page, NOT_IN_JAX, page.call, every)


if __name__ == "__main__":
    problems, passed, total = run(int(sys.argv[1]))
    print("\n".join(problems))
    print(f"jax: {passed} of {total} pass ({passed / total:.1%})")
    sys.exit(bool(problems))
