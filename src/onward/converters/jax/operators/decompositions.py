"""Orthogonal decompositions, written with JAX's own functions: QR by Householder's reflections, eigenvalues and singular values by
Jacobi's rotations. Matrices are the last two axes. Signs are taken as LAPACK does where QR leaves them open."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from onward.converters.jax.registry import composed
from onward.converters.jax.sizes import is_static
from onward.converters.rotations import SWEEPS, tournament
from onward.errors import UnsupportedOperator


def _column(matrix: Any, place: Any) -> Any:
    return jnp.take(matrix, place, axis=-1, mode="clip")


@composed("geqrf")
def geqrf(x: Any, **parameters: Any) -> Any:
    """R on and above the diagonal, the reflections' vectors below it, and their factors."""
    rows, columns = jnp.arange(x.shape[-2]), jnp.arange(x.shape[-1])
    count = min(_static(x.shape[-2:], "QR"))
    turns = jnp.arange(count)

    def step(turn: Any, state: Any) -> Any:
        matrix, factors = state
        line = _column(matrix, turn)
        rest = jnp.where(rows > turn, line, 0)
        head = _column(line, turn)[..., None]
        tail = jnp.sum(rest * rest, -1, keepdims=True)
        nothing = tail == 0
        length = jnp.sqrt(head * head + tail)
        end = jnp.where(head < 0, length, -length)
        safe = jnp.where(nothing, 1, end)
        factor = jnp.where(nothing, 0, (safe - head) / safe)
        vector = jnp.where(rows == turn, 1, rest / jnp.where(nothing, 1, head - safe))
        seen = jnp.sum(vector[..., :, None] * matrix, -2, keepdims=True)
        after = matrix - (factor * vector)[..., :, None] * seen
        own = jnp.where(rows > turn, vector, jnp.where(rows == turn, jnp.where(nothing, head, end), line))
        matrix = jnp.where(columns > turn, after, jnp.where(columns == turn, own[..., :, None], matrix))
        return matrix, jnp.where(turns == turn, factor, factors)

    return lax.fori_loop(0, count, step, (x, jnp.zeros((*x.shape[:-2], count), x.dtype)))


@composed("householder_product")
def householder_product(a: Any, factors: Any, **parameters: Any) -> Any:
    """H_1 H_2 .. times the first columns of the identity."""
    rows, count = jnp.arange(a.shape[-2]), factors.shape[-1]
    unit = jnp.broadcast_to(jnp.eye(a.shape[-2], a.shape[-1], dtype=a.dtype), a.shape)

    def step(turn: Any, product: Any) -> Any:
        place = count - 1 - turn
        vector = jnp.where(rows == place, 1, jnp.where(rows > place, _column(a, place), 0))
        seen = jnp.sum(vector[..., :, None] * product, -2, keepdims=True)
        return product - (_column(factors, place)[..., None] * vector)[..., :, None] * seen

    return lax.fori_loop(0, count, step, unit)


@composed("qr")
def qr(x: Any, *, full_matrices: bool = False, pivoting: bool = False, **parameters: Any) -> Any:
    if pivoting:
        raise UnsupportedOperator("QR with pivots")
    rows, columns = _static(x.shape[-2:], "QR")
    matrix, factors = geqrf(x)
    width = rows if full_matrices else min(rows, columns)
    wide = jnp.concatenate([matrix, jnp.zeros((*x.shape[:-1], width - columns), x.dtype)], -1) if width > columns else matrix[..., :width]
    return householder_product(wide, factors), jnp.triu(matrix[..., :width, :])


def _rotation(own: Any, other: Any, shared: Any, partner: Any) -> tuple[Any, Any]:
    """Cosine and sine for each column that make the products with their partners vanish."""
    along = jnp.arange(own.shape[-1])
    nothing = (shared == 0) | (partner == along)
    ratio = (other - own) / (2 * jnp.where(nothing, 1, shared))
    # Partners of equal size turn in opposite directions: the earlier one counts as the smaller.
    sign = jnp.where(ratio == 0, jnp.where(partner > along, 1, -1).astype(own.dtype), jnp.sign(ratio))
    size = jnp.abs(ratio)
    tangent = jnp.where(nothing, 0, sign / (size + jnp.sqrt(1 + size * size)))
    cosine = 1 / jnp.sqrt(1 + tangent * tangent)
    return cosine, tangent * cosine


def _turned(matrix: Any, partner: Any, cosine: Any, sine: Any) -> Any:
    """The columns after a rotation with their partners."""
    return matrix * cosine[..., None, :] - jnp.take(matrix, partner, axis=-1, mode="clip") * sine[..., None, :]


@composed("eigh")
def eigh(x: Any, *, lower: bool = True, sort_eigenvalues: bool = True, subset_by_index: Any = None, **parameters: Any) -> Any:
    """Eigenvectors, whose signs are free, and eigenvalues in rising order."""
    _whole(subset_by_index)
    (size,) = _static(x.shape[-1:], "eigenvalues")
    rest = jnp.swapaxes(jnp.tril(x, -1) if lower else jnp.triu(x, 1), -1, -2)
    matrix = (jnp.tril(x) if lower else jnp.triu(x)) + rest
    meetings, diagonal = jnp.asarray(tournament(size)), jnp.eye(size, dtype=x.dtype)

    def step(turn: Any, state: Any) -> Any:
        value, vectors = state
        partner = jnp.take(meetings, turn % len(meetings), axis=0, mode="clip")
        own = jnp.sum(value * diagonal, -1)
        shared = jnp.sum(value * jnp.take(diagonal, partner, axis=0, mode="clip"), -1)
        cosine, sine = _rotation(own, jnp.take(own, partner, axis=-1, mode="clip"), shared, partner)
        across = jnp.swapaxes(_turned(value, partner, cosine, sine), -1, -2)
        both = _turned(across, partner, cosine, sine)
        # Partners must see the same product, or what they turn by is no rotation once only rounding is left.
        return (both + jnp.swapaxes(both, -1, -2)) / 2, _turned(vectors, partner, cosine, sine)

    value, vectors = lax.fori_loop(0, SWEEPS * len(meetings), step, (matrix, jnp.broadcast_to(diagonal, x.shape)))
    values = jnp.sum(value * diagonal, -1)
    order = jnp.argsort(values, -1)
    return jnp.take_along_axis(vectors, order[..., None, :], -1), jnp.take_along_axis(values, order, -1)


@composed("svd")
def svd(x: Any, *, full_matrices: bool, compute_uv: bool, subset_by_index: Any = None, **parameters: Any) -> Any:
    """Singular values, and the vectors of either side: columns are turned until they are orthogonal (Hestenes)."""
    _whole(subset_by_index)
    rows, columns = _static(x.shape[-2:], "singular values")
    if full_matrices and compute_uv and rows != columns:
        raise UnsupportedOperator("all singular vectors of matrices that are not square; full_matrices=False gives those that are unique")
    tall = x if rows >= columns else jnp.swapaxes(x, -1, -2)
    size = min(rows, columns)
    meetings, unit = jnp.asarray(tournament(size)), jnp.broadcast_to(jnp.eye(size, dtype=x.dtype), (*x.shape[:-2], size, size))

    def step(turn: Any, state: Any) -> Any:
        partner = jnp.take(meetings, turn % len(meetings), axis=0, mode="clip")
        own = jnp.sum(state[0] * state[0], -2)
        shared = jnp.sum(state[0] * jnp.take(state[0], partner, axis=-1, mode="clip"), -2)
        cosine, sine = _rotation(own, jnp.take(own, partner, axis=-1, mode="clip"), shared, partner)
        return tuple(_turned(item, partner, cosine, sine) for item in state)

    value, right = lax.fori_loop(0, SWEEPS * len(meetings), step, (tall, unit))
    sizes = jnp.sqrt(jnp.sum(value * value, -2))
    order = jnp.argsort(-sizes, -1)
    values = jnp.take_along_axis(sizes, order, -1)
    if not compute_uv:
        return (values,)
    left = jnp.take_along_axis(value, order[..., None, :], -1) / jnp.where(values == 0, 1, values)[..., None, :]
    right = jnp.take_along_axis(right, order[..., None, :], -1)
    left, right = (left, right) if rows >= columns else (right, left)
    return values, left, jnp.swapaxes(right, -1, -2)


def _static(sizes: Any, what: str) -> list[int]:
    if not all(map(is_static, sizes)):
        raise UnsupportedOperator(f"{what} of matrices whose size is open")
    return [int(size) for size in sizes]


def _whole(subset: Any) -> None:
    if subset is not None:
        raise UnsupportedOperator("some eigenvalues or singular values only")
