"""Functions of NumPy, traced: the graph gives what NumPy gives, in its data type and shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import onward
from onward.converters.builder import ModelBuilder
from onward.converters.tracing import Array, RowCount, Trace, as_array, replaced
from onward.errors import UnsupportedOperator
from onward.ir.datatypes import DataType

X = np.random.default_rng(0).standard_normal((7, 4))
X[0] = [0.0, -0.0, 1.0, -2.5]
W = np.random.default_rng(1).standard_normal((4, 3))


def traced(function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    b = ModelBuilder("traced")
    array = Array(Trace(b), b.input("x", DataType.of(x.dtype), ["rows", *x.shape[1:]]), x.dtype, x.shape)
    array._shape = (RowCount(array, 0), *x.shape[1:])
    with replaced({}, ()):
        result = function(array)
    b.output(as_array(array.trace, result).value, "y")
    return onward.InferenceSession(b.model()).run(None, {"x": x})[0]


def assigned(x: Any) -> Any:
    made = np.zeros((x.shape[0], 5))
    made[:, 1] = x[:, 0]
    made[:, [0, 3]] = x[:, 1:3]
    made[made > 1] = 9.0
    made[:, 4] += x.sum(axis=1)
    made *= 2
    return made


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: (x * 2 - 1) / (x + 10) ** 2 // 0.01 % 3, "integers": lambda x: np.floor(x * 10).astype(np.int64) // 3,
    "remainder": lambda x: np.floor(x * 10).astype(np.int64) % -3, "comparison": lambda x: (x > 0) & (x <= 1) | (x == -2.5),
    "log1p": lambda x: np.log1p(np.abs(x) * 1e-12), "expm1": lambda x: np.expm1(x * 1e-9), "powers": lambda x: np.exp2(x) + np.cbrt(x),
    "logarithms": lambda x: np.log2(np.abs(x) + 1) - np.log10(np.abs(x) + 2), "logaddexp": lambda x: np.logaddexp(x, x[:, ::-1]),
    "angles": lambda x: np.arctan2(x, x[:, ::-1]) + np.hypot(x, 2) + np.deg2rad(x), "signs": lambda x: np.copysign(2.0, x) + np.sign(x),
    "rounding": lambda x: np.trunc(x) + np.rint(x) + np.ceil(x) + np.round(x, 1), "steps": lambda x: np.heaviside(x, 0.5),
    "least": lambda x: np.fmin(x, np.fmax(0.1, x[:, [0]])), "sum": lambda x: x.sum(axis=0), "mean of rows": lambda x: x.mean(axis=0),
    "variance": lambda x: np.var(x, axis=1, ddof=1) + np.std(x, axis=1), "product": lambda x: np.prod(x, axis=1, keepdims=True),
    "extremes": lambda x: np.max(x, axis=1) - np.ptp(x, axis=1), "places": lambda x: np.argmax(x, axis=1) + np.argmin(x, axis=1),
    "any": lambda x: np.any(x > 1, axis=1) ^ np.all(x > -1, axis=1), "count": lambda x: np.count_nonzero(x > 0, axis=1),
    "cumsum": lambda x: np.cumsum(x, axis=1), "median": lambda x: np.median(x, axis=1), "average": lambda x: np.average(x, axis=1, weights=[1, 2, 3, 4]),
    "missing": lambda x: np.nansum(np.where(x > 1, np.nan, x), axis=1) + np.nanmean(np.where(x > 1.2, np.nan, x), axis=1),
    "nan_to_num": lambda x: np.nan_to_num(np.where(x > 0, np.inf, x)), "reshape": lambda x: x.reshape(-1, 2, 2).transpose(0, 2, 1),
    "ravel": lambda x: x.ravel(), "fortran": lambda x: np.reshape(x, (-1, 4), order="C").T, "stack": lambda x: np.stack([x, x + 1], axis=1),
    "joined": lambda x: np.hstack([x, x[:, :1], np.ones((x.shape[0], 1))]), "columns": lambda x: np.column_stack([x[:, 0], x]),
    "tile": lambda x: np.tile(x, (1, 2)), "repeat": lambda x: np.repeat(x, 3, axis=1), "flip": lambda x: np.flip(x, 1) + np.roll(x, 1, axis=1),
    "diff": lambda x: np.diff(x, axis=1), "pad": lambda x: np.pad(x, ((0, 0), (1, 2))), "split": lambda x: np.split(x, 2, axis=1)[1],
    "moveaxis": lambda x: np.moveaxis(x[:, None, :], 0, -1), "broadcast": lambda x: np.broadcast_to(x[:, :1], (x.shape[0], 3)),
    "clip": lambda x: np.clip(x, -0.5, 0.5), "take": lambda x: np.take(x, [2, 0], axis=1), "lists": lambda x: x[:, [[0, 1], [2, 3]]],
    "mask": lambda x: x[:, np.array([True, False, True, False])], "along": lambda x: np.take_along_axis(x, np.argsort(x, axis=1), axis=1),
    "select": lambda x: np.select([x > 1, x > 0], [x, 2 * x], -1.0), "piecewise": lambda x: np.piecewise(x, [x > 0], [np.sqrt, lambda y: -y]),
    "isin": lambda x: np.isin(np.floor(x), [0.0, -1.0]), "sort": lambda x: np.sort(x, axis=0), "digitize": lambda x: np.digitize(x, [-1.0, 0.0, 1.0]),
    "searchsorted": lambda x: np.searchsorted([-1.0, 0.0, 1.0], x, side="left"), "interp": lambda x: np.interp(x, [-1.0, 0.0, 2.0], [5.0, 1.0, 3.0]),
    "matmul": lambda x: x @ W + np.dot(x, W), "outer": lambda x: np.outer(x[:, 0], W[:, 0]), "einsum": lambda x: np.einsum("ij,jk->ik", x, W),
    "tensordot": lambda x: np.tensordot(x, W, axes=([1], [0])), "norm": lambda x: np.linalg.norm(x, axis=1) + np.linalg.norm(x, ord=1, axis=1),
    "zeros": lambda x: np.zeros_like(x) + np.full((x.shape[0], 4), 2.0) + np.arange(x.shape[0])[:, None], "rows": lambda x: x / x.shape[0],
    "assignment": assigned, "product of rows": lambda x: x.T @ x, "types": lambda x: x.astype(np.float32) * np.float32(2) + 1,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    for rows in (X, X[:1]):
        wanted = np.asarray(FUNCTIONS[name](rows.copy()))
        found = traced(FUNCTIONS[name], rows)
        assert found.dtype == wanted.dtype
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def halves(x: Any) -> Any:
    made = np.zeros_like(x)
    made[:] = x / 2
    return made


WHOLE: dict[str, Callable[[Any], Any]] = {
    "shifts": lambda x: (x << 2) ^ (x >> 1), "sum": lambda x: x.sum(axis=1), "product": lambda x: np.prod(x, axis=1), "cumsum": lambda x: np.cumsum(x, axis=1),
    "sum of a type": lambda x: np.cumsum(x, axis=1, dtype=np.float32) + x.sum(axis=1, keepdims=True, dtype=np.float64), "halves": halves,
    "columns": lambda x: np.c_[x, x[:, 0], np.ones((x.shape[0], 2), x.dtype)], "overflow": lambda x: x * x + x,
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers(name: str) -> None:
    for kind in (np.int64, np.int8, np.uint8):
        rows = np.random.default_rng(0).integers(0, 256, (7, 4)).astype(kind)
        wanted, found = WHOLE[name](rows), traced(WHOLE[name], rows)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_what_looks_at_the_data_is_refused() -> None:
    for function in (lambda x: x if x[0, 0] > 0 else -x, lambda x: x[x > 0], lambda x: np.linalg.svd(x), lambda x: float(x.sum()), list):
        with pytest.raises(UnsupportedOperator, match="graph cannot say"):
            traced(function, X)
