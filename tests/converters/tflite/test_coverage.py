"""Every operator that the schema numbers is translated, or stands here with the reason why it is not."""

from __future__ import annotations

import pytest

from onward.converters.tflite.graph import OPERATORS
from onward.converters.tflite.schema import schema

NO_OPERATORS = {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"}
NO_KERNEL = "the interpreter has no kernel of its own"
REFUSED = {
    "random numbers by a key that the run carries on": {"STABLEHLO_RNG_BIT_GENERATOR"},
    "one step of a stream, whose memory is the interpreter's and not in the file": {"LSTM", "RNN", "SVDF"},
    "hashes of bytes, and operators for words of keyboards that no converter writes": {"HASHTABLE_LOOKUP", "LSH_PROJECTION", "SKIP_GRAM", "EMBEDDING_LOOKUP_SPARSE"},
    NO_KERNEL: {
        "CONCAT_EMBEDDINGS", "STABLEHLO_ABS", "STABLEHLO_BROADCAST_IN_DIM", "STABLEHLO_CLAMP", "STABLEHLO_COMPARE", "STABLEHLO_CONCATENATE",
        "STABLEHLO_CONVERT", "STABLEHLO_CONVOLUTION", "STABLEHLO_COSINE", "STABLEHLO_CUSTOM_CALL", "STABLEHLO_DIVIDE", "STABLEHLO_DOT_GENERAL",
        "STABLEHLO_DYNAMIC_SLICE", "STABLEHLO_DYNAMIC_UPDATE_SLICE", "STABLEHLO_EXPONENTIAL", "STABLEHLO_FLOOR", "STABLEHLO_IOTA", "STABLEHLO_LOG",
        "STABLEHLO_LOGISTIC", "STABLEHLO_NEGATE", "STABLEHLO_OR", "STABLEHLO_POWER", "STABLEHLO_REDUCE", "STABLEHLO_REMAINDER", "STABLEHLO_RESHAPE",
        "STABLEHLO_RSQRT", "STABLEHLO_SELECT", "STABLEHLO_SLICE", "STABLEHLO_SORT", "STABLEHLO_SUBTRACT", "STABLEHLO_TANH", "STABLEHLO_TRANSPOSE",
    },
}  # fmt: skip


def test_every_operator() -> None:
    names = set(schema().enums["BuiltinOperator"].values()) - NO_OPERATORS
    refused = set().union(*REFUSED.values())
    assert names - set(OPERATORS) == refused


@pytest.mark.parametrize("name", sorted(REFUSED[NO_KERNEL]))
def test_the_interpreter_has_no_kernel(name: str) -> None:
    tf = pytest.importorskip("tensorflow")
    from tests.converters.tflite.test_recurrent import file_of

    with pytest.raises(ValueError, match="Didn't find op|no equivalent|Unsupported|not find"):
        tf.lite.Interpreter(model_content=file_of(name, (2, 3), {1: (2, 3)}, {}, [(2, 3)]))
