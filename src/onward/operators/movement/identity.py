"""Identity, and Dropout, which is the identity outside training."""

from __future__ import annotations

from typing import Any

from onward import program as P
from onward.errors import UnsupportedOperator
from onward.ir.datatypes import DataType
from onward.operators.arguments import NotConstant
from onward.operators.registry import Context, operator


@operator("Identity")
def identity(value: Any) -> Any:
    """The value itself, of whatever type. ONNX Identity-1."""
    return value


@operator("Dropout", since=1)
def dropout_1(data: P.Array, *, ratio: float = 0.5, is_test: int = 0, context: Context) -> tuple[P.Array, ...]:
    """The data itself; the mask has the data's type. ONNX Dropout-1, Dropout-6, which train unless `is_test`."""
    if not is_test and ratio and context.outputs > 1:
        raise UnsupportedOperator("Dropout in training mode (is_test=0 with a mask output)")
    return data, P.full(data.shape, 1, data.dtype)


@operator("Dropout", since=7)
def dropout_7(data: P.Array, *, ratio: float = 0.5) -> tuple[P.Array, ...]:
    """The data itself; the mask has the data's type. ONNX Dropout-7."""
    return data, P.full(data.shape, 1, data.dtype)


@operator("Dropout", since=10)
def dropout_10(data: P.Array, *, ratio: float = 0.5) -> tuple[P.Array, ...]:
    """The data itself; the mask is boolean. ONNX Dropout-10."""
    return data, P.full(data.shape, True, DataType.BOOL)


@operator("Dropout", since=12)
def dropout(
    data: P.Array, ratio: P.Array | None, training_mode: P.Array | None, *, seed: int | None = None
) -> tuple[P.Array, ...]:
    """The data itself unless `training_mode` holds with a `ratio` other than 0. ONNX Dropout-12."""
    if training_mode is not None and (ratio is None or ratio.known is None or float(ratio.known) != 0):
        if training_mode.known is None:
            raise NotConstant("training_mode of Dropout must be a constant", [training_mode])
        if bool(training_mode.known):
            if ratio is not None and ratio.known is None:
                raise NotConstant("ratio of Dropout must be a constant in training mode", [ratio])
            raise UnsupportedOperator("Dropout in training mode")
    return data, P.full(data.shape, True, DataType.BOOL)
