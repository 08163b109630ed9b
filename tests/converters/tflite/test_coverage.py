"""Every operator that the schema numbers is translated, or stands here with the reason why it is not."""

from __future__ import annotations

from onward.converters.tflite.graph import OPERATORS
from onward.converters.tflite.schema import schema

NO_OPERATORS = {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"}
REFUSED = {
    "complex numbers": {"REAL", "IMAG", "COMPLEX_ABS", "RFFT2D"},
    "random numbers": {"RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM", "MULTINOMIAL", "STABLEHLO_RNG_BIT_GENERATOR"},
    "tables and variables that outlive a run": {
        "HASHTABLE",
        "HASHTABLE_FIND",
        "HASHTABLE_IMPORT",
        "HASHTABLE_SIZE",
        "VAR_HANDLE",
        "READ_VARIABLE",
        "ASSIGN_VARIABLE",
    },
    "no translation": {
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "CONCAT_EMBEDDINGS",
        "EMBEDDING_LOOKUP_SPARSE",
        "HASHTABLE_LOOKUP",
        "LSH_PROJECTION",
        "LSTM",
        "REDUCE_WINDOW",
        "RNN",
        "SKIP_GRAM",
        "STABLEHLO_ABS",
        "STABLEHLO_ADD",
        "STABLEHLO_AND",
        "STABLEHLO_BROADCAST_IN_DIM",
        "STABLEHLO_CBRT",
        "STABLEHLO_CLAMP",
        "STABLEHLO_COMPARE",
        "STABLEHLO_CONCATENATE",
        "STABLEHLO_CONVERT",
        "STABLEHLO_CONVOLUTION",
        "STABLEHLO_COSINE",
        "STABLEHLO_CUSTOM_CALL",
        "STABLEHLO_DIVIDE",
        "STABLEHLO_DOT_GENERAL",
        "STABLEHLO_DYNAMIC_SLICE",
        "STABLEHLO_DYNAMIC_UPDATE_SLICE",
        "STABLEHLO_EXPONENTIAL",
        "STABLEHLO_FLOOR",
        "STABLEHLO_GATHER",
        "STABLEHLO_IOTA",
        "STABLEHLO_LOG",
        "STABLEHLO_LOGISTIC",
        "STABLEHLO_MAXIMUM",
        "STABLEHLO_MINIMUM",
        "STABLEHLO_MULTIPLY",
        "STABLEHLO_NEGATE",
        "STABLEHLO_OR",
        "STABLEHLO_PAD",
        "STABLEHLO_POWER",
        "STABLEHLO_REDUCE",
        "STABLEHLO_REDUCE_WINDOW",
        "STABLEHLO_REMAINDER",
        "STABLEHLO_RESHAPE",
        "STABLEHLO_RSQRT",
        "STABLEHLO_SCATTER",
        "STABLEHLO_SELECT",
        "STABLEHLO_SHIFT_LEFT",
        "STABLEHLO_SLICE",
        "STABLEHLO_SORT",
        "STABLEHLO_SUBTRACT",
        "STABLEHLO_TANH",
        "STABLEHLO_TRANSPOSE",
        "SVDF",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
    },
}


def test_every_operator() -> None:
    names = set(schema().enums["BuiltinOperator"].values()) - NO_OPERATORS
    refused = set().union(*REFUSED.values())
    assert names - set(OPERATORS) == refused - REFUSED["complex numbers"]
