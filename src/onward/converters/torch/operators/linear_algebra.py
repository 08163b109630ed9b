"""Linear systems: LU, Cholesky and triangular factors as loops over columns, in double precision whatever the data's own.

Matrices are the last two dimensions; all others are a batch, whose matrices go through the loops together. Pivots are chosen and
signs taken as LAPACK does, so that results agree where they are unique.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Scalar, Tensor, is_static
from onward.converters.torch.operators.loops import loop
from onward.converters.torch.operators.matrices import (
    DOUBLE,
    Matrices,
    back,
    column,
    diagonal_of,
    identity,
    number,
    outer,
    places,
    row,
    smaller,
    turned,
    zeros_like,
)
from onward.converters.torch.registry import aten
from onward.errors import UnsupportedOperator
from onward.ir import Value

# LU with partial pivoting


def factored(c: Emitter, a: Matrices) -> tuple[Value, Value, Value, Value]:
    """L below and U on and above the diagonal, the order of the rows, the row exchanged at each step (from 0), and the number of
    the first step without a pivot (0 where all have one)."""
    rows, columns = places(c, a.size(-2)), places(c, a.size(-1))
    steps = smaller(c, a.size(-2), a.size(-1))
    outer_shape = c.op("Shape", a.value, end=-1)
    order = Tensor(c.op("Expand", rows, outer_shape), torch.int64, a.shape[:-1])
    failed = Tensor(c.op("Expand", np.array(0), c.op("Shape", a.value, end=-2)), torch.int64, a.shape[:-2])

    def step(turn: Value, states: list[Tensor]) -> list[Value]:
        matrix, kept, bad = states
        size = c.op("Where", c.op("Less", rows, turn), number(c, -1), c.op("Abs", column(c, matrix, turn)))
        best = c.op("ArgMax", size, axis=-1, keepdims=1)
        chosen = c.op("Where", c.op("Equal", rows, turn), best, c.op("Where", c.op("Equal", rows, best), turn, rows))
        wide = c.op("Expand", c.unsqueeze(chosen, -1), c.op("Shape", matrix))
        value = c.op("GatherElements", matrix, wide, axis=-2)
        now = c.op("GatherElements", kept, chosen, axis=-1)
        line = row(c, value, turn)
        pivot = c.unsqueeze(column(c, line, turn), -1)
        missing = c.op("Equal", pivot, number(c, 0))
        below = c.op("Greater", rows, turn)
        quotient = c.op("Div", column(c, value, turn), c.op("Where", missing, number(c, 1), pivot))
        factor = c.op("Where", below, quotient, number(c, 0))
        right = c.op("Where", c.op("Greater", columns, turn), line, number(c, 0))
        value = c.op("Sub", value, outer(c, factor, right))
        here = c.op("And", c.unsqueeze(below, -1), c.op("Equal", columns, turn))
        value = c.op("Where", here, c.unsqueeze(factor, -1), value)
        first = c.op("And", c.squeeze(missing, -1), c.op("Equal", bad, np.array(0)))
        return [value, now, c.op("Where", first, c.op("Add", turn, np.array(1)), bad), c.squeeze(best, -1)]

    matrix, kept, bad, exchanged = loop(c, steps, [a.tensor, order, failed], step)
    return matrix, kept, c.transpose(exchanged, [*range(1, a.rank - 1), 0]), bad


def lower_part(c: Emitter, value: Value, with_diagonal: bool = False) -> Value:
    return c.op("Trilu", value, np.array(0 if with_diagonal else -1), upper=0)


def substituted(c: Emitter, a: Value, b: Matrices, upper: bool, unit: bool = False) -> Value:
    """X of A X = B for triangular A, a row at a time."""
    size = b.size(-2)
    rows = c.unsqueeze(places(c, size), -1)
    shape = c.op("Shape", c.op("Add", b.value, c.op("ReduceSum", a, [-1], keepdims=1)))
    start = Tensor(c.op("Expand", number(c, 0), shape), DOUBLE, b.shape)
    last = c.op("Sub", c.number(size, torch.int64), np.array(1))

    def step(turn: Value, states: list[Tensor]) -> list[Value]:
        place = c.op("Sub", last, turn) if upper else turn
        line = row(c, a, place)
        rest = c.op("Sub", c.op("Gather", b.value, place, axis=-2), c.squeeze(c.op("MatMul", c.unsqueeze(line, -2), states[0]), -2))
        if not unit:
            rest = c.op("Div", rest, c.unsqueeze(column(c, line, place), -1))
        return [c.op("Where", c.op("Equal", rows, place), c.unsqueeze(rest, -2), states[0])]

    return loop(c, size, [start], step)[0]


def triangle(c: Emitter, a: Value, upper: bool, unit: bool = False) -> Value:
    """The triangle, without what stands beside it."""
    return c.op("Trilu", a, np.array((1 if upper else -1) if unit else 0), upper=int(upper))


def solved(c: Emitter, a: Matrices, b: Matrices) -> Value:
    """X of A X = B."""
    matrix, order, _, _ = factored(c, a)
    return _solved_from(c, matrix, order, b)


def _solved_from(c: Emitter, matrix: Value, order: Value, b: Matrices) -> Value:
    batch = c.op("Shape", c.op("Add", matrix, c.op("ReduceSum", b.value, [-1], keepdims=1)), end=-2)
    wide = c.op("Expand", b.value, c.op("Concat", batch, c.op("Shape", b.value, start=-2), axis=0))
    arranged = c.op("GatherElements", wide, c.op("Expand", c.unsqueeze(order, -1), c.op("Shape", wide)), axis=-2)
    shape = (*[None] * (max(b.rank, 2) - 2), *b.shape[-2:])
    middle = substituted(c, lower_part(c, matrix), Matrices(c, arranged, shape), False, unit=True)
    return substituted(c, triangle(c, matrix, True), Matrices(c, middle, shape), True)


def _order_of(c: Emitter, pivots: Value, rows: Any, rank: int) -> Value:
    """The order of the rows after exchanging row k with row pivots[k] - 1, k = 0, 1 ..."""
    along = places(c, rows)
    start = c.op("Expand", along, c.op("Concat", c.op("Shape", pivots, end=-1), c.sizes([rows]), axis=0))

    def step(turn: Value, states: list[Tensor]) -> list[Value]:
        other = c.op("Sub", c.unsqueeze(c.op("Gather", pivots, turn, axis=-1), -1), np.array(1))
        chosen = c.op("Where", c.op("Equal", along, turn), other, c.op("Where", c.op("Equal", along, other), turn, along))
        return [c.op("GatherElements", states[0], chosen, axis=-1)]

    count = c.op("Squeeze", c.op("Shape", pivots, start=-1))
    return loop(c, Scalar(count, torch.int64), [Tensor(start, torch.int64, (None,) * rank)], step)[0]


def _pivots(c: Emitter, exchanged: Value) -> Value:
    return c.convert(c.op("Add", exchanged, np.array(1)), torch.int32)


@aten("linalg_lu_factor_ex", "linalg_lu_factor", "_lu_with_info")
def lu_factor(c: Emitter, x: Tensor, pivot: bool = True, check_errors: bool = False) -> Any:
    if not pivot:
        raise UnsupportedOperator("LU without pivoting")
    matrix, _, exchanged, failed = factored(c, Matrices.of(c, x))
    return [back(c, matrix, x.dtype), _pivots(c, exchanged), c.convert(failed, torch.int32)][: len(c.result)]


def _unpacked(c: Emitter, matrix: Value, x: Tensor) -> tuple[Value, Value]:
    rank, (m, n) = x.rank, x.shape[-2:]
    if not (is_static(m) and is_static(n)):
        if str(m) != str(n):
            raise UnsupportedOperator("LU of matrices whose sizes are open and differ")
        m = n = 0
    low = c.slice(matrix, rank - 1, 0, m) if n > m else matrix
    high = c.slice(matrix, rank - 2, 0, n) if m > n else matrix
    square = c.size(x, -1) if n <= m else m
    eye = identity(c, square)
    unit = c.op("Pad", eye, [0, m - n], number(c, 0), [0]) if m > n else eye
    return c.op("Add", lower_part(c, low), unit), triangle(c, high, True)


def _permutation(c: Emitter, order: Value, rows: Any) -> Value:
    """The matrix P with A = P L U."""
    along = c.unsqueeze(places(c, rows), 1)
    return c.convert(c.op("Equal", along, c.unsqueeze(order, -2)), DOUBLE)


@aten("linalg_lu")
def lu(c: Emitter, x: Tensor, *, pivot: bool = True) -> Any:
    if not pivot:
        raise UnsupportedOperator("LU without pivoting")
    matrix, order, _, _ = factored(c, Matrices.of(c, x))
    made = [_permutation(c, order, c.size(x, -2)), *_unpacked(c, matrix, x)]
    return [back(c, item, x.dtype) for item in made]


@aten("lu_unpack")
def lu_unpack(c: Emitter, x: Tensor, pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    empty = c.array(np.zeros(0))
    order = _order_of(c, c.cast(pivots, torch.int64), c.size(x, -2), x.rank - 1)
    permutation = _permutation(c, order, c.size(x, -2)) if unpack_pivots else empty
    factors = _unpacked(c, c.cast(x, DOUBLE), x) if unpack_data else (empty, empty)
    return [back(c, item, x.dtype) for item in (permutation, *factors)]


@aten("linalg_lu_solve")
def lu_solve(c: Emitter, x: Tensor, pivots: Tensor, b: Tensor, *, left: bool = True, adjoint: bool = False) -> Value:
    if not left or adjoint:
        raise UnsupportedOperator("solving from the right or with the transposed of an LU factorisation")
    order = _order_of(c, c.cast(pivots, torch.int64), c.size(x, -2), x.rank - 1)
    return back(c, _solved_from(c, c.cast(x, DOUBLE), order, Matrices.of(c, b)), b.dtype)


@aten("linalg_inv_ex", "linalg_inv", "inverse")
def inverse(c: Emitter, x: Tensor, *, check_errors: bool = False) -> Any:
    a = Matrices.of(c, x)
    matrix, order, _, failed = factored(c, a)
    unit = a.like(c.op("Expand", identity(c, a.size(-1)), c.op("Shape", a.value)))
    made = back(c, _solved_from(c, matrix, order, unit), x.dtype)
    return [made, c.convert(failed, torch.int32)] if isinstance(c.result, (list, tuple)) else made


@aten("_linalg_solve_ex", "linalg_solve_ex", "linalg_solve")
def solve(c: Emitter, x: Tensor, b: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    a = Matrices.of(c, x)
    vector = b.rank == 1 or (b.rank == x.rank - 1 and [str(e) for e in b.shape] == [str(e) for e in x.shape[:-1]])
    right = Tensor(c.unsqueeze(b, b.rank), b.dtype, (*b.shape, 1)) if vector else b
    if not left:
        a, right = a.turned(), Tensor(turned(c, right.value, right.rank), right.dtype, (*right.shape[:-2], right.shape[-1], right.shape[-2]))
    matrix, order, exchanged, failed = factored(c, a)
    made = _solved_from(c, matrix, order, Matrices.of(c, right))
    if not left:
        made = turned(c, made, max(x.rank, right.rank))
    made = back(c, c.squeeze(made, -1) if vector else made, b.dtype)
    every = [made, back(c, matrix, x.dtype), _pivots(c, exchanged), c.convert(failed, torch.int32)]
    if not isinstance(c.result, (list, tuple)):
        return made
    return every if len(c.result) == 4 else [made, every[3]]


@aten("_linalg_slogdet", "linalg_slogdet")
def slogdet(c: Emitter, x: Tensor) -> Any:
    a = Matrices.of(c, x)
    matrix, _, exchanged, _ = factored(c, a)
    diagonal = diagonal_of(c, matrix, a.size(-1))
    moved = c.op("Not", c.op("Equal", exchanged, places(c, a.size(-1))))
    odd = c.op("Mod", c.op("ReduceSum", c.convert(moved, torch.int64), [-1], keepdims=0), np.array(2))
    parity = c.op("Sub", number(c, 1), c.op("Mul", number(c, 2), c.convert(odd, DOUBLE)))
    sign = c.op("Mul", parity, c.op("ReduceProd", c.op("Sign", diagonal), [-1], keepdims=0))
    size = c.op("ReduceSum", c.op("Log", c.op("Abs", diagonal)), [-1], keepdims=0)
    return [back(c, sign, x.dtype), back(c, size, x.dtype), back(c, matrix, x.dtype), _pivots(c, exchanged)][: len(c.result)]


# Triangular systems and Cholesky


@aten("linalg_solve_triangular")
def solve_triangular(c: Emitter, x: Tensor, b: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Value:
    a, right = Matrices.of(c, x), Matrices.of(c, b)
    if not left:
        a, right, upper = a.turned(), right.turned(), not upper
    value = triangle(c, a.value, upper, unitriangular)
    rank = max(x.rank, b.rank)
    shape = (*[None] * (rank - 2), *right.shape[-2:])
    made = substituted(c, value, Matrices(c, right.value, shape), upper, unitriangular)
    return back(c, made if left else turned(c, made, rank), b.dtype)


@aten("triangular_solve")
def triangular_solve(c: Emitter, b: Tensor, x: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False) -> Any:
    a = Tensor(turned(c, x.value, x.rank), x.dtype, x.shape) if transpose else x
    made = solve_triangular(c, a, b, upper=upper != transpose, unitriangular=unitriangular)
    return [made, c.op("Expand", x, c.op("Concat", c.op("Shape", made, end=-2), c.op("Shape", x, start=-2), axis=0))]


def cholesky_factor(c: Emitter, a: Matrices) -> tuple[Value, Value]:
    """L with A = L L^T, read from the lower triangle, and the number of the first step whose pivot is not above zero."""
    along = places(c, a.size(-1))
    failed = Tensor(c.op("Expand", np.array(0), c.op("Shape", a.value, end=-2)), torch.int64, a.shape[:-2])

    def step(turn: Value, states: list[Tensor]) -> list[Value]:
        matrix, found, bad = states
        line = column(c, matrix, turn)
        pivot = c.unsqueeze(column(c, line, turn), -1)
        below = c.op("Not", c.op("Less", along, turn))
        scaled = c.op("Where", below, c.op("Div", line, c.op("Sqrt", pivot)), number(c, 0))
        here = c.op("Equal", along, turn)
        first = c.op("And", c.op("Not", c.op("Greater", c.squeeze(pivot, -1), number(c, 0))), c.op("Equal", bad, np.array(0)))
        return [
            c.op("Sub", matrix, outer(c, scaled, scaled)),
            c.op("Where", here, c.unsqueeze(scaled, -1), found),
            c.op("Where", first, c.op("Add", turn, np.array(1)), bad),
        ]

    made = loop(c, a.size(-1), [a.tensor, a.like(zeros_like(c, a.value)).tensor, failed], step)
    return made[1], made[2]


@aten("linalg_cholesky_ex", "linalg_cholesky", "cholesky")
def cholesky(c: Emitter, x: Tensor, upper: bool = False, **options: Any) -> Any:
    upper = options.get("upper", upper)
    a = Matrices.of(c, x)
    factor, failed = cholesky_factor(c, a.turned() if upper else a)
    made = back(c, turned(c, factor, x.rank) if upper else factor, x.dtype)
    return [made, c.convert(failed, torch.int32)] if isinstance(c.result, (list, tuple)) else made


def _solved_by_factor(c: Emitter, factor: Matrices, b: Matrices, upper: bool) -> Value:
    """From A = L L^T."""
    low = triangle(c, (factor.turned() if upper else factor).value, False) if not upper else turned(
        c, triangle(c, factor.value, True), factor.rank)  # fmt: skip
    shape = (*[None] * (max(factor.rank, b.rank) - 2), *b.shape[-2:])
    middle = substituted(c, low, Matrices(c, b.value, shape), False)
    return substituted(c, turned(c, low, factor.rank), Matrices(c, middle, shape), True)


@aten("cholesky_solve")
def cholesky_solve(c: Emitter, b: Tensor, x: Tensor, upper: bool = False) -> Value:
    return back(c, _solved_by_factor(c, Matrices.of(c, x), Matrices.of(c, b), upper), b.dtype)


@aten("cholesky_inverse")
def cholesky_inverse(c: Emitter, x: Tensor, upper: bool = False) -> Value:
    a = Matrices.of(c, x)
    unit = a.like(c.op("Expand", identity(c, a.size(-1)), c.op("Shape", a.value)))
    return back(c, _solved_by_factor(c, a, unit, upper), x.dtype)


@aten("linalg_matrix_exp", "matrix_exp")
def matrix_exp(c: Emitter, x: Tensor) -> Value:
    """Taylor's series of the matrix divided by a power of two until its norm is below one, squared as often."""
    a = Matrices.of(c, x)
    norm = c.op("ReduceMax", c.op("ReduceSum", c.op("Abs", a.value), [-2], keepdims=1), [-1], keepdims=1)
    halved = c.op("Ceil", c.op("Div", c.op("Log", c.op("Max", norm, number(c, 1))), number(c, math.log(2))))
    scaled = c.op("Div", a.value, c.op("Pow", number(c, 2), halved))
    unit = identity(c, a.size(-1))
    total = c.op("Expand", unit, c.op("Shape", a.value))
    for term in range(18, 0, -1):
        total = c.op("Add", unit, c.op("Div", c.op("MatMul", scaled, total), number(c, term)))
    most = c.convert(c.op("ReduceMax", halved, keepdims=0), torch.int64)

    def step(turn: Value, states: list[Tensor]) -> list[Value]:
        (value,) = states
        more = c.op("Less", c.convert(turn, DOUBLE), halved)
        return [c.op("Where", more, c.op("MatMul", value, value), value)]

    made = loop(c, Scalar(most, torch.int64), [a.like(total).tensor], step)[0]
    return back(c, made, x.dtype)
