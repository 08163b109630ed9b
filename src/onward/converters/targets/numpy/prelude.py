"""Imports and functions that a generated NumPy module contains, word for word, where its program needs them."""
# mypy: disable-error-code="no-untyped-def,var-annotated"

import functools
import math
from pathlib import Path  # noqa: F401

import ml_dtypes
import numpy as np


def integer_divide(left, right):
    """Division of whole numbers, towards zero; 0 where the divisor is 0."""
    safe = np.where(right == 0, 1, right)
    quotient = left // safe
    rest = (quotient < 0) & (quotient * safe != left)
    return np.where(right == 0, 0, quotient + rest).astype(np.result_type(left, right))


def integer_remainder(left, right):
    """The remainder with the sign of the divisor; 0 where that is 0."""
    return np.where(right == 0, 0, np.mod(left, np.where(right == 0, 1, right)))


def truncated_remainder(left, right):
    """The remainder of whole numbers with the sign of the dividend; 0 where the divisor is 0."""
    return np.where(right == 0, 0, np.fmod(left, np.where(right == 0, 1, right)))


def integer_power(base, exponent):
    """A power of whole numbers; 0 for negative exponents."""
    return np.where(exponent < 0, 0, np.power(base, np.maximum(exponent, 0)))


def shift_left(value, amount):
    """By the whole width or more: 0."""
    kind = np.asarray(value).dtype
    amount, width = np.asarray(amount, kind), kind.type(kind.itemsize * 8)
    return np.where(amount >= width, kind.type(0), np.left_shift(value, np.minimum(amount, width - kind.type(1))))


def shift_right(value, amount):
    """By the whole width or more: 0, or -1 for negative numbers."""
    kind = np.asarray(value).dtype
    amount, width = np.asarray(amount, kind), kind.type(kind.itemsize * 8)
    shifted = np.right_shift(value, np.minimum(amount, width - kind.type(1)))
    return shifted if kind.kind == "i" else np.where(amount >= width, kind.type(0), shifted)


def erf(value):
    """The error function."""
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(np.asarray(value, np.float64))).astype(np.asarray(value).dtype)


def sigmoid(value):
    """1 / (1 + exp(-x)) that does not overflow."""
    small = np.exp(-np.abs(value))
    return np.where(value >= 0, 1 / (1 + small), small / (1 + small)).astype(value.dtype)


def saturated(value, dtype):
    """Conversion to a small float; what is too large becomes the largest."""
    limit = float(ml_dtypes.finfo(dtype).max)
    wide = value.astype(np.float32)
    return np.where(np.isnan(wide), wide, np.clip(wide, -limit, limit)).astype(dtype)


def bit_cast(value, dtype):
    """The same bits as elements of another type of the same width."""
    return np.ascontiguousarray(value).view(dtype).reshape(value.shape)


def cumulative(value, operation, axis, exclusive, reverse):
    """Running sum or product along an axis, from the end if `reverse`, without the element itself if `exclusive`."""
    data = np.flip(value, axis) if reverse else value
    result = (np.cumsum if operation == "sum" else np.cumprod)(data, axis, dtype=value.dtype)
    if exclusive:
        result = np.roll(result, 1, axis)
        result[(slice(None),) * axis + (slice(0, 1),)] = 0 if operation == "sum" else 1
    return np.flip(result, axis) if reverse else result


def top_k(value, count, largest):
    """The `count` first elements of the last axis in order, and their places; equal elements keep their order."""
    if largest:
        order = value.shape[-1] - 1 - np.flip(np.argsort(np.flip(value, -1), -1, kind="stable"), -1)
    else:
        order = np.argsort(value, -1, kind="stable")
    order = order[..., :count].astype(np.int64)
    return np.take_along_axis(value, order, -1), order


def scatter(data, rows, updates, reduction):
    """`data` with each update in its row, or combined with it by a reduction, in order."""
    result = np.array(data)
    if rows.size and (rows.min() < 0 or rows.max() >= len(result)):
        raise IndexError("an index lies outside its axis")
    if reduction == "none":
        result[rows] = updates
        return result
    function = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction]
    for row, update in zip(rows, updates):
        result[row] = function(result[row], update)
    return result


def non_zero(value):
    """The places of elements that are not 0, one column each."""
    return np.array(np.nonzero(value), np.int64)


def non_max_suppression(boxes, scores, most, overlap, least_score):
    """Rows (batch, class, box) of the boxes (least y, least x, greatest y, greatest x) that are kept, best first."""
    rows = []
    for batch, kind in np.ndindex(*scores.shape[:2]):
        kept = []
        for box in np.argsort(-scores[batch, kind], kind="stable"):
            if len(kept) >= most[0] or not scores[batch, kind, box] > least_score[0]:
                break
            one, others = boxes[batch, box], boxes[batch, kept]
            sides = np.maximum(np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2]), 0)
            common = np.prod(sides, -1)
            total = np.prod(one[2:] - one[:2]) + np.prod(others[:, 2:] - others[:, :2], -1) - common
            shares = np.where((common > 0) & (total > 0), common / np.where(total > 0, total, 1), 0)
            if not kept or shares.max() <= overlap[0]:
                kept.append(int(box))
        rows += [(batch, kind, box) for box in kept]
    return np.array(rows, np.int64).reshape(-1, 3)


def tree_ensemble(x, feature, low, high, yes, no, missing, roots, values, targets, depth, start, combination):
    """Sums (or combines by "min", "max") the leaves that each row comes to: at a node it goes to `yes` where the feature lies in [low, high]."""
    place = np.broadcast_to(roots, (len(x), len(roots)))
    for _ in range(depth):
        element = np.take_along_axis(x, feature[place].astype(np.int64), 1)
        holds = (element >= low[place]) & (element <= high[place]) | np.isnan(element) & missing[place]
        place = np.where(holds, yes[place], no[place])
    result = np.repeat(start[None], len(x), 0)
    function = {"sum": np.add, "min": np.minimum, "max": np.maximum}[combination]
    for number in range(len(roots)):
        columns = slice(None) if targets is None else slice(targets[number], targets[number] + 1)
        result[:, columns] = function(result[:, columns], values[place[:, number]])
    return result


def recurrence(step, states, length, backwards, condition, collected):
    """Takes steps: states -> states and rows, which are collected (the shape and type of one row is given); a state may be the condition to go on."""
    rows = [[] for _ in collected]
    for place in reversed(range(length)) if backwards else range(length):
        if condition is not None and not states[condition]:
            break
        states, new = step(place, *states)
        for items, item in zip(rows, new):
            items.append(item)
    return *states, *(stacked(items[::-1] if backwards else items, length, *kind) for items, kind in zip(rows, collected))


def stacked(rows, length, shape, dtype):
    """Rows on a new first axis; a loop that ended early leaves zeros."""
    return np.stack([*rows, *([np.zeros(shape, dtype)] * (length - len(rows)))]) if length else np.zeros((0, *shape), dtype)


@functools.cache
def numbers_of(kind):
    """The numbers that the codes of a small type of floats stand for."""
    return np.arange(1 << ml_dtypes.finfo(kind).bits, dtype=np.uint8).view(kind).astype(np.float32)


@functools.cache
def codes_of(kind, saturate):
    """The code of the nearest number of a small type, for the sign, exponent and four bits of a float each, and whether lower bits are set."""
    beginning = np.arange(1 << 14, dtype=np.uint32)
    value = (beginning >> 1 << 19 | beginning & 1).view(np.float32)
    limit = float(ml_dtypes.finfo(kind).max)
    value = np.where(np.isnan(value), value, np.clip(value, -limit, limit)) if saturate else value
    with np.errstate(all="ignore"):
        codes = value.astype(kind).view(np.uint8)
    codes[0] = 0  # a type without 0 has its least number there, which some frameworks take for 0
    return codes
