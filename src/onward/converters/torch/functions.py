"""Functions that PyTorch does not capture, said in operators that it does capture.

They look at numbers while they run, or have no form without data. While a module is captured these stand in their places; what they are
compared with is PyTorch's own.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor
from torch._higher_order_ops.scan import scan
from torch.nn import functional as F  # noqa: N812
from torch.nn.modules import _functions as autograd_functions

_functions: list[tuple[Any, str, Callable[..., Any]]] = []


def _in_place_of(*owners: Any, name: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a function that stands in the place of the one of its name in modules or classes."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _functions.extend((owner, name or function.__name__, function) for owner in owners)
        return function

    return register


@contextmanager
def capturable() -> Iterator[None]:
    """PyTorch's functions are those of this module."""
    own = [(owner, name, vars(owner).get(name)) for owner, name, _ in _functions]
    for owner, name, function in _functions:
        setattr(owner, name, function)
    try:
        yield
    finally:
        for owner, name, function in own:
            if function is None:  # inherited
                delattr(owner, name)
            else:
                setattr(owner, name, function)


@_in_place_of(torch, torch.Tensor)
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:  # noqa: A002
    """A tensor of one truth value where PyTorch has a bool of Python."""
    return torch.isclose(input, other, rtol, atol, equal_nan).all()


@_in_place_of(torch, torch.Tensor)
def equal(input: Tensor, other: Tensor) -> Tensor:  # noqa: A002
    """A tensor of one truth value where PyTorch has a bool of Python."""
    if input.dim() != other.dim() or any(bool(left != right) for left, right in zip(input.shape, other.shape)):
        return torch.tensor(False)
    return (input == other).all()


@_in_place_of(torch, torch.Tensor)
def narrow(input: Tensor, dim: int, start: Any, length: Any) -> Tensor:  # noqa: A002
    """The start may be a tensor."""
    if not isinstance(start, Tensor):
        return torch.ops.aten.narrow.default(input, dim, start, length)
    start = torch.where(start < 0, start + input.shape[dim], start)
    return input.index_select(dim, start + torch.arange(length))


_linspace, _affine_grid = torch.linspace, torch.affine_grid_generator


@_in_place_of(torch)
def linspace(start: Any, end: Any, steps: Any, *, dtype: torch.dtype | None = None, **options: Any) -> Tensor:
    """The number of steps may be an open size, which PyTorch's own fixes; counted from the nearer end, as PyTorch does."""
    dtype = dtype or torch.get_default_dtype()
    if not isinstance(steps, torch.SymInt) or not dtype.is_floating_point:
        return _linspace(start, end, steps, dtype=dtype, **options)
    places = torch.arange(steps, device=options.get("device"))
    step = (end - start) / torch.sym_max(steps - 1, 1)
    return torch.where(places < (steps + 1) // 2, start + step * places, end - step * (steps - 1 - places)).to(dtype)


@_in_place_of(torch)
def affine_grid_generator(theta: Tensor, size: Sequence[Any], align_corners: bool) -> Tensor:
    """(rows, *spatial, axes): the sizes may be open, which PyTorch's own fixes."""
    if not any(isinstance(extent, torch.SymInt) for extent in size):
        return _affine_grid(theta, size, align_corners)
    steps = [torch.sym_max(extent - 1, 1) if align_corners else extent for extent in size[2:]]
    axes = [((2 * torch.arange(extent) + 1 - extent) / step).to(theta.dtype) for extent, step in zip(size[2:], steps)]
    grid = torch.meshgrid(*axes, indexing="ij")
    places = torch.stack([*reversed(grid), torch.ones_like(grid[0])], -1)
    return (places.reshape(1, -1, places.shape[-1]) @ theta.transpose(1, 2)).reshape(size[0], *size[2:], len(axes))


@_in_place_of(torch)
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:  # noqa: A002
    """(combinations, r): fixes the number of elements."""
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = list(choose(range(int(input.shape[0])), r))
    return input[torch.tensor(places, dtype=torch.int64).reshape(-1, r)] if r else input.new_empty(0)


@_in_place_of(torch, torch.Tensor)
def cov(input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None) -> Tensor:  # noqa: A002
    """The covariances of rows, whose columns may be weighted."""
    x = input.reshape(1, -1) if input.dim() < 2 else input
    given = [item for item in (fweights, aweights) if item is not None]
    weights = given[0] if given else torch.ones((), dtype=torch.int64).expand(x.shape[1])
    for item in given[1:]:
        weights = weights * item
    total = weights.sum()
    x = x - ((x * weights).sum(1) / total).unsqueeze(1)
    lost = correction if aweights is None else correction * (weights * aweights).sum() / total
    found = (x @ (x * weights).t().conj()) / (total - lost).clamp(min=0)
    return found.reshape(()) if x.shape[0] == 1 else found


@_in_place_of(torch, torch.Tensor)
def corrcoef(input: Tensor) -> Tensor:  # noqa: A002
    """The correlations of rows."""
    found = cov(input)
    if not found.dim():
        return found / found
    deviations = found.diagonal().real.sqrt() if found.is_complex() else found.diagonal().sqrt()
    found = found / deviations[:, None] / deviations
    return torch.complex(found.real.clip(-1, 1), found.imag.clip(-1, 1)) if found.is_complex() else found.clip(-1, 1)


@_in_place_of(torch.linalg)
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:  # noqa: N803
    """The shortest of the solutions with the least squares; residuals are those of matrices of full rank."""
    rows, columns = A.shape[-2:]
    vector = A.dim() - B.dim() == 1
    right = B.unsqueeze(-1) if vector else B
    rcond = float(torch.finfo(A.dtype).eps) * max(rows, columns) if rcond is None else rcond
    values = torch.linalg.svdvals(A)
    solution = torch.linalg.pinv(A, rtol=rcond) @ right
    rank = (values > rcond * values[..., :1]).sum(-1)
    errors = right - A @ solution
    nothing = values.new_zeros(0)
    residuals = (errors.abs() if errors.is_complex() else errors).square().sum(-2) if rows > columns and driver != "gelsy" else nothing
    solution = solution.squeeze(-1) if vector else solution
    driver = driver or "gelsy"
    found = (solution, residuals, rank if driver != "gels" else rank.new_zeros(0), values if driver in ("gelsd", "gelss") else nothing)
    return torch.return_types.linalg_lstsq(found)


@_in_place_of(torch)
def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: int = 1, zero_infinity: bool = False
) -> Tensor:
    """Connectionist temporal classification. Source: Graves et al. 2006, section 4.1, in logarithms.

    log_probs (steps, rows, classes); targets (rows, labels), or the labels of all rows one after the other. One row needs no dimension.
    """
    single = log_probs.dim() == 2
    if single:
        log_probs = log_probs.unsqueeze(1)
    rows = log_probs.shape[1]
    steps, counts = (torch.as_tensor(item, dtype=torch.int64).reshape(-1).expand(rows) for item in (input_lengths, target_lengths))
    labels = _labels(targets.to(torch.int64), counts, rows)
    losses = _losses(log_probs, labels, steps, counts, blank)
    if zero_infinity:
        losses = torch.where(losses == torch.inf, 0, losses)
    if reduction == 1:
        return (losses / counts.clamp(min=1).to(losses.dtype)).mean()
    return losses.sum() if reduction == 2 else losses[0] if single else losses


def _labels(targets: Tensor, counts: Tensor, rows: Any) -> Tensor:
    """(rows, labels): those of each row, then others that nobody asks for."""
    if targets.dim() == 2:
        return targets
    begins = torch.cumsum(counts, 0) - counts
    places = begins[:, None] + torch.arange(targets.shape[0])
    return targets[places.clamp(max=targets.shape[0] - 1)]


def _losses(log_probs: Tensor, labels: Tensor, steps: Tensor, counts: Tensor, blank: int) -> Tensor:
    """(rows,): minus the logarithm of the probability of all the ways in which labels and blanks may follow each other."""
    rows, width = labels.shape[0], 2 * labels.shape[1] + 1
    blanks = torch.full_like(labels, blank)
    path = torch.cat([torch.stack([blanks, labels], 2).flatten(1), torch.full((rows, 1), blank)], 1)
    # A label may follow the last one without a blank between them if it is another one.
    skips = torch.cat([torch.zeros(rows, 2, dtype=torch.bool), (path[:, 2:] != path[:, :-2]) & (path[:, 2:] != blank)], 1)
    before = torch.full((rows, width), -torch.inf, dtype=log_probs.dtype)
    state = torch.cat([torch.zeros(rows, 1, dtype=log_probs.dtype), before[:, 1:]], 1)

    def step(state: Tensor, new: Sequence[Tensor]) -> Any:
        probabilities, turn = new
        beside = torch.cat([before[:, :1], state[:, :-1]], 1)
        skipped = torch.where(skips, torch.cat([before[:, :1], beside[:, :-1]], 1), -torch.inf)
        ways = torch.stack([state, beside, skipped])
        largest = ways.amax(0)
        largest = torch.where(largest == -torch.inf, 0, largest)
        after = largest + (ways - largest).exp().sum(0).log() + probabilities.gather(1, path)
        state = torch.where((turn < steps)[:, None], after, state)
        return state, state[:, :1].clone()

    final, _ = scan(step, state, [log_probs, torch.arange(log_probs.shape[0])])
    last = final.gather(1, (2 * counts)[:, None])[:, 0]
    label = final.gather(1, (2 * counts - 1).clamp(min=0)[:, None])[:, 0]
    return -torch.logaddexp(last, torch.where(counts > 0, label, -torch.inf))


@_in_place_of(torch, F)
def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:  # noqa: A002
    """The one that is meant for inference."""
    return torch.channel_shuffle(input, groups)


def _linear_cross_entropy_batch_chunked(
    input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None, weight: Tensor | None, reduction: str,  # noqa: A002
    ignore_index: int, label_smoothing: float, *options: Any,
) -> tuple[Tensor]:  # fmt: skip
    """In one piece. The options are of memory, precision and gradients."""
    scores = F.linear(input, linear_weight, linear_bias)
    return (F.cross_entropy(scores, target, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing),)


def _linear_cross_entropy_batch_chunked_no_reduction(
    input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None, weight: Tensor | None, ignore_index: int, *options: Any  # noqa: A002
) -> Tensor:  # fmt: skip
    return _linear_cross_entropy_batch_chunked(input, linear_weight, target, linear_bias, weight, "none", ignore_index, 0.0)[0]


with suppress(ImportError):  # (a module of newer versions of PyTorch)
    _owner = importlib.import_module("torch.nn.modules.linear_cross_entropy")
    _in_place_of(_owner)(_linear_cross_entropy_batch_chunked)
    _in_place_of(_owner)(_linear_cross_entropy_batch_chunked_no_reduction)


@_in_place_of(autograd_functions.CrossMapLRN2d, name="apply")
def cross_map_normalization(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> Tensor:
    """Channels divided by what is near them. PyTorch keeps the first channel in all sums, where the window would have left it."""
    before = int((size - 1) / 2 + 1)
    places = torch.arange(x.shape[1])
    away = places - places[:, None]
    near = (away < before) & ((away > -before) | (places == 0))
    sums = torch.einsum("cj,bjhw->bchw", near.to(x.dtype), x * x)
    return x * (sums * (alpha / size) + k) ** -beta
