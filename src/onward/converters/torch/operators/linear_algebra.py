"""Linear algebra: factorisations as loops over columns, in double precision whatever the data's own.

Matrices are the last two dimensions; all others are a batch, whose matrices go through the loops together. Pivots are chosen and
signs taken as LAPACK does, so that results agree where they are unique.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import DATA_TYPES, Emitter, Scalar, Tensor, is_static
from onward.converters.torch.operators.loops import loop
from onward.converters.torch.registry import aten
from onward.errors import UnsupportedOperator
from onward.ir import Value

DOUBLE = torch.float64


class Matrices:
    """A batch of matrices in double precision, and masks of their places."""

    def __init__(self, c: Emitter, value: Value, shape: tuple[Any, ...]) -> None:
        self.c, self.value, self.shape = c, value, shape
        self.rank = len(shape)

    @classmethod
    def of(cls, c: Emitter, x: Tensor) -> Matrices:
        return cls(c, c.cast(x, DOUBLE), x.shape)

    @property
    def tensor(self) -> Tensor:
        return Tensor(self.value, DOUBLE, self.shape)

    def size(self, axis: int) -> Any:
        return self.c.size(self.tensor, axis)

    def turned(self) -> Matrices:
        shape = (*self.shape[:-2], self.shape[-1], self.shape[-2])
        return Matrices(self.c, turned(self.c, self.value, self.rank), shape)

    def like(self, value: Value) -> Matrices:
        return Matrices(self.c, value, self.shape)


def turned(c: Emitter, value: Value, rank: int) -> Value:
    """The transposed matrices."""
    return c.transpose(value, [*range(rank - 2), rank - 1, rank - 2])


def places(c: Emitter, size: Any) -> Value:
    """0 .. size - 1."""
    return c.array(np.arange(size)) if is_static(size) else c.op("Range", np.array(0), c.number(size, torch.int64), np.array(1))


def smaller(c: Emitter, left: Any, right: Any) -> Any:
    if is_static(left) and is_static(right):
        return min(left, right)
    return Scalar(c.op("Min", c.number(left, torch.int64), c.number(right, torch.int64)), torch.int64)


def number(c: Emitter, value: float) -> Value:
    return c.number(value, DOUBLE)


def column(c: Emitter, value: Any, place: Value) -> Value:
    return c.op("Gather", value, place, axis=-1)


def row(c: Emitter, value: Any, place: Value) -> Value:
    return c.op("Gather", value, place, axis=-2)


def outer(c: Emitter, down: Value, across: Value) -> Value:
    return c.op("Mul", c.unsqueeze(down, -1), c.unsqueeze(across, -2))


def zeros_like(c: Emitter, value: Any, dtype: torch.dtype = DOUBLE) -> Value:
    return c.op("Expand", c.number(0, dtype), c.op("Shape", value))


def identity(c: Emitter, size: Any) -> Value:
    if is_static(size):
        return c.array(np.eye(size))
    along = places(c, size)
    return c.convert(c.op("Equal", c.unsqueeze(along, 1), c.unsqueeze(along, 0)), DOUBLE)


def back(c: Emitter, value: Value, dtype: torch.dtype) -> Value:
    return value if dtype is DOUBLE else c.convert(value, dtype)


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
    diagonal = _diagonal(c, matrix, a.size(-1))
    moved = c.op("Not", c.op("Equal", exchanged, places(c, a.size(-1))))
    odd = c.op("Mod", c.op("ReduceSum", c.convert(moved, torch.int64), [-1], keepdims=0), np.array(2))
    parity = c.op("Sub", number(c, 1), c.op("Mul", number(c, 2), c.convert(odd, DOUBLE)))
    sign = c.op("Mul", parity, c.op("ReduceProd", c.op("Sign", diagonal), [-1], keepdims=0))
    size = c.op("ReduceSum", c.op("Log", c.op("Abs", diagonal)), [-1], keepdims=0)
    return [back(c, sign, x.dtype), back(c, size, x.dtype), back(c, matrix, x.dtype), _pivots(c, exchanged)][: len(c.result)]


def _diagonal(c: Emitter, matrix: Value, size: Any) -> Value:
    return c.op("ReduceSum", c.op("Mul", matrix, identity(c, size)), [-1], keepdims=0)


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


@functools.cache
def _tournament(size: int) -> np.ndarray:
    """Who meets whom, so that all pairs meet once, each player once a round; (rounds, size), oneself where there is nobody."""
    if size < 2:
        return np.zeros((1, size), np.int64)
    even = size + size % 2
    ring = list(range(even))
    rounds = []
    for _ in range(even - 1):
        other = np.arange(even)
        for left, right in zip(ring[: even // 2], reversed(ring[even // 2 :])):
            other[left], other[right] = right, left
        rounds.append([place if partner >= size else partner for place, partner in enumerate(other[:size])])
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return np.array(rounds)


SWEEPS = 12
"""Double precision is reached after 6 to 8 for matrices of a few hundred rows; after that rotations are by zero."""


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
    meetings, along = _tournament(n), np.arange(n)

    def step(turn: Value, states: list[Tensor]) -> list[Value]:
        value, vectors = states
        partner = c.op("Gather", meetings, c.op("Mod", turn, np.array(len(meetings))), axis=0)
        own = _diagonal(c, value.value, n)
        pairs = c.convert(c.op("Equal", c.unsqueeze(partner, 1), c.array(along)), DOUBLE)
        shared = c.op("ReduceSum", c.op("Mul", value, pairs), [-1], keepdims=0)
        cosine, sine = _rotation(c, own, c.op("Gather", own, partner, axis=-1), shared, partner, along)
        across = _turned_columns(c, value, partner, cosine, sine)
        both = turned(c, _turned_columns(c, turned(c, across, a.rank), partner, cosine, sine), a.rank)
        return [both, _turned_columns(c, vectors, partner, cosine, sine)]

    value, vectors = loop(c, SWEEPS * len(meetings), [matrix.tensor, unit.tensor], step)
    values, order = c.op("TopK", _diagonal(c, value, n), [n], axis=-1, largest=0, outputs=2)
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
    meetings, along = _tournament(n), np.arange(n)

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
