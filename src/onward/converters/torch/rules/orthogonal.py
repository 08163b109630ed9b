"""Orthogonal factors: QR by Householder's reflections, eigenvalues of symmetric matrices and singular values by Jacobi's rotations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from onward.converters.rotations import SWEEPS
from onward.converters.torch.rules.matrices import arranged, column, diagonal_of, double, places, real_part, size_of, smaller, triangle, unit, units
from onward.converters.torch.rules.registry import rule, turns
from onward.errors import UnsupportedOperator

# Householder's reflections


def reflected(a: Tensor) -> tuple[Tensor, Tensor]:
    """R on and above the diagonal, the reflections' vectors below it, and their factors (LAPACK's geqrf)."""
    rows, columns = places(a, -2), places(a, -1)

    def step(turn: Tensor, matrix: Tensor, rows: Tensor, columns: Tensor) -> list[Tensor]:
        line, below = column(matrix, turn), rows > turn
        rest, head = torch.where(below, line, 0), column(line, turn).unsqueeze(-1)
        length = torch.sqrt(size_of(head) + size_of(rest).sum(-1, keepdim=True))
        nothing = (size_of(rest).sum(-1, keepdim=True) == 0) & ((head.imag == 0) if head.dtype.is_complex else torch.ones_like(head, dtype=torch.bool))
        end = torch.where(nothing, 1, torch.where(real_part(head) < 0, length, -length))
        factor = torch.where(nothing, 0, (end - head) / end)
        vector = torch.where(rows == turn, 1, rest / torch.where(nothing, 1, head - end))
        seen = vector.conj().unsqueeze(-2) @ matrix
        after = matrix - factor.conj().unsqueeze(-1) * vector.unsqueeze(-1) * seen
        own = torch.where(below, vector, torch.where(rows == turn, torch.where(nothing, head, end.to(head.dtype)), line))
        matrix = torch.where(columns > turn, after, torch.where(columns == turn, own.unsqueeze(-1), matrix))
        return [matrix, factor.squeeze(-1)]

    matrix, factors = turns(smaller(a.shape[-2], a.shape[-1]), step, [a], rows, columns)
    return matrix, torch.movedim(factors, 0, -1)


def applied(matrix: Tensor, factors: Tensor, b: Tensor, adjoint: bool) -> Tensor:
    """H_1 H_2 .. times B, or the adjoint of that product times B."""
    rows = places(b, -2)

    def step(turn: Tensor, b: Tensor, matrix: Tensor, factors: Tensor, rows: Tensor) -> list[Tensor]:
        place = turn if adjoint else factors.shape[-1] - 1 - turn
        vector = torch.where(rows == place, 1, torch.where(rows > place, column(matrix, place), 0))
        factor = column(factors, place)[..., None, None]
        seen = vector.conj().unsqueeze(-2) @ b
        return [b - (factor.conj() if adjoint else factor) * (vector.unsqueeze(-1) * seen)]

    return turns(factors.shape[-1], step, [b], matrix, factors, rows)[0]


@rule("geqrf")
def geqrf(x: Tensor) -> Any:
    return tuple(item.to(x.dtype) for item in reflected(double(x)))


@rule("linalg_householder_product", "orgqr")
def householder_product(x: Tensor, factors: Tensor) -> Tensor:
    a = double(x)
    return applied(a, double(factors), units(a, a.shape[-2], a.shape[-1]), False).to(x.dtype)


@rule("ormqr")
def ormqr(x: Tensor, factors: Tensor, b: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    matrices = double(b if left else b.mH)
    found = applied(double(x), double(factors), matrices, transpose if left else not transpose)
    return (found if left else found.mH).to(b.dtype)


@rule("linalg_qr")
def qr(x: Tensor, mode: str = "reduced") -> Any:
    matrix, factors = reflected(double(x))
    rows, columns = x.shape[-2:]
    count = rows if mode == "complete" else smaller(rows, columns)
    r = triangle(matrix, True)
    r = (r if mode == "complete" else r.narrow(-2, 0, count)).to(x.dtype)
    if mode == "r":
        return x.new_zeros(0), r
    return applied(matrix, factors, units(matrix, rows, count), False).to(x.dtype), r


# Jacobi's rotations


def _partners(turn: Tensor, along: Tensor, size: Any) -> Tensor:
    """Who meets whom in a round, so that in as many rounds as there are others all pairs meet once: those meet whose numbers have the
    round as their sum. The last one of an even number meets who would meet himself; of an odd number that one rests."""
    others = size - (size + 1) % 2
    found = torch.remainder(turn - along, others)
    last = along == others
    resting = torch.remainder(turn * ((others + 1) // 2), others)
    found = torch.where(last, resting, torch.where(found == along, others, found))
    return torch.where(found < size, found, along)


def _rotation(own: Tensor, other: Tensor, shared: Tensor, partner: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine for each column that make the products with their partners vanish: Golub and Van Loan, section 8.5.

    Complex columns are turned against each other after the partner's has got the phase that makes the product real.
    """
    size = shared.abs()
    nothing = (size == 0) | (partner == along)
    phase = torch.where(nothing, 1, shared.conj() / torch.where(nothing, 1, size)) if shared.dtype.is_complex else torch.sign(shared)
    ratio = (other - own) / torch.where(nothing, 1, 2 * size)
    # Partners of equal size turn in opposite directions: the earlier one counts as the smaller.
    sign = torch.where(ratio == 0, torch.where(partner > along, 1.0, -1.0), torch.sign(ratio))
    tangent = torch.where(nothing, 0, sign / (ratio.abs() + torch.sqrt(1 + ratio * ratio)))
    cosine = torch.rsqrt(1 + tangent * tangent)
    return cosine, tangent * cosine * phase


def _turned(x: Tensor, partner: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """All columns with their partners."""
    return x * cosine.unsqueeze(-2) - x.index_select(-1, partner) * sine.unsqueeze(-2)


def eigen(a: Tensor, upper: bool) -> tuple[Tensor, Tensor]:
    """Eigenvalues of Hermitian matrices in rising order, and eigenvectors, of which the phase is free."""
    n = a.shape[-1]
    half, rest = triangle(a, upper), triangle(a, upper, strict=True)
    middle = real_part(diagonal_of(a))
    matrix = half + rest.mH
    matrix = torch.where(unit(n, middle) == 1, middle.unsqueeze(-1).to(a.dtype), matrix)
    along = torch.arange(n)

    def step(turn: Tensor, value: Tensor, vectors: Tensor, along: Tensor) -> list[Tensor]:
        partner = _partners(turn, along, value.shape[-1])
        own = real_part(diagonal_of(value))
        shared = torch.where(partner.unsqueeze(1) == along, value, 0).sum(-1)
        cosine, sine = _rotation(own, own.index_select(-1, partner), shared, partner, along)
        both = _turned(_turned(value, partner, cosine, sine).mH, partner, cosine, sine)
        # Partners must see the same product, or what they turn by is no rotation once only rounding is left.
        return [(both + both.mH) / 2, _turned(vectors, partner, cosine, sine)]

    value, vectors = turns(SWEEPS * n, step, [matrix, units(a, n, n)], along)
    values, order = torch.sort(real_part(diagonal_of(value)), -1)
    return values, arranged(vectors, order, -1)


@rule("_linalg_eigh")
def eigh(x: Tensor, UPLO: str = "L", compute_v: bool = True) -> Any:  # noqa: N803 (PyTorch's own name)
    values, vectors = eigen(double(x), UPLO.upper() == "U")
    return values.to(x.real.dtype if x.dtype.is_complex else x.dtype), vectors.to(x.dtype)


def singular(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, S, V of matrices at least as high as wide, S falling: columns are turned until they are orthogonal (Hestenes)."""
    n = a.shape[-1]
    along = torch.arange(n)

    def step(turn: Tensor, value: Tensor, vectors: Tensor, along: Tensor) -> list[Tensor]:
        partner = _partners(turn, along, value.shape[-1])
        own = size_of(value).sum(-2)
        shared = (value.conj() * value.index_select(-1, partner)).sum(-2)
        cosine, sine = _rotation(own, own.index_select(-1, partner), shared, partner, along)
        return [_turned(item, partner, cosine, sine) for item in (value, vectors)]

    value, vectors = turns(SWEEPS * n, step, [a, units(a, n, n)], along)
    values, order = torch.sort(torch.sqrt(size_of(value).sum(-2)), -1, descending=True)
    left = arranged(value, order, -1) / torch.where(values == 0, 1, values).unsqueeze(-2)
    return left, values, arranged(vectors, order, -1)


def _singular_of(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, S, V of any matrices."""
    a = double(x)
    rows, columns = a.shape[-2:]
    if not (isinstance(rows, int) and isinstance(columns, int)) and str(rows) != str(columns):
        raise UnsupportedOperator("singular values of matrices whose sizes are open and differ")
    wide = str(rows) != str(columns) and rows < columns
    left, values, right = singular(a.mH if wide else a)
    return (right, values, left) if wide else (left, values, right)


def _completed(vectors: Tensor) -> Tensor:
    """Orthonormal columns and those that are orthogonal to them: all that QR gives, with the given ones in front."""
    matrix, factors = reflected(vectors)
    whole = applied(matrix, factors, units(vectors, vectors.shape[-2], vectors.shape[-2]), False)
    return torch.cat([vectors, whole.narrow(-1, vectors.shape[-1], vectors.shape[-2] - vectors.shape[-1])], -1)


@rule("_linalg_svd")
def svd(x: Tensor, full_matrices: bool = False, compute_uv: bool = True, *, driver: str | None = None) -> Any:
    left, values, right = _singular_of(x)
    values = values.to(x.real.dtype if x.dtype.is_complex else x.dtype)
    if not compute_uv:
        return x.new_zeros(0), values, x.new_zeros(0)
    if full_matrices:
        left, right = (_completed(item) if item.shape[-2] > item.shape[-1] else item for item in (left, right))
    return left.to(x.dtype), values, right.mH.to(x.dtype)


@rule("linalg_pinv.atol_rtol_tensor", "linalg_pinv.atol_rtol_float")
def pinv(x: Tensor, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """Inverse of what is larger than the bound, by singular or eigenvalues."""
    if hermitian:
        values, left = eigen(double(x), False)
        right = left
    else:
        left, values, right = _singular_of(x)
    sizes = values.abs()
    lowest, relative = (_bound(item) for item in (atol, rtol))
    # Without a bound of either kind the relative one is that of the precision; an absolute one above zero replaces it.
    usual = torch.sym_max(*x.shape[-2:]) * torch.finfo(x.dtype).eps
    if rtol is None:
        relative = torch.where(lowest > 0, 0, usual)
    least = relative * F.pad(sizes, (0, 1)).amax(-1, keepdim=True)
    kept = sizes > torch.maximum(least, lowest)
    inverse = torch.where(kept, 1 / torch.where(kept, values, 1), 0)
    return ((right * inverse.unsqueeze(-2)) @ left.mH).to(x.dtype)


def _bound(item: Any) -> Tensor:
    """A bound for each matrix; 0 where there is none."""
    return double(item).unsqueeze(-1) if isinstance(item, Tensor) else torch.full((1,), item or 0.0, dtype=torch.float64)
