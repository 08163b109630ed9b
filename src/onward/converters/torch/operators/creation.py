"""Operators that make tensors: constants, ranges, random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import DATA_TYPES, Emitter, Scalar, Tensor
from onward.converters.torch.operators.unary import result_dtype
from onward.converters.torch.registry import aten
from onward.ir import Value


def filled(c: Emitter, sizes: Any, value: Any, dtype: torch.dtype) -> Value:
    """A tensor of one number."""
    number = c.number(value, dtype)
    return c.op("Expand", number, sizes) if not (isinstance(sizes, list) and not sizes) else c.op("Identity", number)


@aten("full")
def full(c: Emitter, sizes: list[Any], value: Any, **options: Any) -> Value:
    return filled(c, sizes, value, result_dtype(c))


@aten("new_full")
def new_full(c: Emitter, x: Tensor, sizes: list[Any], value: Any, **options: Any) -> Value:
    return filled(c, sizes, value, result_dtype(c))


@aten("full_like")
def full_like(c: Emitter, x: Tensor, value: Any, **options: Any) -> Value:
    return filled(c, c.shape(x), value, result_dtype(c))


@aten("fill.Scalar", "fill.Tensor")
def fill(c: Emitter, x: Tensor, value: Any) -> Value:
    return filled(c, c.shape(x), value, x.dtype)


def _constant_maker(value: int, kind: str) -> Any:
    if kind == "like":
        return lambda c, x, **options: filled(c, c.shape(x), value, result_dtype(c))
    if kind == "new":
        return lambda c, x, sizes, **options: filled(c, sizes, value, result_dtype(c))
    return lambda c, sizes, *rest, **options: filled(c, sizes, value, result_dtype(c))


for _word, _value in {"zeros": 0, "ones": 1, "empty": 0}.items():
    aten(_word)(_constant_maker(_value, ""))
    aten(f"{_word}_like")(_constant_maker(_value, "like"))
    aten(f"new_{_word}")(_constant_maker(_value, "new"))
aten("empty_permuted")(lambda c, sizes, order, **options: filled(c, sizes, 0, result_dtype(c)))
aten("empty_strided")(lambda c, sizes, strides, **options: filled(c, sizes, 0, result_dtype(c)))
aten("new_empty_strided")(lambda c, x, sizes, strides, **options: filled(c, sizes, 0, result_dtype(c)))


@aten("arange")
def arange(c: Emitter, end: Any, **options: Any) -> Value:
    return _range(c, 0, end, 1)


@aten("arange.start", "arange.start_step")
def arange_from(c: Emitter, start: Any, end: Any, step: Any = 1, **options: Any) -> Value:
    return _range(c, start, end, step)


def _range(c: Emitter, start: Any, end: Any, step: Any) -> Value:
    dtype = result_dtype(c)
    if not any(isinstance(item, (Scalar, Tensor)) for item in (start, end, step)):
        return c.array(torch.arange(start, end, step, dtype=torch.float64 if dtype.is_floating_point else torch.int64)
                       .numpy().astype(DATA_TYPES[dtype].numpy))  # fmt: skip
    kind = torch.int64 if all(_is_whole(item) for item in (start, end, step)) else torch.float64
    made = c.op("Range", c.number(start, kind), c.number(end, kind), c.number(step, kind))
    return made if kind is dtype else c.convert(made, dtype)


def _is_whole(item: Any) -> bool:
    return not item.dtype.is_floating_point if isinstance(item, (Scalar, Tensor)) else isinstance(item, int)


@aten("linspace")
def linspace(c: Emitter, start: Any, end: Any, steps: Any, **options: Any) -> Value:
    """Counted from the nearer end, so that both are met exactly."""
    dtype = result_dtype(c)
    if not any(isinstance(item, (Scalar, Tensor)) for item in (start, end, steps)):
        return c.array(torch.linspace(start, end, steps, dtype=dtype).numpy())
    real = dtype if dtype.is_floating_point else torch.float64
    low, high = c.number(start, real), c.number(end, real)
    count = c.number(steps, torch.int64)
    places = c.op("Range", np.array(0), count, np.array(1))
    gaps = c.op("Max", c.op("Sub", count, np.array(1)), np.array(1))
    step = c.op("Div", c.op("Sub", high, low), c.convert(gaps, real))
    forward = c.op("Add", low, c.op("Mul", c.convert(places, real), step))
    left = c.convert(c.op("Sub", c.op("Sub", count, np.array(1)), places), real)
    backward = c.op("Sub", high, c.op("Mul", left, step))
    near = c.op("Less", c.op("Mul", places, np.array(2)), count)
    made = c.op("Where", near, forward, backward)
    return made if real is dtype else c.convert(made, dtype)


@aten("eye", "eye.m")
def eye(c: Emitter, rows: Any, columns: Any = None, **options: Any) -> Value:
    columns = rows if columns is None else columns
    dtype = result_dtype(c)
    if isinstance(rows, int) and isinstance(columns, int):
        return c.array(np.eye(rows, columns).astype(DATA_TYPES[dtype].numpy))
    down = c.op("Range", np.array(0), c.number(rows, torch.int64), np.array(1))
    across = c.op("Range", np.array(0), c.number(columns, torch.int64), np.array(1))
    return c.convert(c.op("Equal", c.unsqueeze(down, 1), across), dtype)


@aten("tril_indices", "triu_indices")
def triangle_indices(c: Emitter, rows: int, columns: int, offset: int = 0, **options: Any) -> Value:
    below = "tril" in str(c.operator)
    found = np.tril_indices(rows, offset, columns) if below else np.triu_indices(rows, offset, columns)
    return c.array(np.stack(found).astype(DATA_TYPES[result_dtype(c)].numpy))


def _shape_of(c: Emitter, sizes: Any) -> Value:
    return c.shape(sizes) if isinstance(sizes, Tensor) else c.sizes(sizes)


@aten("rand", "rand_like", "uniform")
def rand(c: Emitter, sizes: Any, low: float = 0.0, high: float = 1.0, **options: Any) -> Value:
    dtype = result_dtype(c)
    zeros = c.op("Expand", c.number(0, dtype), _shape_of(c, sizes))
    return c.op("RandomUniformLike", zeros, low=float(low), high=float(high))


@aten("randn", "randn_like", "normal_functional")
def randn(c: Emitter, sizes: Any, mean: float = 0.0, deviation: float = 1.0, **options: Any) -> Value:
    zeros = c.op("Expand", c.number(0, result_dtype(c)), _shape_of(c, sizes))
    return c.op("RandomNormalLike", zeros, mean=float(mean), scale=float(deviation))


@aten("randint", "randint_like", "randint.low", "randint_like.low_dtype")
def randint(c: Emitter, *arguments: Any, **options: Any) -> Value:
    """Whole numbers from a range without its end."""
    place = next(place for place, item in enumerate(arguments) if isinstance(item, list) or (place == 0 and isinstance(item, Tensor)))
    bounds = [item for item in arguments if isinstance(item, int)]
    low, high = (bounds if len(bounds) > 1 else [0, *bounds])[:2]
    zeros = c.op("Expand", np.array(0.0), _shape_of(c, arguments[place]))
    drawn = c.op("Floor", c.op("RandomUniformLike", zeros, low=float(low), high=float(high)))
    return c.convert(c.op("Min", drawn, np.array(float(high - 1))), result_dtype(c))


@aten("randperm")
def randperm(c: Emitter, count: Any, **options: Any) -> Value:
    """The order of as many random numbers."""
    noise = c.op("RandomUniformLike", c.op("Expand", np.array(0.0), [count]))
    return c.convert(c.op("TopK", noise, [count], axis=0, outputs=2)[1], result_dtype(c))


@aten("bernoulli", "bernoulli.p")
def bernoulli(c: Emitter, x: Tensor, p: Any = None) -> Value:
    return c.op("Bernoulli", x if p is None else filled(c, c.shape(x), p, x.dtype))


@aten("multinomial")
def multinomial(c: Emitter, x: Tensor, count: int, replacement: bool = False) -> Value:
    """Without replacement: the places of the largest log p + Gumbel noise."""
    logs = c.op("Log", x)
    if replacement and x.rank == 2:
        return c.convert(c.op("Multinomial", c.cast(Tensor(logs, x.dtype, x.shape), torch.float32), sample_size=count), torch.int64)
    noise = c.op("RandomUniformLike", x, low=float(np.finfo(np.float32).tiny), high=1.0)
    gumbel = c.op("Neg", c.op("Log", c.op("Neg", c.op("Log", noise))))
    return c.op("TopK", c.op("Add", logs, gumbel), [count], axis=-1, outputs=2)[1]


@aten("hann_window", "hann_window.periodic", "hamming_window", "hamming_window.periodic", "blackman_window", "blackman_window.periodic")
def window(c: Emitter, size: Any, periodic: bool = True, **options: Any) -> Value:
    dtype = result_dtype(c)
    name = c.operator.partition("::")[2].partition(".")[0].partition("_")[0]
    if isinstance(size, int):
        maker = getattr(torch, f"{name}_window")
        return c.array(maker(size, periodic=periodic, dtype=dtype).numpy())
    onnx = {"hann": "HannWindow", "hamming": "HammingWindow", "blackman": "BlackmanWindow"}[name]
    return c.op(onnx, c.number(size, torch.int64), periodic=int(periodic), output_datatype=int(DATA_TYPES[dtype]))
