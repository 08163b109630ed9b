"""From roots to kernels: which roots share a loop nest, and in which order the kernels run.

A nest has *rows*, which are independent and run in parallel, and stages that run one after another for each row:
maps over the inner axes and reductions of them to one number per row. Softmax, LayerNorm and what surrounds them
become one nest whose rows stay in the first-level cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from onward.compiler.blocks import Blocks
from onward.compiler.layout import LayoutPlanner, Padding
from onward.compiler.rewrite import substitute
from onward.compiler.roots import Root, dependencies
from onward.compiler.updates import Update, update_of
from onward.ir.expressions import Dimension, Expression, Symbol, product
from onward.program.array import Array, Concatenate, Reshape, Routine, RoutineOutput
from onward.program.scalar import Read, Scalar

MOST_STAGES = 10
MOST_SIBLINGS = 16
"""Stages of a nest that do not read each other, whose values are all in registers before the first is stored."""
LONG_ROW = 16
"""A reduction over at least this many contiguous elements is vectorised along itself."""


@dataclass(eq=False)
class Stage:
    """A root inside a nest, in the nest's variables.

    `kind` is map (an element for each inner index), row (a reduction, vectorised along itself), scalar (one element a
    row, no reduction) or lane (a reduction, vectorised along an axis of the result; always alone in its nest).
    """

    root: Root
    kind: str
    variables: tuple[Dimension, ...]
    inner: tuple[Expression, ...]
    body: Scalar
    reduce_body: Scalar | None


@dataclass(eq=False)
class Nest:
    """A kernel of loops over `rows`, with stages over `inner`."""

    variables: list[Expression]
    extents: dict[str, Dimension]
    rows: list[Expression] | None
    stages: list[Stage] = field(default_factory=list)

    def copy(self) -> Nest:
        """Another, which may be changed: schedules rewrite the nest that they emit."""
        return Nest([*self.variables], {**self.extents}, self.rows and [*self.rows], [replace(stage) for stage in self.stages])

    @property
    def inner(self) -> list[Expression]:
        """The variables that are not rows."""
        rows = self.rows or []
        return [variable for variable in self.variables if variable not in rows]

    @property
    def are_siblings(self) -> bool:
        """Whether all stages are maps that do not read each other."""
        made = {stage.root.array for stage in self.stages}
        return all(stage.kind == "map" and made.isdisjoint(read.array for read in stage.root.reads()) for stage in self.stages)


@dataclass(eq=False)
class ContractionStep:
    """A kernel for one contraction with its epilogue."""

    root: Root


@dataclass(eq=False)
class BlockStep:
    """A kernel that does several steps for a block before the next: what `blocks` say."""

    blocks: Blocks


@dataclass(eq=False)
class RoutineStep:
    """A call of a routine's native code."""

    routine: Routine


@dataclass(eq=False)
class CopyStep:
    """Elements moved into another layout: a Reshape that is no view, or a part of a concatenation."""

    source: Array
    target: Array
    shape: tuple[Dimension, ...]
    shift: tuple[Dimension, ...]


@dataclass(eq=False)
class BorderStep:
    """The constant around a padded array, whose inside another step writes."""

    padding: Padding


@dataclass(eq=False)
class UpdateStep:
    """An output of the model that may be written in place of an input: all of it where it is not, else what is new."""

    update: Update
    nest: Nest

    @property
    def root(self) -> Root:
        """The array."""
        return self.update.root


Step = Nest | ContractionStep | BlockStep | RoutineStep | CopyStep | BorderStep | UpdateStep


class StepPlanner:
    """Builds the list of steps in execution order."""

    def __init__(self, order: Sequence[Array], roots: Sequence[Root], layouts: LayoutPlanner, blocks: Sequence[Blocks] = ()) -> None:
        self.layouts = layouts
        self.steps: list[Step] = []
        self.position: dict[Array, int] = {}
        self.nest_of: dict[Array, Nest] = {}
        by_array = {root.array: root for root in roots}
        in_blocks = {item.root.array: item for item in blocks}
        interior = {array for item in blocks for array in item.interior}
        for array in order:
            if array in interior:
                continue
            if array in in_blocks:
                self._append(BlockStep(in_blocks[array]), array)
            elif array in by_array:
                self._add_root(by_array[array])
            elif isinstance(array, Reshape):
                self._add_reshape(array)
            elif isinstance(array, Concatenate):
                self._add_concatenate(array)
            elif isinstance(array, RoutineOutput):
                self._add_routine(array)

    def _append(self, step: Step, *arrays: Array) -> None:
        self.steps.append(step)
        for array in arrays:
            self.position[array] = len(self.steps) - 1

    def _add_root(self, root: Root) -> None:
        if root.array in self.layouts.paddings:
            self._add_padding(self.layouts.paddings[root.array])
            return
        if root.contraction is not None:
            self._append(ContractionStep(root), root.array)
            return
        update = update_of(root) if self.layouts.view(root.array).buffer.kind == "output" else None
        if update is not None and self.layouts.view(update.source).buffer.kind == "input":
            self._append(UpdateStep(update, _new_nest(root, "map")), root.array)
            return
        kind = self._kind(root)
        if kind != "lane" and any(self._join(nest, root, kind) for nest in self._candidates(root)):
            return
        if kind == "map" and self._join_siblings(root):
            return
        nest = _new_nest(root, kind)
        self._append(nest, root.array)
        if kind != "lane":
            self.nest_of[root.array] = nest

    def _add_padding(self, padding: Padding) -> None:
        array, source = padding.root.array, padding.source
        if not self.layouts.hosted_by(source, array):
            self._append(CopyStep(source, array, source.shape, padding.before), array)
        self._append(BorderStep(padding), array)

    def _add_reshape(self, array: Reshape) -> None:
        if self.layouts.is_view(array):
            self.position[array] = self.position.get(array.source, -1)
        else:
            self._append(CopyStep(array.source, array, array.source.shape, ()), array)

    def _add_concatenate(self, array: Concatenate) -> None:
        self.position[array] = -1
        start: Dimension = 0
        for part in array.parts:
            if self.layouts.hosted_by(part, array) and array.parts.count(part) == 1:
                self.position[array] = max(self.position[array], self.position.get(part, -1))
            else:
                shift = tuple(start if axis == array.axis else 0 for axis in range(array.rank))
                self._append(CopyStep(part, array, part.shape, shift), array)
            start = start + part.shape[array.axis]

    def _add_routine(self, array: RoutineOutput) -> None:
        if array.routine.results[0] in self.position:
            return
        self._append(RoutineStep(array.routine), *array.routine.results)

    # -- nests -------------------------------------------------------------------------------------------------
    def _kind(self, root: Root) -> str:
        if root.reduce is None:
            return "map"
        if root.reduce.operation.startswith("arg"):
            return "row"
        reads = [read for read in root.reads() if self.layouts.view(read.array).buffer.kind != "constant"]
        along_row: Dimension = 0
        along_lane = False
        for read in reads:
            address = self.layouts.view(read.array).address(read.indices)
            if not isinstance(address, Expression):
                continue
            run: Dimension = 1
            for variable, extent in reversed(list(zip(root.reduction, root.extents))):
                if address.coefficient(variable) != run:
                    break
                run = run * extent
            if run != 1 and (not isinstance(along_row, int) or not isinstance(run, int) or run > along_row):
                along_row = run
            along_lane = along_lane or any(address.coefficient(variable) == 1 for variable, size in zip(root.variables, root.shape) if size != 1)
        if not along_lane:
            return "row"
        return "row" if not isinstance(along_row, int) or along_row >= LONG_ROW else "lane"

    def _candidates(self, root: Root) -> list[Nest]:
        nests = {self.nest_of[read.array]: None for read in root.reads() if read.array in self.nest_of}
        return sorted(nests, key=self.steps.index, reverse=True)[:1]

    def _join(self, nest: Nest, root: Root, kind: str) -> bool:
        if len(nest.stages) >= MOST_STAGES or root.reduce is not None and kind != "row":
            return False
        index = self.steps.index(nest)
        members = {stage.root.array: stage for stage in nest.stages}
        for read in root.reads():
            if read.array not in members and self._latest(read.array) >= index:
                return False
        for source in dependencies(root.array):
            if isinstance(source, RoutineOutput) and self._latest(source) >= index:
                return False
        mapping = self._unify(nest, root, members)
        if mapping is None or not _complete(nest, root, mapping):
            return False
        if kind == "map" and nest.rows is not None and all(variable in nest.rows for variable in mapping.values()):
            kind = "scalar"
        nest.stages.append(_stage(root, kind, mapping))
        self.position[root.array] = index
        self.nest_of[root.array] = nest
        return True

    def _join_siblings(self, root: Root) -> bool:
        """Maps of the same extents that read the same arrays, one right after another, read them together."""
        nest = self.steps[-1] if self.steps else None
        if not isinstance(nest, Nest) or len(nest.stages) >= MOST_SIBLINGS or not nest.are_siblings:
            return False
        first = nest.stages[0].root
        same_order = self.layouts.orders.get(first.array) == self.layouts.orders.get(root.array)
        if first.shape != root.shape or not same_order or not _sources(root) or _sources(first) != _sources(root):
            return False
        nest.stages.append(_stage(root, "map", {str(own): place for own, place in zip(root.variables, first.variables)}))
        self.position[root.array] = len(self.steps) - 1
        self.nest_of[root.array] = nest
        return True

    def _latest(self, array: Array) -> int:
        """The last step that writes what the array shows."""
        return self.position.get(array, -1)

    def _unify(self, nest: Nest, root: Root, members: dict[Array, Stage]) -> dict[str, Expression] | None:
        mapping: dict[str, Expression] = {}
        extents = _extents(root)
        for read in root.reads():
            stage = members.get(read.array)
            if stage is None:
                continue
            for place, canonical in zip(read.indices, stage.variables):
                if isinstance(place, int):
                    if place != 0 or nest.extents[str(canonical)] != 1:
                        return None
                    continue
                name = str(place)
                if name not in extents or extents[name] != nest.extents[str(canonical)]:
                    return None
                assert isinstance(canonical, Expression)
                if mapping.setdefault(name, canonical) != canonical:
                    return None
        return mapping


def _sources(root: Root) -> set[Array]:
    return {read.array for read in root.reads()}


def _extents(root: Root) -> dict[str, Dimension]:
    pairs = zip((*root.variables, *root.reduction), (*root.shape, *root.extents))
    return {str(variable): extent for variable, extent in pairs}


def row_nest(root: Root) -> Nest:
    """A nest of its own for a reduction, each of whose sums is made along its terms."""
    return _new_nest(root, "row")


def _new_nest(root: Root, kind: str) -> Nest:
    variables = [*root.variables, *(root.reduction if kind == "row" else ())]
    rows = list(root.variables) if kind == "row" else None
    nest = Nest(variables, _extents(root), rows)
    inner = root.reduction if kind == "row" else ()
    nest.stages.append(Stage(root, kind, root.variables, inner, root.body, root.reduce_body))
    return nest


def _complete(nest: Nest, root: Root, mapping: dict[str, Expression]) -> bool:
    """Extends a partial mapping of the root's variables to the nest's; decides the rows. False where it cannot."""
    extents = _extents(root)
    free = [variable for variable in nest.variables if variable not in mapping.values()]
    if len(set(map(str, mapping.values()))) != len(mapping):
        return False
    for variable in (*root.variables, *root.reduction):
        if str(variable) in mapping:
            continue
        match = next((other for other in free if nest.extents[str(other)] == extents[str(variable)]), None)
        if match is None:
            return False
        mapping[str(variable)] = match
        free.remove(match)
    if root.reduce is None and nest.rows is not None:
        rest = [variable for variable in free if nest.extents[str(variable)] != 1]
        per_row = all(variable in nest.rows for variable in mapping.values())
        return not rest or per_row and not any(variable in nest.rows for variable in rest)
    if any(nest.extents[str(variable)] != 1 for variable in free):
        return False
    if root.reduce is None:
        return True
    rows = [mapping[str(variable)] for variable in root.variables]
    inner = [mapping[str(variable)] for variable in root.reduction]
    if nest.rows is None:
        nest.rows = [*rows, *free]
        return True
    return all(row in nest.rows for row in rows) and not any(variable in nest.rows for variable in inner)


def _stage(root: Root, kind: str, mapping: dict[str, Expression]) -> Stage:
    table: dict[str, Dimension] = dict(mapping)
    variables = tuple(mapping[str(variable)] for variable in root.variables)
    inner = tuple(mapping[str(variable)] for variable in root.reduction)
    body = substitute(root.body, table)
    reduce_body = None if root.reduce_body is None else substitute(root.reduce_body, table)
    return Stage(root, kind, variables, inner, body, reduce_body)


def work_of(nest: Nest) -> Dimension:
    """The number of elements a nest visits."""
    return product(nest.extents.values())


def own_value(stage: Stage) -> Read:
    """The read by which a stage's body refers to its own reduction."""
    assert stage.root.reduce is not None
    return next(read for read in stage.body.reads() if read.array is stage.root.reduce)


__all__ = [
    "BlockStep", "BorderStep", "ContractionStep", "CopyStep", "Nest", "RoutineStep", "Stage", "Step", "StepPlanner", "Symbol",
    "UpdateStep", "own_value", "work_of",
]  # fmt: skip
