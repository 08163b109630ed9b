"""Sums of decision trees, whatever operators and libraries they were written with.

The trees are read from the tables of the tensor program; what is done with their leaves (means, tables, base values) is a linear
map, which is found by probing; then follows the head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from onward import program as P
from onward.converters.targets.recognition.columns import ColumnMap, column_maps
from onward.converters.targets.recognition.heads import Head, head_of
from onward.converters.targets.recognition.rows import RowModel, Unrecognized
from onward.ir import Node, Value
from onward.program.array import RoutineOutput
from onward.program.trees import Trees

INVERSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda p: p,
    "logistic": lambda p: np.log(p / (1 - p)),
    "logistic of two": lambda p: np.log(p[:, 1:] / p[:, :1]),
    "softmax": lambda p: np.log(p) - np.log(p).mean(axis=1, keepdims=True),
    "exponential": np.log,
}
"""By link, the scores that were there before it (of softmax those whose mean is 0)."""


@dataclass
class DecisionTree:
    """One tree; nodes are numbered with the root first. At an inner node a row goes to `left` where its element of `column` is at
    most `limit`, or is in `categories[node]`; where it is NaN, as `missing_left` says. `left` of a leaf is -1, and it has `values`
    (nodes, width)."""

    column: np.ndarray
    limit: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    values: np.ndarray
    categories: dict[int, list[int]] = field(default_factory=dict)


@dataclass
class Forest:
    """Trees whose leaves add up to scores (rows, scores): `base` plus the leaf of each tree times its `weights` (width, scores).

    `columns` is the number of columns that rows have; `single` says that rows are rounded to float32 before they are compared.
    """

    trees: list[DecisionTree]
    weights: list[np.ndarray]
    base: np.ndarray
    head: Head
    columns: int
    single: bool

    def added(self, number: int) -> np.ndarray:
        """(nodes, scores): what the leaves of a tree add to the scores."""
        return self.trees[number].values @ self.weights[number].astype(self.trees[number].values.dtype)  # type: ignore[no-any-return]

    def categorical(self) -> set[int]:
        """The columns that hold categories."""
        return {int(tree.column[node]) for tree in self.trees for node in tree.categories}

    def limits(self) -> list[np.ndarray]:
        """For each column the numbers that rows are compared with; categories count."""
        found: list[list[float]] = [[] for _ in range(self.columns)]
        for tree in self.trees:
            for node in np.flatnonzero(tree.left >= 0).tolist():
                found[tree.column[node]] += tree.categories.get(node, [float(tree.limit[node])])
        return [np.unique(np.array(numbers, np.float64)) for numbers in found]


def forest_of(rows: RowModel, start: P.Array | None = None) -> Forest:
    """The trees of a model that is a sum of trees. `start` is what takes the place of the rows: what an earlier step gives.

    Raises Unrecognized for another model.
    """
    routines = _tree_routines(list(rows.program.outputs.values()))
    if len(routines) != 1:
        raise Unrecognized("it has no trees" if not routines else f"its trees are {len(routines)} ensembles, which are put together after their sums")
    (sums,) = routines
    trees: Trees = sums.routine.attributes["trees"]
    if trees.combine != "sum":
        raise Unrecognized(f"its leaves are combined by their {trees.combine}imum")
    columns, maps, single = column_maps(rows, sums.routine.inputs[0], start, np.unique(trees.feature).tolist())
    cut, tables = _cut(rows, sums)
    shape = tuple(int(extent) for extent in cut.shape[1:])  # type: ignore[arg-type]

    def after(scores: np.ndarray) -> Sequence[np.ndarray]:
        return rows.after(cut, scores.reshape(len(scores), *shape))

    matrix, base, head = _scores(after, math.prod(shape), rows)
    found, weights = [], []
    for number, root in enumerate(trees.roots.tolist()):
        if tables is not None:
            width = math.prod(shape[1:])
            block, values = slice(number * width, (number + 1) * width), tables(number, trees)
        else:
            target = None if trees.targets is None else int(trees.targets[number])
            block, values = (slice(None) if target is None else slice(target, target + 1)), trees.values
        found.append(_tree(trees, root, maps, values))
        weights.append(matrix[block])
    return Forest(found, weights, base, head, columns, single)


def has_trees(rows: RowModel) -> bool:
    """Whether a model walks through trees at all."""
    return bool(_tree_routines(list(rows.program.outputs.values())))


def _tree_routines(arrays: Sequence[P.Array]) -> list[RoutineOutput]:
    seen: set[P.Array] = set()
    found = []
    pending = list(arrays)
    while pending:
        array = pending.pop()
        if array in seen:
            continue
        seen.add(array)
        if isinstance(array, RoutineOutput) and array.routine.name == "tree_ensemble":
            found.append(array)
        pending.extend(array.sources)
    return found


def _cut(rows: RowModel, sums: RoutineOutput) -> tuple[P.Array, Callable[[int, Trees], np.ndarray] | None]:
    """Where the scores begin: the sums of the trees, or what tables say of the numbers of leaves, and then these tables."""
    for node in rows.model.graph.nodes:
        if node.op_type == "TreeEnsemble" and rows.program.values.get(node.outputs[0]) is sums:
            found = _looked_up(node.outputs[0])
            if found is not None:
                value, table, starts = found

                def values(number: int, trees: Trees) -> np.ndarray:
                    numbers = trees.values[:, 0].astype(np.int64) + (int(starts[number]) if starts.size > 1 else int(starts.sum()))
                    return table.reshape(len(table), -1)[np.clip(numbers, 0, len(table) - 1)]  # type: ignore[no-any-return]

                return rows.array_of(value), values
    return sums, None


def _looked_up(numbers: Value) -> tuple[Value, np.ndarray, np.ndarray] | None:
    """The Gather that looks up numbers of leaves, its table, and where each tree's part of the table begins."""
    node, starts = _only_user(numbers), np.zeros(1, np.int64)
    if node is not None and node.op_type == "Cast":
        node = _only_user(node.outputs[0])
    if node is not None and node.op_type == "Add":
        addend = node.inputs[1] if node.inputs[1] is not None else numbers
        if addend.tensor is None:
            return None
        starts, node = addend.tensor.numpy().reshape(-1), _only_user(node.outputs[0])
    if node is None or node.op_type != "Gather" or node.attribute("axis", 0) != 0:
        return None
    table = node.inputs[0]
    return None if table is None or table.tensor is None else (node.outputs[0], table.tensor.numpy(), starts)


def _only_user(value: Value) -> Node | None:
    users = {node for node, _ in value.uses}
    return users.pop() if len(users) == 1 else None


def _scores(after: Callable[[np.ndarray], Sequence[np.ndarray]], width: int, rows: RowModel) -> tuple[np.ndarray, np.ndarray, Head]:
    """The linear map from sums to scores, (width, scores) and (scores,), and the head after it.

    First nothing but the head is tried, then base values of the node; else what the outputs of unit vectors tell.
    """
    reasons = []
    for base in (np.zeros(width), *_base_values(rows, width)):
        try:
            head = head_of(lambda z, base=base: after(z - base), width)  # type: ignore[misc]
            return np.eye(width), base, head
        except Unrecognized as problem:
            reasons.append(str(problem))
    result = after(np.concatenate([np.zeros((1, width)), np.eye(width)]))
    numbers = [np.asarray(item, np.float64).reshape(width + 1, -1) for item in result if item.dtype.kind == "f"]
    for link, inverse in INVERSES.items() if len(numbers) == 1 else ():
        if link == "logistic of two" and numbers[0].shape[1] != 2:
            continue
        with np.errstate(all="ignore"):
            scores = inverse(numbers[0])
        if not np.isfinite(scores).all():
            continue
        base, matrix = scores[0], scores[1:] - scores[0]
        if link == "softmax":  # a number added to all scores of a row changes nothing: then a tree for one class adds to one score
            matrix = matrix - matrix.min(axis=1, keepdims=True)
        near = np.round(matrix)
        matrix = np.where(np.abs(matrix - near) < 1e-9, near, matrix)
        back = np.linalg.pinv(matrix - matrix.mean(axis=1, keepdims=True) if link == "softmax" else matrix)
        try:
            head = head_of(lambda z, base=base, back=back: after((z - base) @ back), scores.shape[1])  # type: ignore[misc]
        except Unrecognized:
            continue
        if head.link == link:
            return matrix, base, head
    raise Unrecognized(f"what follows its trees is no linear map and one of the known links ({reasons[0]})")


def _base_values(rows: RowModel, width: int) -> list[np.ndarray]:
    found = []
    for node in rows.model.graph.nodes:
        if node.op_type in ("TreeEnsembleRegressor", "TreeEnsembleClassifier"):
            tensor = node.attribute("base_values_as_tensor", None)
            values = np.asarray(node.attribute("base_values", None) or [] if tensor is None else tensor.numpy(), np.float64).reshape(-1)
            if values.size in (1, width):
                found.append(np.broadcast_to(values, (width,)))
    return found


def _tree(trees: Trees, root: int, maps: dict[int, ColumnMap], values: np.ndarray) -> DecisionTree:
    """A tree of tables with tests of the form x <= limit. A test of another form becomes several, with copies of what is below."""
    column: list[int] = []
    limit: list[float] = []
    left: list[int] = []
    right: list[int] = []
    missing: list[bool] = []
    source: list[int] = []
    categories: dict[int, list[int]] = {}

    def new() -> int:
        for items, nothing in ((column, 0), (left, -1), (right, -1), (source, 0)):
            items.append(nothing)
        limit.append(0.0)
        missing.append(False)
        return len(column) - 1

    pending = [(root, new())]
    while pending:
        node, place = pending.pop()
        while trees.yes[node] == trees.no[node] != node:
            node = int(trees.yes[node])
        if trees.yes[node] == node:
            source[place] = node
            continue
        where = maps[int(trees.feature[node])]
        members = _members(trees, node) if where.whole else None
        if members is not None:
            inside, last = members
            ways, taken = [int(trees.yes[node]), int(trees.no[last])], bool(trees.missing[node])
            if where.known is not None:
                inside = [number for number, code in where.known.items() if (code in inside) != taken]
                if taken:  # so do unknown categories: the others are listed, and go the other way
                    ways, taken = ways[::-1], False
            left[place], right[place] = new(), new()
            column[place], categories[place], missing[place] = where.column, inside, taken
            pending += [(ways[0], left[place]), (ways[1], right[place])]
            continue
        missing_side = bool(trees.missing[node])
        cuts, holds = where.regions(trees.low[node], trees.high[node], missing_side)
        region = holds.index(missing_side)  # where missing values go
        for number, cut in enumerate(cuts):
            column[place], limit[place], missing[place] = where.column, cut, number == region
            left[place], right[place] = new(), new()
            pending.append((int(trees.yes[node] if holds[number] else trees.no[node]), left[place]))
            place = right[place]
        pending.append((int(trees.yes[node] if holds[-1] else trees.no[node]), place))
    return DecisionTree(np.array(column), np.array(limit, np.float64), np.array(left), np.array(right), np.array(missing), values[source], categories)


def _members(trees: Trees, node: int) -> tuple[list[int], int] | None:
    """The whole numbers that a chain of tests for equality asks for, and its last node; None for another test."""
    found: list[int] = []
    last = node
    feature, yes, missing = trees.feature[node], trees.yes[node], trees.missing[node]
    while trees.low[node] == trees.high[node] and trees.high[node] >= 0 and float(trees.high[node]).is_integer():
        if (trees.feature[node], trees.yes[node], trees.missing[node]) != (feature, yes, missing):
            break
        found.append(int(trees.high[node]))
        last, node = node, int(trees.no[node])
        if trees.yes[node] == node:
            break
    return (sorted(found), last) if found else None
