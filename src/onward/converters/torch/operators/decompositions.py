"""Orthogonal decompositions: QR by Householder's reflections, eigenvalues and singular values by Jacobi's rotations, in double precision.

Matrices are the last two dimensions; all others are a batch, whose matrices go through the loops together. Signs are taken as LAPACK
does where the decomposition leaves them open.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from onward.converters.rotations import SWEEPS, tournament
from onward.converters.torch.emitter import DATA_TYPES, Emitter, Scalar, Tensor, is_static
from onward.converters.torch.operators.linear_algebra import triangle
from onward.converters.torch.operators.loops import loop
from onward.converters.torch.operators.matrices import (
    DOUBLE,
    Matrices,
    back,
    column,
    diagonal_of,
    identity,
    number,
    places,
    smaller,
    turned,
)
from onward.converters.torch.registry import aten
from onward.errors import UnsupportedOperator
from onward.ir import Value

# Householder reflections


def reflected(c: Emitter, a: Matrices) -> tuple[Value, Value]:
    """R on and above the diagonal, the reflections' vectors below it, and their factors (LAPACK's geqrf)."""
    rows, columns = places(c, a.size(-2)), places(c, a.size(-1))

    def step(turn: Value, states: list[Tensor]) -> list[Value]:
        (matrix,) = states
        line = column(c, matrix, turn)
        below = c.op("Greater", rows, turn)
        rest = c.op("Where", below, line, number(c, 0))
        head = c.unsqueeze(column(c, line, turn), -1)
        tail = c.op("ReduceL2", rest, [-1], keepdims=1)
        nothing = c.op("Equal", tail, number(c, 0))
        length = c.op("Sqrt", c.op("Add", c.op("Mul", head, head), c.op("Mul", tail, tail)))
        end = c.op("Where", c.op("Less", head, number(c, 0)), length, c.op("Neg", length))
        safe = c.op("Where", nothing, number(c, 1), end)
        factor = c.op("Where", nothing, number(c, 0), c.op("Div", c.op("Sub", safe, head), safe))
        over = c.op("Where", nothing, number(c, 1), c.op("Sub", head, safe))
        vector = c.op("Where", c.op("Equal", rows, turn), number(c, 1), c.op("Div", rest, over))
        seen = c.op("MatMul", c.unsqueeze(vector, -2), matrix)
        right = c.op("Mul", c.unsqueeze(factor, -1), c.op("Mul", c.unsqueeze(vector, -1), seen))
        after = c.op("Where", c.op("Greater", columns, turn), c.op("Sub", matrix, right), matrix)
        own = c.op("Where", below, vector, c.op("Where", c.op("Equal", rows, turn), c.op("Where", nothing, head, end), line))
        return [c.op("Where", c.op("Equal", columns, turn), c.unsqueeze(own, -1), after), c.squeeze(factor, -1)]

    matrix, factors = loop(c, smaller(c, a.size(-2), a.size(-1)), [a.tensor], step)
    return matrix, c.transpose(factors, [*range(1, a.rank - 1), 0])


def applied(c: Emitter, matrix: Value, factors: Value, b: Matrices, transposed: bool) -> Value:
    """H_1 H_2 .. times B, or the transposed of that product."""
    rows = places(c, b.size(-2))
    count = c.op("Squeeze", c.op("Shape", factors, start=-1))

    def step(turn: Value, states: list[Tensor]) -> list[Value]:
        place = turn if transposed else c.op("Sub", c.op("Sub", count, np.array(1)), turn)
        line = column(c, matrix, place)
        below = c.op("Where", c.op("Greater", rows, place), line, number(c, 0))
        vector = c.op("Where", c.op("Equal", rows, place), number(c, 1), below)
        seen = c.op("MatMul", c.unsqueeze(vector, -2), states[0])
        factor = c.op("Unsqueeze", column(c, factors, place), np.array([-1, -2]))
        return [c.op("Sub", states[0], c.op("Mul", factor, c.op("Mul", c.unsqueeze(vector, -1), seen)))]

    return loop(c, Scalar(count, torch.int64), [b.tensor], step)[0]


@aten("geqrf")
def geqrf(c: Emitter, x: Tensor) -> Any:
    return [back(c, item, x.dtype) for item in reflected(c, Matrices.of(c, x))]


def _unit_columns(c: Emitter, x: Tensor, count: Any) -> Matrices:
    """The first columns of the identity, for each matrix."""
    eye = identity(c, c.size(x, -2))
    cut = c.slice(eye, 1, 0, count)
    batch = c.op("Shape", x, end=-2)
    shape = (*x.shape[:-2], x.shape[-2], count if is_static(count) else None)
    return Matrices(c, c.op("Expand", cut, c.op("Concat", batch, c.op("Shape", cut), axis=0)), shape)


@aten("linalg_householder_product", "orgqr")
def householder_product(c: Emitter, x: Tensor, factors: Tensor) -> Value:
    unit = _unit_columns(c, x, c.size(x, -1))
    return back(c, applied(c, c.cast(x, DOUBLE), c.cast(factors, DOUBLE), unit, False), x.dtype)


@aten("ormqr")
def ormqr(c: Emitter, x: Tensor, factors: Tensor, b: Tensor, left: bool = True, transpose: bool = False) -> Value:
    matrices = Matrices.of(c, b)
    matrices = matrices if left else matrices.turned()
    made = applied(c, c.cast(x, DOUBLE), c.cast(factors, DOUBLE), matrices, transpose if left else not transpose)
    return back(c, made if left else turned(c, made, b.rank), b.dtype)


@aten("linalg_qr")
def qr(c: Emitter, x: Tensor, mode: str = "reduced") -> Any:
    a = Matrices.of(c, x)
    matrix, factors = reflected(c, a)
    count = a.size(-2) if mode == "complete" else smaller(c, a.size(-2), a.size(-1))
    high = triangle(c, matrix, True)
    r = high if mode == "complete" else c.slice(high, x.rank - 2, 0, count)
    if mode == "r":
        return [c.array(np.zeros(0, DATA_TYPES[x.dtype].numpy)), back(c, r, x.dtype)]
    q = applied(c, matrix, factors, _unit_columns(c, x, count), False)
    return [back(c, q, x.dtype), back(c, r, x.dtype)]


# Eigenvalues and singular values by Jacobi's rotations


def _rotation(c: Emitter, own: Value, other: Value, shared: Value, partner: Value, along: np.ndarray) -> tuple[Value, Value]:
    """Cosine and sine for each column that make the products with their partners vanish: Golub and Van Loan, section 8.5."""
    nothing = c.op("Or", c.op("Equal", shared, number(c, 0)), c.op("Equal", partner, along))
    ratio = c.op("Div", c.op("Sub", other, own), c.op("Mul", number(c, 2), c.op("Where", nothing, number(c, 1), shared)))
    # Partners of equal size turn in opposite directions: the earlier one counts as the smaller.
    tie = c.op("Where", c.op("Greater", partner, along), number(c, 1), number(c, -1))
    sign = c.op("Where", c.op("Equal", ratio, number(c, 0)), tie, c.op("Sign", ratio))
    size = c.op("Abs", ratio)
    root = c.op("Sqrt", c.op("Add", number(c, 1), c.op("Mul", size, size)))
    tangent = c.op("Where", nothing, number(c, 0), c.op("Div", sign, c.op("Add", size, root)))
    cosine = c.op("Reciprocal", c.op("Sqrt", c.op("Add", number(c, 1), c.op("Mul", tangent, tangent))))
    return cosine, c.op("Mul", tangent, cosine)


def _turned_columns(c: Emitter, value: Any, partner: Value, cosine: Value, sine: Value) -> Value:
    other = c.op("Gather", value, partner, axis=-1)
    return c.op("Sub", c.op("Mul", value, c.unsqueeze(cosine, -2)), c.op("Mul", other, c.unsqueeze(sine, -2)))


def _known_size(size: Any) -> int:
    if not is_static(size):
        raise UnsupportedOperator("eigenvalues and singular values of matrices whose size is open")
    return int(size)


def eigen(c: Emitter, a: Matrices, upper: bool) -> tuple[Value, Value]:
    """Eigenvalues of symmetric matrices in rising order, and eigenvectors, of which the sign is free."""
    n = _known_size(a.size(-1))
    half = triangle(c, a.value, upper)
    rest = turned(c, c.op("Trilu", a.value, np.array(1 if upper else -1), upper=int(upper)), a.rank)
    matrix = a.like(c.op("Add", half, rest))
    unit = a.like(c.op("Expand", identity(c, n), c.op("Shape", a.value)))
    meetings, along = tournament(n), np.arange(n)

    def step(turn: Value, states: list[Tensor]) -> list[Value]:
        value, vectors = states
        partner = c.op("Gather", meetings, c.op("Mod", turn, np.array(len(meetings))), axis=0)
        own = diagonal_of(c, value.value, n)
        pairs = c.convert(c.op("Equal", c.unsqueeze(partner, 1), c.array(along)), DOUBLE)
        shared = c.op("ReduceSum", c.op("Mul", value, pairs), [-1], keepdims=0)
        cosine, sine = _rotation(c, own, c.op("Gather", own, partner, axis=-1), shared, partner, along)
        across = _turned_columns(c, value, partner, cosine, sine)
        both = turned(c, _turned_columns(c, turned(c, across, a.rank), partner, cosine, sine), a.rank)
        # Partners must see the same product, or what they turn by is no rotation once only rounding is left.
        even = c.op("Mul", c.op("Add", both, turned(c, both, a.rank)), number(c, 0.5))
        return [even, _turned_columns(c, vectors, partner, cosine, sine)]

    value, vectors = loop(c, SWEEPS * len(meetings), [matrix.tensor, unit.tensor], step)
    values, order = c.op("TopK", diagonal_of(c, value, n), [n], axis=-1, largest=0, outputs=2)
    return values, _arranged(c, vectors, order)


def _arranged(c: Emitter, vectors: Value, order: Value) -> Value:
    return c.op("GatherElements", vectors, c.op("Expand", c.unsqueeze(order, -2), c.op("Shape", vectors)), axis=-1)


@aten("_linalg_eigh", "linalg_eigh")
def eigh(c: Emitter, x: Tensor, triangle_read: str = "L", compute_v: bool = True) -> Any:
    values, vectors = eigen(c, Matrices.of(c, x), triangle_read.upper() == "U")
    return [back(c, item, x.dtype) for item in (values, vectors)]


def singular(c: Emitter, a: Matrices) -> tuple[Value, Value, Value]:
    """U, S, V of matrices at least as high as wide, S falling: columns are turned until they are orthogonal (Hestenes)."""
    n = _known_size(a.size(-1))
    shape = (*a.shape[:-2], n, n)
    batch = c.op("Shape", a.value, end=-2)
    unit = Tensor(c.op("Expand", identity(c, n), c.op("Concat", batch, np.array([n, n]), axis=0)), DOUBLE, shape)
    meetings, along = tournament(n), np.arange(n)

    def step(turn: Value, states: list[Tensor]) -> list[Value]:
        value, vectors = states
        partner = c.op("Gather", meetings, c.op("Mod", turn, np.array(len(meetings))), axis=0)
        own = c.op("ReduceSumSquare", value, [-2], keepdims=0)
        shared = c.op("ReduceSum", c.op("Mul", value, c.op("Gather", value, partner, axis=-1)), [-2], keepdims=0)
        cosine, sine = _rotation(c, own, c.op("Gather", own, partner, axis=-1), shared, partner, along)
        return [_turned_columns(c, item, partner, cosine, sine) for item in (value, vectors)]

    value, vectors = loop(c, SWEEPS * len(meetings), [a.tensor, unit], step)
    sizes = c.op("ReduceL2", value, [-2], keepdims=0)
    values, order = c.op("TopK", sizes, [n], axis=-1, largest=1, outputs=2)
    safe = c.unsqueeze(c.op("Where", c.op("Equal", values, number(c, 0)), number(c, 1), values), -2)
    return c.op("Div", _arranged(c, value, order), safe), values, _arranged(c, vectors, order)


@aten("_linalg_svd", "linalg_svdvals")
def svd(c: Emitter, x: Tensor, full_matrices: bool = False, compute_uv: bool = True, **options: Any) -> Any:
    a = Matrices.of(c, x)
    rows, columns = (_known_size(a.size(axis)) for axis in (-2, -1))
    if full_matrices and compute_uv and rows != columns:
        raise UnsupportedOperator("all singular vectors of matrices that are not square; full_matrices=False gives those that are unique")
    left, values, right = singular(c, a if rows >= columns else a.turned())
    if not isinstance(c.result, (list, tuple)):
        return back(c, values, x.dtype)
    if not compute_uv:
        empty = c.array(np.zeros(0))
        return [back(c, item, x.dtype) for item in (empty, values, empty)]
    if rows < columns:
        left, right = right, left
    return [back(c, item, x.dtype) for item in (left, values, turned(c, right, x.rank))]


@aten("linalg_pinv.atol_rtol_tensor", "linalg_pinv.atol_rtol_float")
def pinv(c: Emitter, x: Tensor, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Value:
    """Inverse of what is larger than the bound, by singular or eigenvalues."""
    a = Matrices.of(c, x)
    rows, columns = (_known_size(a.size(axis)) for axis in (-2, -1))
    if hermitian:
        values, left = eigen(c, a, False)
        right = left
    else:
        left, values, right = singular(c, a if rows >= columns else a.turned())
        left, right = (left, right) if rows >= columns else (right, left)
    sizes = c.op("Abs", values)
    largest = c.op("ReduceMax", sizes, [-1], keepdims=1)
    usual = max(rows, columns) * torch.finfo(x.dtype).eps
    lowest = number(c, 0) if atol is None else c.number(atol, DOUBLE)
    # Without a bound of either kind the relative one is that of the precision; an absolute one above zero replaces it.
    relative = c.number(rtol, DOUBLE) if rtol is not None else c.op(
        "Where", c.op("Greater", lowest, number(c, 0)), number(c, 0), number(c, usual))  # fmt: skip
    lowest, relative = (c.unsqueeze(item, -1) if _ranked(given) else item for item, given in ((lowest, atol), (relative, rtol or atol)))
    bound = c.op("Max", lowest, c.op("Mul", relative, largest))
    kept = c.op("Greater", sizes, bound)
    inverse_values = c.op("Where", kept, c.op("Div", number(c, 1), c.op("Where", kept, values, number(c, 1))), number(c, 0))
    made = c.op("MatMul", c.op("Mul", right, c.unsqueeze(inverse_values, -2)), turned(c, left, x.rank))
    return back(c, made, x.dtype)


def _ranked(item: Any) -> bool:
    return isinstance(item, Tensor) and item.rank > 0
