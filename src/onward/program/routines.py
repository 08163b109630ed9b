"""The meaning of each routine in NumPy. The compiler has a native form of each under the same name.

An evaluator takes the routine's attributes and inputs and returns its outputs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from onward.errors import IndexOutOfBounds

Evaluator = Callable[..., tuple[np.ndarray, ...]]

EVALUATORS: dict[str, Evaluator] = {}
"""name -> function(attributes, *inputs) -> outputs"""


def evaluator(name: str) -> Callable[[Evaluator], Evaluator]:
    """Registers the NumPy form of a routine."""

    def register(function: Evaluator) -> Evaluator:
        EVALUATORS[name] = function
        return function

    return register


@evaluator("read_sizes")
def read_sizes(attributes: Mapping[str, Any], vector: np.ndarray) -> tuple[np.ndarray, ...]:
    """The vector itself; the evaluator binds its elements to the routine's symbols."""
    return (vector,)


@evaluator("cumulative")
def cumulative(attributes: Mapping[str, Any], source: np.ndarray) -> tuple[np.ndarray, ...]:
    """Running sum or product along `axis`, optionally `exclusive` and `reverse`."""
    axis, exclusive, reverse = attributes["axis"], attributes["exclusive"], attributes["reverse"]
    function = np.cumsum if attributes["operation"] == "sum" else np.cumprod
    data = np.flip(source, axis) if reverse else source
    result = function(data, axis, dtype=source.dtype)
    if exclusive:
        result = np.roll(result, 1, axis)
        first = [slice(None)] * source.ndim
        first[axis] = slice(0, 1)
        result[tuple(first)] = 0 if attributes["operation"] == "sum" else 1
    return (np.flip(result, axis) if reverse else result,)


@evaluator("top_k")
def top_k(attributes: Mapping[str, Any], source: np.ndarray) -> tuple[np.ndarray, ...]:
    """The `count` largest (or least) elements along the last axis, in order, and their int64 positions.

    Equal elements keep their order; NaN counts as the largest. `count` may be an int or the whole axis.
    """
    largest, count = attributes["largest"], attributes["count"]
    size = source.shape[-1] if count is None else int(count)
    if largest:
        flipped = np.argsort(np.flip(source, -1), -1, kind="stable")
        order = source.shape[-1] - 1 - np.flip(flipped, -1)
    else:
        order = np.argsort(source, -1, kind="stable")
    order = order[..., :size].astype(np.int64)
    return np.take_along_axis(source, order, -1), order


@evaluator("scatter")
def scatter(attributes: Mapping[str, Any], data: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> tuple[np.ndarray, ...]:
    """`data` with `updates[i]` combined into row `indices[i]` of its flattened leading axes.

    data (R, ...), indices (n,) int64 row numbers, updates (n, ...); `reduction` is none, add, mul, max or min, applied
    in the order of the updates.
    """
    result = data.copy() if data.dtype.kind not in "US" else data.astype(object)
    if indices.size and (indices.min() < 0 or indices.max() >= data.shape[0]):
        raise IndexOutOfBounds(f"scatter index {int(indices.min())}..{int(indices.max())} is outside [0, {data.shape[0] - 1}]")
    reduction = attributes["reduction"]
    if reduction == "none":
        result[indices] = updates
        return (result,)
    function = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction]
    if result.dtype == object:  # text has an order
        function = np.frompyfunc({"max": max, "min": min}.get(reduction, operator.add), 2, 1)
    for row, update in zip(indices, updates):
        result[row] = function(result[row], update)
    return (result,)


@evaluator("non_zero")
def non_zero(attributes: Mapping[str, Any], source: np.ndarray) -> tuple[np.ndarray, ...]:
    """int64 positions of the elements that are not zero, (rank, count), in row-major order."""
    return (np.array(np.nonzero(source), np.int64).reshape(max(source.ndim, 0), -1),)


@evaluator("non_max_suppression")
def non_max_suppression(
    attributes: Mapping[str, Any],
    boxes: np.ndarray,
    scores: np.ndarray,
    most: np.ndarray,
    overlap: np.ndarray,
    least_score: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """int64 rows (batch, class, box) of the boxes that are kept, best first in each class, (count, 3).

    boxes (B, N, 4) as (least y, least x, greatest y, greatest x), scores (B, C, N); `most` boxes a class are kept whose
    score is above `least_score` and whose intersection over union with each better one is at most `overlap`; these
    three have one element.
    """
    rows: list[tuple[int, int, int]] = []
    for batch, kind in np.ndindex(*scores.shape[:2]):
        order = np.argsort(-scores[batch, kind], kind="stable")
        order = order[scores[batch, kind][order] > least_score[0]]
        kept: list[int] = []
        for box in order:
            if len(kept) >= most[0]:
                break
            if not kept or _intersection_over_union(boxes[batch, box], boxes[batch, kept]).max() <= overlap[0]:
                kept.append(int(box))
        rows.extend((batch, kind, box) for box in kept)
    return (np.array(rows, np.int64).reshape(-1, 3),)


def _intersection_over_union(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.prod(np.maximum(sides, 0), -1)
    total = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], -1) - common
    return np.where((common > 0) & (total > 0), common / np.where(total > 0, total, 1), 0)


@evaluator("recurrence")
def recurrence(attributes: Mapping[str, Any], *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    """The steps of a `recurrence.Body` one after another. Inputs: states, sequences, captured arrays.

    The number of steps is that of the sequences, or the attribute `length` in terms of `sizes`.
    """
    from onward.program.evaluate import evaluate_body

    body, backwards, sizes = attributes["body"], attributes["backwards"], attributes["sizes"]
    count = len(body.states)
    states, sequences = list(inputs[:count]), inputs[count : count + len(body.slices)]
    captured = dict(zip(body.captured, inputs[count + len(body.slices) :]))
    length = len(sequences[0]) if len(sequences) else sizes(attributes["length"])

    def step(number: int, slices: Sequence[np.ndarray]) -> list[np.ndarray]:
        feeds = dict(zip((*body.states, *body.slices), (*states, *slices)))
        return evaluate_body([*body.following, *body.collected], feeds, captured, {str(body.time): number})

    rows: list[list[np.ndarray]] = []
    for number in reversed(range(length)) if backwards else range(length):
        if body.condition is not None and not states[body.states.index(body.condition)].item():
            break
        results = step(number, [sequence[number] for sequence in sequences])
        states = results[:count]
        rows.append(results[count:])
    if not body.collected:
        return tuple(states)
    if not rows:
        shapes = [tuple(map(sizes, item.shape)) for item in body.collected]
        stacked = [np.empty((0, *shape), item.dtype.numpy) for shape, item in zip(shapes, body.collected)]
    else:
        stacked = [np.stack(items[::-1] if backwards else items) for items in zip(*rows)]
        stacked = [np.concatenate([item, np.zeros((length - len(rows), *item.shape[1:]), item.dtype)]) for item in stacked]
    return (*states, *stacked)


@evaluator("host")
def host(attributes: Mapping[str, Any], *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    """What no machine code is written for (text, pictures): the Python function `function` of the inputs."""
    return tuple(attributes["function"](*inputs))


@evaluator("bit_cast")
def bit_cast(attributes: Mapping[str, Any], source: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same bits as elements of another data type of the same width. Elements of fewer than 8 bits take a byte."""
    kind, bits = attributes["dtype"], attributes["dtype"].bits
    if bits >= 8:
        return (np.ascontiguousarray(source).view(kind.numpy).reshape(source.shape),)
    codes = np.ascontiguousarray(source).view(np.uint8) & ((1 << bits) - 1)
    if kind.name.startswith("INT"):
        codes = codes.astype(np.int8) - ((codes >> (bits - 1)) << bits).astype(np.int8)
        return (codes.astype(kind.numpy).reshape(source.shape),)
    return (codes.view(kind.numpy).reshape(source.shape),)


COUPLING_ROUNDS = 100
"""The most rounds of the iteration of `pairwise_coupling`."""


def coupling_tolerance(classes: int) -> float:
    """The error at which the iteration of `pairwise_coupling` ends."""
    return 0.005 / classes


@evaluator("pairwise_coupling")
def pairwise_coupling(attributes: Mapping[str, Any], pairs: np.ndarray) -> tuple[np.ndarray, ...]:
    """Probabilities (N, classes) from pairs (N, classes, classes): the chance of i against j.

    Source: Wu, Lin and Weng 2004, "Probability estimates for multi-class classification by pairwise coupling", algorithm 2.
    """
    classes = pairs.shape[1]
    result = np.full(pairs.shape[:2], 1 / classes, pairs.dtype)
    for chance, chances in zip(result, pairs):
        matrix = -chances.T * chances
        np.fill_diagonal(matrix, [sum(chances[j, t] ** 2 for j in range(classes) if j != t) for t in range(classes)])
        for _ in range(COUPLING_ROUNDS):
            product = matrix @ chance
            total = chance @ product
            if np.abs(product - total).max() < coupling_tolerance(classes):
                break
            for t in range(classes):
                step = (total - product[t]) / matrix[t, t]
                chance[t] += step
                total = (total + step * (step * matrix[t, t] + 2 * product[t])) / (1 + step) ** 2
                product = (product + step * matrix[t]) / (1 + step)
                chance /= 1 + step
    return (result,)
