"""Identity, and Dropout, which is the identity outside training; in training it sets elements to 0."""

from __future__ import annotations

from typing import Any

from onward import program as P
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.numeric import wide
from onward.operators.random.generator import seed_of, uniform
from onward.operators.registry import Context, operator


@operator("Identity")
def identity(value: Any) -> Any:
    """The value itself, of whatever type. ONNX Identity-1."""
    return value


@operator("Dropout", since=1)
def dropout_1(data: P.Array, *, ratio: float = 0.5, is_test: int = 0, context: Context) -> tuple[P.Array, ...]:
    """The data itself; the mask has the data's type. ONNX Dropout-1, Dropout-6, which train unless `is_test`."""
    if is_test or not ratio:
        return data, P.full(data.shape, 1, data.dtype)
    result, kept = _dropped(data, P.full((), ratio, DataType.FLOAT), P.full((), True, DataType.BOOL), seed_of(None, context))
    return result, P.cast(kept, data.dtype)


@operator("Dropout", since=7)
def dropout_7(data: P.Array, *, ratio: float = 0.5) -> tuple[P.Array, ...]:
    """The data itself; the mask has the data's type. ONNX Dropout-7."""
    return data, P.full(data.shape, 1, data.dtype)


@operator("Dropout", since=10)
def dropout_10(data: P.Array, *, ratio: float = 0.5) -> tuple[P.Array, ...]:
    """The data itself; the mask is boolean. ONNX Dropout-10."""
    return data, P.full(data.shape, True, DataType.BOOL)


@operator("Dropout", since=12)
def dropout(data: P.Array, ratio: P.Array | None, training_mode: P.Array | None, *, seed: int | None = None, context: Context) -> tuple[P.Array, ...]:
    """The data itself; where `training_mode` holds, elements are 0 with the chance `ratio`. ONNX Dropout-12.

    Also gives what was kept (BOOL). Source: Srivastava et al. 2014, with the scaling done while training.
    """
    off = training_mode is None or training_mode.known is not None and not training_mode.known.any()
    if off or (ratio is not None and ratio.known is not None and float(ratio.known) == 0):
        return data, P.full(data.shape, True, DataType.BOOL)
    chance = P.full((), 0.5, DataType.FLOAT) if ratio is None else P.reshape(ratio, ())
    assert training_mode is not None
    return _dropped(data, chance, P.reshape(training_mode, ()), seed_of(seed, context))


def _dropped(data: P.Array, ratio: P.Array, training: P.Array, seed: int) -> tuple[P.Array, P.Array]:
    numbers, chance = wide(data), P.cast(ratio, wide(data).dtype)

    def keeps(*position: Dimension) -> P.Scalar:
        drawn = uniform(position, data.shape, seed, numbers.dtype)
        return P.where(training[()], P.greater_equal(drawn, chance[()]), True)

    kept = P.compute(data.shape, keeps, DataType.BOOL)

    def element(*position: Dimension) -> P.Scalar:
        scaled = P.where(training[()], numbers[position] / (1.0 - chance[()]), numbers[position])
        return P.cast(P.where(kept[position], scaled, P.scalar(0, numbers.dtype)), data.dtype)

    return P.compute(data.shape, element), kept
