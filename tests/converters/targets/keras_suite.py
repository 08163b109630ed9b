"""The node tests of the onnx package through Keras on one of its backends, which a process chooses once.

`python -m tests.converters.targets.keras_suite BACKEND EVERY [PATTERN]` runs one of EVERY so many (whose names match), and prints what failed and how many passed.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from onward.ir.types import SequenceType
from tests.converters.targets.suite import failures

EXCLUDED = {
    r"test_image_decoder_.*": "pictures",
    r"test_(string_|strnormalizer_|regex_|equal_string).*|test_ai_onnx_ml_label_encoder_(string|tensor).*": "text",
    r"test_(bernoulli|training_dropout)(_.*)?": "random numbers are computed with unsigned numbers of 64 bits, and NumPy's are expected",
    r"test_loop13_seq|test_loop16_seq_none|test_loop11": "a loop whose state is a sequence or grows",
    r"test_dft_inverse(_opset19)?": "expects rounding noise below the tolerance where the exact answer is 0",
    r"test_constant": "a model without inputs",
    r"test_identity_(sequence|opt)|test_if_(seq|opt)|test_optional_(has_element_.*|get_element_.*)"
    r"|test_sequence_map_(identity_(1_sequence|2_sequences)|add_2_sequences|extract_shapes)(_expanded)?":
        "nothing is fed but sequences and optional values, which are constants here",
}  # fmt: skip
NARROW = {
    r"test_range_.*_expanded": "whole numbers of 32 bits, fewer than the bound of an endless loop",
    r"test_stft": "computes with 32 bits",
}
"""Keras's operations give at most 32 bits on every backend but TensorFlow's."""

BACKENDS: dict[str, dict[str, str]] = {
    "tensorflow": {},
    "numpy": NARROW,
    "jax": {**NARROW, r"test_dynamicquantizelinear(_expanded)?": "XLA divides by a number with its reciprocal, which is an ulp off where a half is rounded"},
    "torch": {
        **NARROW,
        r"test_reduce_(log_sum_exp|max|min)_empty_set": "the greatest of nothing is an error of Keras's",
        r"test_averagepool_2d_ceil": "a window beyond the end counts what is not there in Keras's mean",
    },
}
"""What else is left out, by backend, and why."""


class Page:
    """The target for the suite: a sequence that is the only result is a list, as several results are."""

    @staticmethod
    def convert(model: Any, constants: Any) -> Any:
        from onward.converters.targets import keras as page

        outputs = model.graph.outputs
        return page.convert(model, constants), len(outputs) == 1 and isinstance(outputs[0].type, SequenceType)

    @staticmethod
    def storage() -> Any:
        from onward.converters.targets import keras as page

        return page.storage()

    @staticmethod
    def call(made: Any, inputs: Any) -> Any:
        from onward.converters.targets import keras as page

        function, is_sequence = made
        results = page.run(function, inputs)
        return results if is_sequence else tuple(results)


def main(backend: str, every: str, pattern: str = "") -> None:
    os.environ["KERAS_BACKEND"] = backend
    if backend == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    failed, passed, total = failures(Page, {**EXCLUDED, **BACKENDS[backend]}, Page.call, int(every), pattern)
    print("\n".join(failed))
    print(f"{backend}: {passed} of {total} pass ({passed / total:.1%})")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main(*sys.argv[1:])
