"""Imports and functions that a generated PyTorch module contains, word for word, where its program needs them."""
# mypy: disable-error-code="no-untyped-def"

import itertools
import math  # noqa: F401
from pathlib import Path  # noqa: F401

import torch
import torch.nn.functional as F  # noqa: F401
from safetensors.torch import load_file  # noqa: F401
from torch import nn  # noqa: F401


def integer_divide(left, right):
    """Division of whole numbers, towards zero; 0 where the divisor is 0."""
    return torch.where(right == 0, 0, torch.div(left, torch.where(right == 0, 1, right), rounding_mode="trunc"))


def integer_remainder(left, right):
    """The remainder with the sign of the divisor; 0 where that is 0."""
    return torch.where(right == 0, 0, torch.remainder(left, torch.where(right == 0, 1, right)))


def truncated_remainder(left, right):
    """The remainder of whole numbers with the sign of the dividend; 0 where the divisor is 0."""
    return torch.where(right == 0, 0, torch.fmod(left, torch.where(right == 0, 1, right)))


def integer_power(base, exponent):
    """A power of whole numbers; 0 for negative exponents."""
    return torch.where(exponent < 0, 0, torch.pow(base, exponent.clamp(min=0)))


def shift_left(value, amount, bits):
    """By the whole width or more: 0."""
    return torch.where((amount < 0) | (amount >= bits), 0, value << amount.clamp(0, bits - 1))


def shift_right(value, amount, bits):
    """By the whole width or more: 0, or -1 for negative numbers."""
    return value >> torch.where((amount < 0) | (amount >= bits), bits - 1, amount)


def shift_right_unsigned(value, amount, bits):
    """By the whole width or more: 0."""
    return torch.where((amount < 0) | (amount >= bits), 0, value >> amount.clamp(0, bits - 1))


def saturated(value, dtype):
    """Conversion to a small float; what is too large becomes the largest."""
    limit = torch.finfo(dtype).max
    return value.to(torch.float32).clamp(-limit, limit).to(dtype)


def unsaturated(value, dtype):
    """Conversion to a small float; what is too large becomes infinite, or no number in types without infinity."""
    wide = value.to(torch.float32)
    if dtype is torch.float8_e4m3fn:  # PyTorch saturates there; 464 is half a step above the largest
        wide = torch.where(wide.abs() > 464, torch.nan, wide)
    return wide.to(dtype)


def minimum(left, right):
    """The lesser of two indices, of which one is a tensor."""
    return left.clamp(max=right) if isinstance(left, torch.Tensor) else right.clamp(max=left)


def maximum(left, right):
    """The greater of two indices, of which one is a tensor."""
    return left.clamp(min=right) if isinstance(left, torch.Tensor) else right.clamp(min=left)


def windows(value, lengths, axes):
    """All windows of the given lengths along axes: their places stay on these axes, what is in them comes last."""
    for length, axis in zip(lengths, axes):
        value = value.unfold(axis, length, 1)
    return value


def extreme(function, value, axes, empty):
    """The greatest or least elements along axes; `empty` where there are none."""
    if all(value.shape[axis] for axis in axes):
        return function(value, axes)
    shape = [extent for axis, extent in enumerate(value.shape) if axis not in axes]
    return value.new_full(shape, empty)


def product_along(value, axes):
    """The product of the elements along axes."""
    for axis in sorted(axes, reverse=True):
        value = torch.prod(value, axis, dtype=value.dtype)
    return value


def cumulative(value, operation, axis, exclusive, reverse):
    """Running `sum` or `prod` along an axis, from the end if `reverse`, without the element itself if `exclusive`."""
    function = torch.cumsum if operation == "sum" else torch.cumprod
    data = value.flip(axis) if reverse else value
    result = function(data, axis, dtype=value.dtype)
    if exclusive:
        start = torch.full_like(result.narrow(axis, 0, 1), 0 if operation == "sum" else 1)
        result = torch.cat([start, result.narrow(axis, 0, result.shape[axis] - 1)], axis)
    return result.flip(axis) if reverse else result


def top_k(value, count, largest):
    """The `count` first elements of the last axis in order, and their places; equal elements keep their order."""
    values, order = torch.sort(value, dim=-1, descending=largest, stable=True)
    return values[..., :count], order[..., :count]


def scatter(data, rows, updates, reduction):
    """`data` with each update in its row, or combined with it by `reduction`, in order."""
    if reduction == "none":
        return data.index_copy(0, rows, updates)
    if reduction == "add":
        return data.index_add(0, rows, updates)
    kinds = {"mul": "prod", "max": "amax", "min": "amin"}
    return data.index_reduce(0, rows, updates, kinds[reduction])


def bit_cast(value, dtype):
    """The same bits as elements of another type of the same width."""
    return value.contiguous().view(dtype)


def non_max_suppression(boxes, scores, most, overlap, least_score):
    """Rows (batch, class, box) of the boxes (least y, least x, greatest y, greatest x) that are kept, best first."""
    rows = []
    for batch, kind in itertools.product(*map(range, scores.shape[:2])):
        kept: list[int] = []
        for box in torch.argsort(scores[batch, kind], descending=True, stable=True).tolist():
            if len(kept) >= int(most[0]) or not scores[batch, kind, box] > least_score[0]:
                break
            one, others = boxes[batch, box], boxes[batch, kept]
            sides = (torch.minimum(one[2:], others[:, 2:]) - torch.maximum(one[:2], others[:, :2])).clamp(min=0)
            common = sides.prod(-1)
            total = (one[2:] - one[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(-1) - common
            shares = torch.where((common > 0) & (total > 0), common / torch.where(total > 0, total, 1), 0)
            if not kept or shares.max() <= overlap[0]:
                kept.append(box)
        rows += [(batch, kind, box) for box in kept]
    return torch.tensor(rows, dtype=torch.int64, device=boxes.device).reshape(-1, 3)


def tree_ensemble(x, feature, low, high, yes, no, missing, roots, values, targets, depth, start, combine):
    """Sums (or combines by `min` or `max`) the leaves that each row comes to: at a node it goes to `yes` where the feature lies in [low, high]."""
    place = roots.long().expand(x.shape[0], len(roots))
    for _ in range(depth):
        element = torch.gather(x, 1, feature.long()[place])
        holds = (element >= low[place]) & (element <= high[place]) | torch.isnan(element) & missing[place].bool()
        place = torch.where(holds, yes.long()[place], no.long()[place])
    function = {"sum": torch.add, "min": torch.minimum, "max": torch.maximum}[combine]
    result = start.expand(x.shape[0], len(start))
    for number in range(len(roots)):
        leaves = values[place[:, number]]
        if targets is None:
            result = function(result, leaves)
        else:
            column = targets[number : number + 1].long()
            result = result.index_copy(1, column, function(result.index_select(1, column), leaves[:, :1]))
    return result


def recurrence(step, states, length, backwards, condition, kinds):
    """All steps: the last states, then what each step collects, stacked; a loop that ends early leaves zeros."""
    rows = []
    for place in reversed(range(length)) if backwards else range(length):
        if condition is not None and not states[condition]:
            break
        states, row = step(place, *states)
        rows.append(row)
    if backwards:
        rows.reverse()
    missing = [[torch.zeros(shape, dtype=dtype) for shape, dtype in kinds]] * (length - len(rows))
    collected = [torch.stack(items) for items in zip(*rows, *missing)] if length else [torch.zeros((0, *shape), dtype=dtype) for shape, dtype in kinds]
    return *states, *collected
