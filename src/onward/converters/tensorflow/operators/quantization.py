"""Quantised numbers: codes with their range, or with their scale and zero point."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor, data_type
from onward.converters.tensorflow.registry import operator
from onward.ir import Value

GREATEST = float(np.finfo(np.float32).max)


def _limits(dtype: tf.DType) -> tuple[int, int]:
    kind = np.iinfo(data_type(dtype).numpy)
    return int(kind.min), int(kind.max)


def _away(c: Emitter, x: Value) -> Value:
    """Rounded, halves away from zero."""
    whole = c.op("Floor", c.op("Add", c.op("Abs", x), c.number(0.5, tf.float32)))
    return c.op("Mul", c.op("Sign", x), whole)  # type: ignore[no-any-return]


def _along(c: Emitter, item: Any, axis: int, rank: int) -> Value:
    """What belongs to slices along an axis, in the form of the whole."""
    return c.of(item) if axis < 0 else c.reshape(item, [-1 if place == axis else 1 for place in range(rank)])  # type: ignore[return-value]


def _kept(c: Emitter, x: Any, low: Any, high: Any) -> Value:
    return c.op("Max", c.op("Min", x, high), low)  # type: ignore[no-any-return]


def _scale(c: Emitter, low: Any, high: Any, codes: tuple[int, int], like: Any) -> tuple[Value, Value, Value]:
    """How many codes go into one, and the range that the codes have with it: the end of the range that needs coarser steps decides."""
    number = [c.number(code, like) for code in codes]

    def of(code: Value, bound: Any) -> Value:
        usable = c.op("Greater", c.op("Mul", code, bound), c.number(0, like))
        return c.op("Where", usable, c.op("Div", code, c.op("Where", usable, bound, c.number(1, like))), c.number(GREATEST, like))  # type: ignore[no-any-return]

    scale = c.op("Min", of(number[0], low), of(number[1], high))
    return scale, c.op("Div", number[0], scale), c.op("Div", number[1], scale)


def _widened(c: Emitter, low: Any, high: Any, least: float) -> tuple[Value, Value]:
    """A range that has zero in it and is not empty."""
    zero = c.number(0, tf.float32)
    first = c.op("Min", zero, low)
    size = c.op("Max", c.op("Max", c.op("Abs", low), c.op("Abs", high)), c.number(1, tf.float32))
    return first, c.op("Max", zero, c.op("Max", high, c.op("Add", first, c.op("Mul", size, c.number(least, tf.float32)))))


@operator("QuantizeV2")
def quantize(c: Emitter, op: Any, x: Tensor, low: Tensor, high: Tensor) -> list[Value]:
    axis, codes = op.get("axis", -1), _limits(op.dtype)
    first, last = _widened(c, low, high, op.get("ensure_minimum_range", 0.01))
    if op["mode"] == "SCALED":
        codes = (codes[0] + int(bool(op.get("narrow_range", False)) and codes[0] < 0), codes[1])
        factor, first, last = _scale(c, first, last, codes, tf.float32)
        inside = _kept(c, x, *(_along(c, item, axis, x.rank) for item in (first, last)))
        made = c.op("Mul", inside, _along(c, factor, axis, x.rank))
        made = c.op("Round", made) if op["round_mode"] == "HALF_TO_EVEN" else _away(c, made)
        return [c.cast(made, op.dtype), first, last]
    factor = c.op("Div", c.number(codes[1] - codes[0], tf.float32), c.op("Sub", last, first))
    start, wide = _along(c, first, axis, x.rank), _along(c, factor, axis, x.rank)
    if op["mode"] == "MIN_FIRST":
        made = c.op("Sub", _away(c, c.op("Mul", x, wide)), c.op("Sub", _away(c, c.op("Mul", start, wide)), c.number(codes[0], tf.float32)))
    else:
        inside = _kept(c, x, start, _along(c, last, axis, x.rank))
        made = c.op("Mul", c.op("Sub", inside, start), wide)
        made = _away(c, c.op("Add", made, c.number(codes[0], tf.float32)) if codes[0] else made)
    return [c.cast(_kept(c, made, *(c.number(code, tf.float32) for code in codes)), op.dtype), first, last]


@operator("Dequantize")
def dequantize(c: Emitter, op: Any, x: Tensor, low: Tensor, high: Tensor) -> Value:
    axis, (bottom, top) = op.get("axis", -1), _limits(x.dtype)
    first, last = (_along(c, item, axis, x.rank) for item in (low, high))
    codes = c.cast(x, tf.float32)
    if op["mode"] == "SCALED":
        bottom += int(bool(op.get("narrow_range", False)) and bottom < 0)
        step = c.op("Div", last, c.number(top, tf.float32))
        step = c.op("Max", c.op("Div", first, c.number(bottom, tf.float32)), step) if bottom else step
        made = c.op("Mul", codes, step)
    else:
        step = c.op("Div", c.op("Sub", last, first), c.number(top - bottom, tf.float32))
        start = c.op("Mul", _away(c, c.op("Div", first, step)), step) if op["mode"] == "MIN_FIRST" else first
        made = c.op("Add", c.op("Mul", c.op("Sub", codes, c.number(bottom, tf.float32)), step), start)
    return made if op.dtype == tf.float32 else c.cast(made, op.dtype)  # type: ignore[no-any-return]


@operator("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3", "QuantizeAndDequantizeV4")
def quantize_and_dequantize(c: Emitter, op: Any, x: Tensor, low: Tensor, high: Tensor, bits: Tensor | None = None) -> Value:
    """Rounded to codes and back."""
    axis, signed = op.get("axis", -1), int(op["signed_input"])
    half = 2 ** ((int(c.known(bits, "the number of bits")) if bits is not None else int(op["num_bits"])) - signed)
    codes = (-half + int(op.get("narrow_range", False)), half - 1) if signed else (0, half - 1)
    others = None if axis < 0 else np.array([place for place in range(x.rank) if place != axis])
    if op["range_given"]:
        first, last = (_along(c, item, axis, x.rank) for item in (low, high))
    else:
        first, last = (c.op(name, x, others, keepdims=int(axis >= 0)) for name in ("ReduceMin", "ReduceMax"))
    scale, first, last = _scale(c, first, last, codes, x)
    made = c.op("Mul", _kept(c, x, first, last), scale)
    even = op.get("round_mode", "HALF_TO_EVEN") == "HALF_TO_EVEN"
    made = c.op("Round", made) if even else c.op("Floor", c.op("Add", made, c.number(0.5, x)))
    return c.op("Div", made, scale)


@operator("UniformQuantize")
def uniform_quantize(c: Emitter, op: Any, x: Tensor, scales: Tensor, zeros: Tensor) -> Value:
    axis = op["quantization_axis"]
    steps = c.op("Div", x, _along(c, scales, axis, x.rank))
    codes = c.op("Add", c.op("Floor", c.op("Add", steps, c.number(0.5, x))), _along(c, c.cast(zeros, x.dtype), axis, x.rank))
    return c.cast(_kept(c, codes, *(c.number(op[f"quantization_{end}_val"], x) for end in ("min", "max"))), op.dtype)


@operator("UniformDequantize")
def uniform_dequantize(c: Emitter, op: Any, x: Tensor, scales: Tensor, zeros: Tensor) -> Value:
    axis = op["quantization_axis"]
    codes = c.op("Sub", c.cast(x, tf.int32), _along(c, zeros, axis, x.rank))
    return c.op("Mul", c.cast(codes, tf.float32), _along(c, scales, axis, x.rank))


@operator("UniformQuantizedClipByValue")
def uniform_clip(c: Emitter, op: Any, x: Tensor, low: Tensor, high: Tensor, scales: Tensor, zeros: Tensor) -> Value:
    return c.cast(_kept(c, x, *(_along(c, item, op["quantization_axis"], x.rank) for item in (low, high))), op.dtype)
