"""Eigenvalues of matrices that are not symmetric: QR iterations with shifts on Hessenberg's form, in complex numbers.

Golub and Van Loan, Matrix Computations, sections 7.4 and 7.5.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from onward.converters.torch.rules.matrices import column, diagonal_of, places, row, size_of, triangle, unit, units
from onward.converters.torch.rules.registry import rule, turns, while_true

EPSILON = 2.0**-52


def _hessenberg(a: Tensor) -> tuple[Tensor, Tensor]:
    """H, which is zero below the first subdiagonal, and Z with A = Z H Z^H, by Householder's reflections from both sides."""
    rows = places(a, -2)

    def step(turn: Tensor, h: Tensor, z: Tensor, rows: Tensor) -> list[Tensor]:
        line, place = column(h, turn), turn + 1
        rest, head = torch.where(rows > place, line, 0), column(line, place).unsqueeze(-1)
        length = torch.sqrt(size_of(head) + size_of(rest).sum(-1, keepdim=True))
        nothing = size_of(rest).sum(-1, keepdim=True) == 0
        end = torch.where(nothing, 1, torch.where(head.real < 0, length, -length))
        factor = torch.where(nothing, 0, (end - head) / end).unsqueeze(-1)
        vector = torch.where(rows == place, 1, rest / torch.where(nothing, 1, head - end)).unsqueeze(-1)
        h = h - factor.conj() * vector * (vector.mH @ h)
        return [h - factor * (h @ vector) * vector.mH, z - factor * (z @ vector) * vector.mH]

    h, z = turns(torch.sym_max(a.shape[-1] - 2, 0), step, [a, units(a, a.shape[-1], a.shape[-1])], rows)
    return torch.where(rows[:, None] <= rows + 1, h, 0), z


def _below(h: Tensor) -> Tensor:
    """(..., n): what stands left of the diagonal in each row; 0 in the first."""
    along = places(h, -1)
    return torch.where(along[:, None] == along + 1, h, 0).sum(-1)


def _cleared(h: Tensor) -> Tensor:
    """Subdiagonal elements that are nothing beside their neighbours on the diagonal become zero."""
    along = places(h, -1)
    diagonal = diagonal_of(h).abs()
    scale = diagonal + torch.roll(diagonal, 1, -1)
    scale = torch.where(scale == 0, h.abs().amax((-2, -1)).unsqueeze(-1), scale)
    small = _below(h).abs() <= EPSILON * scale
    return torch.where((along[:, None] == along + 1) & small.unsqueeze(-1), 0, h)


def _shift(h: Tensor, high: Tensor) -> Tensor:
    """The eigenvalue of the last two rows of the active block that is nearer to its last element (Wilkinson)."""
    along = places(h, -1)

    def element(down: int, across: int) -> Tensor:
        mask = (along[:, None] == (high - down)[..., None, None]) & (along == (high - across)[..., None, None])
        return torch.where(mask, h, 0).sum((-2, -1))

    a, b, c, d = element(1, 1), element(1, 0), element(0, 1), element(0, 0)
    half = (a - d) / 2
    root = torch.sqrt(half * half + b * c)
    root = torch.where((half.conj() * root).real < 0, -root, root)
    total = half + root
    return torch.where(total == 0, d, d - b * c / torch.where(total == 0, 1, total))


def _pair(x: Tensor, turn: Tensor, along: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Rows `turn` and `turn` + 1 replaced."""
    at = along[:, None]
    return torch.where(at == turn, first.unsqueeze(-2), torch.where(at == turn + 1, second.unsqueeze(-2), x))


def _swept(h: Tensor, z: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """R Q of the active block's Q R, by Givens's rotations; everything else is turned along."""
    along = places(h, -1)

    def left(turn: Tensor, r: Tensor, low: Tensor, high: Tensor, along: Tensor) -> list[Tensor]:
        first, second = row(r, turn), row(r, turn + 1)
        x, y = column(first, turn), column(second, turn)
        length = torch.sqrt(size_of(x) + size_of(y))
        still = (turn < low) | (turn >= high) | (length == 0)
        safe = torch.where(still, 1, length)
        c, s = (torch.where(still, number, item / safe).unsqueeze(-1) for item, number in ((x, 1), (y, 0)))
        return [_pair(r, turn, along, c.conj() * first + s.conj() * second, c * second - s * first), c.squeeze(-1), s.squeeze(-1)]

    r, cosines, sines = turns(h.shape[-1] - 1, left, [h], low, high, along)

    def right(turn: Tensor, r: Tensor, z: Tensor, cosines: Tensor, sines: Tensor, along: Tensor) -> list[Tensor]:
        c, s = (row_of(item, turn).unsqueeze(-1) for item in (cosines, sines))
        made = []
        for item in (r.mT, z.mT):
            first, second = row(item, turn), row(item, turn + 1)
            made.append(_pair(item, turn, along, c * first + s * second, c.conj() * second - s.conj() * first).mT)
        return made

    return tuple(turns(h.shape[-1] - 1, right, [r, z], cosines, sines, along))  # type: ignore[return-value]


def row_of(x: Tensor, place: Tensor) -> Tensor:
    """One of the first dimension."""
    return x.index_select(0, place.reshape(1)).squeeze(0)


def schur(a: Tensor) -> tuple[Tensor, Tensor]:
    """T, an upper triangle, and Z with A = Z T Z^H, for matrices of complex numbers."""
    n = a.shape[-1]
    h, z = _hessenberg(a)
    if isinstance(n, int) and n < 2:
        return h, z
    along = places(a, -1)

    def again(count: Tensor, h: Tensor, z: Tensor, along: Tensor) -> Tensor:
        return (_below(h) != 0).any() & (count < 40 * h.shape[-1])

    def body(count: Tensor, h: Tensor, z: Tensor, along: Tensor) -> list[Tensor]:
        joined = _below(h) != 0
        high = torch.where(joined, along, 0).amax(-1)
        low = torch.where(~joined & (along <= high.unsqueeze(-1)), along, 0).amax(-1)
        # A shift that does not lead on is replaced by another one now and then.
        stuck = torch.remainder(count, 11) == 10
        shift = torch.where(stuck, _below(h).abs().sum(-1), _shift(h, high))
        shift = torch.where(high > 0, shift, 0)[..., None, None] * unit(h.shape[-1], h)
        h, z = _swept(h - shift, z, low, high)
        return [count + 1, _cleared(torch.where(along[:, None] <= along + 1, h + shift, 0)), z]

    _, t, z = while_true(again, body, [torch.zeros((), dtype=torch.int64), _cleared(h), z], along)
    return triangle(t, True), z


def _vectors(t: Tensor) -> Tensor:
    """Eigenvectors of upper triangles, one row after the other from the last."""
    along = places(t, -1)
    values = diagonal_of(t)
    least = (EPSILON * t.abs().amax((-2, -1)) + 1e-150).unsqueeze(-1)

    def step(turn: Tensor, x: Tensor, t: Tensor, values: Tensor, least: Tensor, along: Tensor) -> list[Tensor]:
        place = t.shape[-1] - 1 - turn
        across = row(t, place)
        gap = column(values, place).unsqueeze(-1) - values
        gap = torch.where(gap.abs() < least, least.to(gap.dtype), gap)
        known = (torch.where(along > place, across, 0).unsqueeze(-2) @ x).squeeze(-2)
        found = torch.where(along == place, 1, torch.where(along > place, -known / gap, 0))
        return [torch.where((along == place).unsqueeze(-1), found.unsqueeze(-2), x)]

    return turns(t.shape[-1], step, [torch.zeros_like(t)], t, values, least, along)[0]


def upright(vectors: Tensor) -> Tensor:
    """Columns of length 1, whose largest element is real and above zero."""
    vectors = vectors / torch.sqrt(size_of(vectors).sum(-2, keepdim=True))
    largest = torch.gather(vectors, -2, vectors.abs().argmax(-2, keepdim=True))
    return vectors * (largest.conj() / largest.abs())


@rule("linalg_eig")
def eig(x: Tensor) -> Any:
    wide = x.to(torch.complex128)
    narrow = x.dtype if x.dtype.is_complex else (torch.complex128 if x.dtype is torch.float64 else torch.complex64)
    if isinstance(x.shape[-1], int) and x.shape[-1] == 0:
        return x.new_zeros(x.shape[:-1], dtype=narrow), x.new_zeros(x.shape, dtype=narrow)
    t, z = schur(wide)
    return diagonal_of(t).to(narrow), upright(z @ _vectors(t)).to(narrow)


@rule("linalg_eigvals", "_linalg_eigvals")
def eigvals(x: Tensor) -> Tensor:
    return eig(x)[0]
