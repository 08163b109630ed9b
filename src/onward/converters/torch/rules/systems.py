"""Linear systems: LU, LDL, Cholesky and triangular factors as loops over columns."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from onward.converters.torch.rules.matrices import (
    arranged,
    batched,
    column,
    diagonal_of,
    double,
    places,
    real_part,
    row,
    smaller,
    triangle,
    unit,
)
from onward.converters.torch.rules.registry import rule, turns, while_true

INT = torch.int32


def factored(a: Tensor, pivot: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """L below and U on and above the diagonal, the order of the rows, the row exchanged at each step (from 0), and the number of
    the first step without a pivot (0 where all have one)."""
    rows, columns = places(a, -2), places(a, -1)

    def step(turn: Tensor, matrix: Tensor, order: Tensor, failed: Tensor, rows: Tensor, columns: Tensor) -> list[Tensor]:
        line = column(matrix, turn)
        size = line.real.abs() + line.imag.abs() if line.dtype.is_complex else line.abs()
        # The place after the last is never the best; it is there for matrices without rows.
        best = F.pad(torch.where(rows < turn, -1, size), (0, 1), value=-2).argmax(-1, keepdim=True) if pivot else turn.expand(size.shape[:-1]).unsqueeze(-1)
        chosen = torch.where(rows == turn, best, torch.where(rows == best, turn, rows))
        matrix, order = arranged(matrix, chosen, -2), torch.gather(order, -1, chosen)
        across = row(matrix, turn)
        head = column(across, turn).unsqueeze(-1)
        missing, below = head == 0, rows > turn
        factor = torch.where(below, column(matrix, turn) / torch.where(missing, 1, head), 0)
        matrix = matrix - factor.unsqueeze(-1) * torch.where(columns > turn, across, 0).unsqueeze(-2)
        matrix = torch.where(below.unsqueeze(-1) & (columns == turn), factor.unsqueeze(-1), matrix)
        failed = torch.where(missing.squeeze(-1) & (failed == 0), turn + 1, failed)
        return [matrix, order, failed, best.squeeze(-1)]

    start = [a, rows.expand(a.shape[:-1]), torch.zeros(a.shape[:-2], dtype=torch.int64)]
    matrix, order, failed, exchanged = turns(smaller(a.shape[-2], a.shape[-1]), step, start, rows, columns)
    return matrix, order, torch.movedim(exchanged, 0, -1), failed


def substituted(a: Tensor, b: Tensor, upper: bool, unitriangular: bool = False) -> Tensor:
    """X of A X = B for triangular A with zeros beside the triangle, a row at a time."""
    a, b = batched(a, b)
    rows = places(b, -2)

    def step(turn: Tensor, x: Tensor, a: Tensor, b: Tensor, rows: Tensor) -> list[Tensor]:
        place = b.shape[-2] - 1 - turn if upper else turn
        line = row(a, place)
        rest = row(b, place) - (line.unsqueeze(-2) @ x).squeeze(-2)
        if not unitriangular:
            rest = rest / column(line, place).unsqueeze(-1)
        return [torch.where((rows == place).unsqueeze(-1), rest.unsqueeze(-2), x)]

    return turns(b.shape[-2], step, [torch.zeros_like(b)], a, b, rows)[0]


def _solved_from(matrix: Tensor, order: Tensor, b: Tensor) -> Tensor:
    """X of A X = B from the factors of A and the order of its rows."""
    matrix, b = batched(matrix, b)
    b = arranged(b, order.expand(b.shape[:-1]), -2)
    return substituted(triangle(matrix, True), substituted(triangle(matrix, False, strict=True), b, False, unitriangular=True), True)


def _solved_from_adjoint(matrix: Tensor, order: Tensor, b: Tensor) -> Tensor:
    """X of A^H X = B: U^H L^H P^T X = B."""
    matrix, b = batched(matrix, b)
    middle = substituted(triangle(matrix, True).mH, b, False)
    found = substituted(triangle(matrix, False, strict=True).mH, middle, True, unitriangular=True)
    back = torch.argsort(order, -1)
    return arranged(found, back.expand(b.shape[:-1]), -2)


def _order_of(pivots: Tensor, x: Tensor) -> Tensor:
    """The order of the rows after exchanging row k with row pivots[k] - 1, k = 0, 1 ..."""
    along = places(x, -2)

    def step(turn: Tensor, order: Tensor, pivots: Tensor, along: Tensor) -> list[Tensor]:
        other = column(pivots, turn).unsqueeze(-1) - 1
        chosen = torch.where(along == turn, other, torch.where(along == other, turn, along))
        return [torch.gather(order, -1, chosen.expand(order.shape))]

    start = along.expand(*pivots.shape[:-1], x.shape[-2])
    return turns(pivots.shape[-1], step, [start], pivots.to(torch.int64), along)[0]


def _pivots(exchanged: Tensor) -> Tensor:
    return (exchanged + 1).to(INT)


@rule("linalg_lu_factor_ex")
def lu_factor(x: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    matrix, _, exchanged, failed = factored(double(x), pivot)
    return matrix.to(x.dtype), _pivots(exchanged), failed.to(INT)


def _unpacked(matrix: Tensor) -> tuple[Tensor, Tensor]:
    size = smaller(matrix.shape[-2], matrix.shape[-1])
    rows, columns = places(matrix, -2)[:, None], torch.arange(size)
    low = triangle(matrix.narrow(-1, 0, size), False, strict=True) + (rows == columns).to(matrix.dtype)
    return low, triangle(matrix.narrow(-2, 0, size), True)


def _permutation(order: Tensor, dtype: torch.dtype) -> Tensor:
    """The matrix P with A = P L U."""
    return (places(order, -1)[:, None] == order.unsqueeze(-2)).to(dtype)


@rule("linalg_lu")
def lu(x: Tensor, *, pivot: bool = True) -> Any:
    matrix, order, _, _ = factored(double(x), pivot)
    permutation = _permutation(order, x.dtype) if pivot else x.new_zeros(0)
    return permutation, *(item.to(x.dtype) for item in _unpacked(matrix))


@rule("lu_unpack")
def lu_unpack(x: Tensor, pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    empty = x.new_zeros(0)
    permutation = _permutation(_order_of(pivots, x), x.dtype) if unpack_pivots else empty
    return permutation, *(_unpacked(x) if unpack_data else (empty, x.new_zeros(0)))


@rule("linalg_lu_solve")
def lu_solve(x: Tensor, pivots: Tensor, b: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """From the right X A = B, which is A^H X^H = B^H."""
    order = _order_of(pivots, x)
    solve = _solved_from if left != adjoint else _solved_from_adjoint
    found = solve(double(x), order, double(b if left else b.mH))
    return (found if left else found.mH).to(b.dtype)


@rule("linalg_inv_ex")
def inverse(x: Tensor, *, check_errors: bool = False) -> Any:
    a = double(x)
    matrix, order, _, failed = factored(a)
    return _solved_from(matrix, order, unit(a.shape[-1], a)).to(x.dtype), failed.to(INT)


@rule("_linalg_solve_ex")
def solve(x: Tensor, b: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    vector = b.ndim == 1 or [str(extent) for extent in b.shape] == [str(extent) for extent in x.shape[:-1]]
    right = double(b.unsqueeze(-1) if vector else b)
    a = double(x if left else x.mT)
    matrix, order, exchanged, failed = factored(a)
    found = _solved_from(matrix, order, right if left else right.mT)
    found = found if left else found.mT
    return (found.squeeze(-1) if vector else found).to(b.dtype), matrix.to(x.dtype), _pivots(exchanged), failed.to(INT)


def _parity(exchanged: Tensor) -> Tensor:
    """1 or -1 for an even or odd number of exchanges."""
    return 1 - 2 * torch.remainder((exchanged != places(exchanged, -1)).sum(-1), 2)


@rule("_linalg_slogdet")
def slogdet(x: Tensor) -> Any:
    matrix, _, exchanged, _ = factored(double(x))
    diagonal = diagonal_of(matrix)
    sign = _parity(exchanged) * torch.sgn(diagonal).prod(-1)
    size = torch.log(diagonal.abs()).sum(-1)
    real = x.real.dtype if x.dtype.is_complex else x.dtype
    return sign.to(x.dtype), size.to(real), matrix.to(x.dtype), _pivots(exchanged)


@rule("_linalg_det")
def det(x: Tensor) -> Any:
    matrix, _, exchanged, _ = factored(double(x))
    found = _parity(exchanged) * diagonal_of(matrix).prod(-1)
    return found.to(x.dtype), matrix.to(x.dtype), _pivots(exchanged)


# Triangular systems and Cholesky


@rule("linalg_solve_triangular")
def solve_triangular(x: Tensor, b: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    a, right = double(x), double(b)
    if not left:
        a, right, upper = a.mT, right.mT, not upper
    found = substituted(triangle(a, upper, strict=unitriangular), right, upper, unitriangular)
    return (found if left else found.mT).to(b.dtype)


@rule("triangular_solve")
def triangular_solve(b: Tensor, x: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False) -> Any:
    a = x.mT if transpose else x
    found = solve_triangular(a, b, upper=upper != transpose, unitriangular=unitriangular)
    return found, batched(x, b)[0].clone()


def cholesky_factor(a: Tensor) -> tuple[Tensor, Tensor]:
    """L with A = L L^H, read from the lower triangle, and the number of the first step whose pivot is not above zero."""
    along = places(a, -1)

    def step(turn: Tensor, matrix: Tensor, found: Tensor, failed: Tensor, along: Tensor) -> list[Tensor]:
        line = column(matrix, turn)
        head = real_part(column(line, turn))
        scaled = torch.where(along < turn, 0, line / torch.sqrt(head).unsqueeze(-1))
        failed = torch.where(~(head > 0) & (failed == 0), turn + 1, failed)
        matrix = matrix - scaled.unsqueeze(-1) * scaled.unsqueeze(-2).conj()
        return [matrix, torch.where(along == turn, scaled.unsqueeze(-1), found), failed]

    start = [a, torch.zeros_like(a), torch.zeros(a.shape[:-2], dtype=torch.int64)]
    _, found, failed = turns(a.shape[-1], step, start, along)
    return found, failed


@rule("linalg_cholesky_ex")
def cholesky_ex(x: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    factor, failed = cholesky_factor(double(x.mH if upper else x))
    return (factor.mH if upper else factor).to(x.dtype), failed.to(INT)


@rule("cholesky")
def cholesky(x: Tensor, upper: bool = False) -> Tensor:
    return cholesky_ex(x, upper=upper)[0]


@rule("cholesky_solve")
def cholesky_solve(b: Tensor, x: Tensor, upper: bool = False) -> Tensor:
    low = triangle(double(x), upper)
    low = low.mH if upper else low
    return substituted(low.mH, substituted(low, double(b), False), True).to(b.dtype)


@rule("cholesky_inverse")
def cholesky_inverse(x: Tensor, upper: bool = False) -> Tensor:
    return cholesky_solve(unit(x.shape[-1], x).expand(x.shape), x, upper)


@rule("linalg_matrix_exp")
def matrix_exp(x: Tensor) -> Tensor:
    """Taylor's series of the matrix divided by a power of two until its norm is below one, squared as often."""
    a = double(x)
    norm = a.abs().sum(-2, keepdim=True).amax(-1, keepdim=True)
    halved = torch.ceil(torch.log2(norm.clamp(min=1)))
    scaled = a / torch.exp2(halved)
    eye = unit(a.shape[-1], a)
    total = eye.expand(a.shape)
    for term in range(18, 0, -1):
        total = eye + scaled @ total / term
    most = torch.cat([halved.reshape(-1), halved.new_zeros(1)]).amax()

    def again(turn: Tensor, value: Tensor, halved: Tensor, most: Tensor) -> Tensor:
        return turn < most

    def squared(turn: Tensor, value: Tensor, halved: Tensor, most: Tensor) -> list[Tensor]:
        return [turn + 1, torch.where(turn < halved, value @ value, value)]

    return while_true(again, squared, [torch.zeros_like(most), total], halved, most)[1].to(x.dtype)
