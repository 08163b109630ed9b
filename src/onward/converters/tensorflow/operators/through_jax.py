"""Factorisations of matrices and special functions: written with JAX's functions, by the translation of JAX's primitives."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters import bessel
from onward.converters.tensorflow.emitter import Emitter, Tensor, data_type
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedModel
from onward.ir import Value

SPECIAL = {
    "Igamma": "gammainc", "Igammac": "gammaincc", "Betainc": "betainc", "BesselI0": "i0", "BesselI0e": "i0e", "BesselI1": "i1", "BesselI1e": "i1e",
    "Zeta": "zeta", "Spence": "spence", "Expint": "expi",
}  # fmt: skip
"""Operators and the functions of `jax.scipy.special` that they are."""


def _written(c: Emitter, function: Callable[..., Any], *inputs: Tensor, double: bool = False) -> list[Value]:
    """The values that a function of JAX arrays gives; with `double` its arguments are in double precision."""
    try:
        from onward.converters.jax.bridge import Operand, write
    except ModuleNotFoundError as problem:
        raise UnsupportedModel("factorisations and some special functions are read through JAX: pip install jax") from problem
    kinds = [tf.float64 if double else item.dtype for item in inputs]
    operands = [Operand(c.cast(item, kind), data_type(kind).numpy, tuple(item.shape)) for item, kind in zip(inputs, kinds)]
    return [item.value for item in write(c, lambda *arrays: _flat(function(*arrays)), operands)]


def _flat(results: Any) -> list[Any]:
    return list(results) if isinstance(results, (tuple, list)) else [results]


@operator(*SPECIAL)
def special(c: Emitter, op: Any, *inputs: Tensor) -> Value:
    """In double precision, as the series are longer than single precision bears."""
    import jax.scipy.special

    (made,) = _written(c, getattr(jax.scipy.special, SPECIAL[op.type]), *inputs, double=True)
    return made if inputs[0].dtype == tf.float64 else c.cast(made, inputs[0].dtype)


BESSEL: dict[str, Callable[..., Any]] = {
    "BesselJ0": bessel.j0, "BesselJ1": bessel.j1, "BesselY0": bessel.y0, "BesselY1": bessel.y1,
    **{f"BesselK{order}": partial(bessel.k, order=order) for order in (0, 1)},
    **{f"BesselK{order}e": partial(bessel.scaled_k, order=order) for order in (0, 1)},
}  # fmt: skip


@operator(*BESSEL)
def bessel_function(c: Emitter, op: Any, x: Tensor) -> Value:
    import jax.numpy

    (made,) = _written(c, partial(BESSEL[op.type], jax.numpy), x, double=True)
    return made if x.dtype == tf.float64 else c.cast(made, x.dtype)


def _dawson(x: Any) -> Any:
    """Rybicki's sum of Gaussian curves, exact to double precision for steps of 0.2 (Computers in Physics 3, 85, 1989); asymptotic beyond 16."""
    import jax.numpy as jnp

    step, odd = 0.2, 2 * jnp.arange(-30, 31) + 1
    middle = 2 * jnp.round(jnp.clip(x, -16, 16) / step / 2)
    gap = (jnp.clip(x, -16, 16) - middle * step)[..., None]
    near = jnp.sum(jnp.exp(-((gap - odd * step) ** 2)) / (odd + middle[..., None]), -1) / math.sqrt(math.pi)
    far = jnp.where(abs(x) > 16, x, 17.0)
    square = 1 / (2 * far * far)
    series = (1 + square * (1 + square * (3 + square * (15 + square * (105 + square * 945))))) / (2 * far)
    return jnp.where(abs(x) > 16, series, near)


@operator("Dawsn")
def dawson(c: Emitter, op: Any, x: Tensor) -> Value:
    (made,) = _written(c, _dawson, x, double=True)
    return made if x.dtype == tf.float64 else c.cast(made, x.dtype)


@operator("FresnelSin", "FresnelCos")
def fresnel(c: Emitter, op: Any, x: Tensor) -> Value:
    import jax.scipy.special

    made = _written(c, lambda a: jax.scipy.special.fresnel(a)[op.type == "FresnelCos"], x, double=True)[0]
    return made if x.dtype == tf.float64 else c.cast(made, x.dtype)


@operator("MatrixSquareRoot")
def square_root(c: Emitter, op: Any, x: Tensor) -> Value:
    """By the iteration of Denman and Beavers in double precision, which ends at the principal root (Applied Mathematics and Computation 2, 63, 1976)."""
    import jax
    import jax.numpy as jnp

    def root(a: Any) -> Any:
        start = (a, jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape))
        halved = lambda _, pair: ((pair[0] + jnp.linalg.inv(pair[1])) / 2, (pair[1] + jnp.linalg.inv(pair[0])) / 2)  # noqa: E731
        return jax.lax.fori_loop(0, 30, halved, start)[0]

    (made,) = _written(c, root, x, double=True)
    return made if x.dtype == tf.float64 else c.cast(made, x.dtype)


@operator("TridiagonalSolve")
def tridiagonal_solve(c: Emitter, op: Any, diagonals: Tensor, right: Tensor) -> Any:
    import jax

    def solved(given: Any, b: Any) -> Any:
        above, middle, below = (given[..., place, :] for place in range(3))
        return jax.lax.linalg.tridiagonal_solve(below, middle, above, b)

    return _written(c, solved, diagonals, right)[0]


@operator("Polygamma")
def polygamma(c: Emitter, op: Any, order: Tensor, x: Tensor) -> Value:
    import jax.scipy.special

    (made,) = _written(c, lambda a, b: jax.scipy.special.polygamma(a.astype(int), b), order, x, double=True)
    return made if x.dtype == tf.float64 else c.cast(made, x.dtype)


@operator("Cholesky")
def cholesky(c: Emitter, op: Any, x: Tensor) -> Any:
    import jax

    return _written(c, lambda a: jax.lax.linalg.cholesky(a, symmetrize_input=False), x)[0]


@operator("Qr")
def qr(c: Emitter, op: Any, x: Tensor) -> Any:
    import jax.numpy as jnp

    return _written(c, lambda a: tuple(jnp.linalg.qr(a, mode="complete" if op["full_matrices"] else "reduced")), x)


@operator("Svd")
def svd(c: Emitter, op: Any, x: Tensor) -> Any:
    import jax.numpy as jnp

    if not op["compute_uv"]:
        nothing = c.array(np.zeros(0, data_type(x.dtype).numpy))
        return [*_written(c, lambda a: jnp.linalg.svd(a, compute_uv=False), x), nothing, nothing]
    left, values, right = _written(c, lambda a: tuple(jnp.linalg.svd(a, full_matrices=op["full_matrices"])), x)
    return [values, left, c.transpose(right, [*range(x.rank - 2), x.rank - 1, x.rank - 2])]


@operator("SelfAdjointEigV2")
def eigen(c: Emitter, op: Any, x: Tensor) -> Any:
    import jax.numpy as jnp

    values, vectors = _written(c, lambda a: tuple(jnp.linalg.eigh(a, symmetrize_input=False)), x)
    return [values, vectors]


@operator("Lu")
def lu(c: Emitter, op: Any, x: Tensor) -> Any:
    import jax

    made, _, order = _written(c, lambda a: tuple(jax.lax.linalg.lu(a)), x)
    return [made, c.op("Cast", order, to=int(data_type(op["output_idx_type"])))]


@operator("MatrixTriangularSolve")
def triangular_solve(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Any:
    import jax

    def solve(left: Any, right: Any) -> Any:
        batch = jax.numpy.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        left, right = (jax.numpy.broadcast_to(item, (*batch, *item.shape[-2:])) for item in (left, right))
        return jax.lax.linalg.triangular_solve(left, right, left_side=True, lower=op["lower"], transpose_a=op["adjoint"])

    return _written(c, solve, a, b)[0]


@operator("MatrixSolve")
def solve(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Any:
    import jax.numpy as jnp

    return _written(c, lambda left, right: jnp.linalg.solve(jnp.swapaxes(left, -1, -2) if op["adjoint"] else left, right), a, b)[0]


@operator("MatrixSolveLs")
def least_squares(c: Emitter, op: Any, a: Tensor, b: Tensor, regularizer: Tensor) -> Any:
    """By the normal equations where TensorFlow is told to be fast, else by singular values."""
    import jax.numpy as jnp

    weight = float(c.known(regularizer, "the weight of the squares"))

    def solved(left: Any, right: Any) -> Any:
        if not op["fast"]:
            return jnp.linalg.pinv(left) @ right
        turned = jnp.swapaxes(left, -1, -2)
        if left.shape[-2] >= left.shape[-1]:
            return jnp.linalg.solve(turned @ left + weight * jnp.eye(left.shape[-1], dtype=left.dtype), turned @ right)
        return turned @ jnp.linalg.solve(left @ turned + weight * jnp.eye(left.shape[-2], dtype=left.dtype), right)

    return _written(c, solved, a, b)[0]


@operator("MatrixInverse")
def inverse(c: Emitter, op: Any, x: Tensor) -> Any:
    import jax.numpy as jnp

    return _written(c, lambda a: jnp.linalg.inv(jnp.swapaxes(a, -1, -2) if op["adjoint"] else a), x)[0]


@operator("LogMatrixDeterminant")
def log_determinant(c: Emitter, op: Any, x: Tensor) -> Any:
    import jax.numpy as jnp

    return _written(c, lambda a: tuple(jnp.linalg.slogdet(a)), x)


@operator("TridiagonalMatMul")
def tridiagonal_product(c: Emitter, op: Any, above: Tensor, middle: Tensor, below: Tensor, right: Tensor) -> Any:
    import jax.numpy as jnp

    def product(high: Any, center: Any, low: Any, given: Any) -> Any:
        turned = [jnp.swapaxes(item, -1, -2) for item in (high, center, low)]
        after, before = (jnp.roll(given, step, -2) for step in (-1, 1))
        place = jnp.arange(given.shape[-2])[:, None]
        first, last = place == 0, place == given.shape[-2] - 1
        return turned[1] * given + jnp.where(last, 0, turned[0] * after) + jnp.where(first, 0, turned[2] * before)

    return _written(c, product, above, middle, below, right)[0]
