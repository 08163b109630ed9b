"""The plan of a program: what is stored, where it lies, and in which steps it is computed; and that of a loop's body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onward.compiler import dump
from onward.compiler.blocks import Blocks, Piece
from onward.compiler.entry import LoopBegin
from onward.compiler.growth import find_growths
from onward.compiler.layout import Buffer, LayoutPlanner, View, contiguous_strides
from onward.compiler.roots import Root, RootFinder
from onward.compiler.row_blocks import find_row_blocks
from onward.compiler.steps import BlockStep, BorderStep, RoutineStep, Step, StepPlanner
from onward.compiler.winograd import find_squares
from onward.program.array import Array, Constant, Input, Reshape, Routine
from onward.program.content import depends_on_constants_alone
from onward.program.functions import compute
from onward.program.recurrence import Body


class Plan:
    """Roots, layouts and steps for some outputs. `given` arrays lie in memory when the program begins, at their views.

    The outputs of a whole program lie where the caller of a run says. Those of a loop's body have `homes`: inside what the
    loop collects, or (None) in memory of their own. In what is the body of `blocks` nothing is cut into
    blocks again.
    """

    def __init__(
        self,
        outputs: Sequence[Array],
        given: Mapping[Array, View] | None = None,
        homes: Sequence[View | None] = (),
        blocks: Blocks | None = None,
        *,
        squares: bool = True,
    ) -> None:
        given = given or {}
        self.squares = squares
        self.outside = {view.buffer for view in (*given.values(), *homes) if view is not None}
        """Memory that is another plan's."""
        self.outputs = distinct_outputs(outputs)
        finder = RootFinder(self.outputs, given.keys())
        self.roots = finder.find()
        found = [*find_row_blocks(finder, self.roots), *(find_squares(finder, self.roots) if squares else [])] if blocks is None else []
        self.order = [array for array in finder.order if array not in finder.known and array not in given]
        stored = [array for array in finder.order if array in finder.stored]
        self.layouts = LayoutPlanner(self.roots, stored, self.outputs, finder.known, given, blocks)
        for array, home in zip(self.outputs, homes):
            buffer = Buffer("arena", array.dtype, array.size, label=array.label)
            self.layouts.views[array] = home or View(buffer, contiguous_strides(array.shape))
        self.steps: list[Step] = StepPlanner(self.order, self.roots, self.layouts, found).steps
        self.layouts.growths = find_growths(self.order, self.roots, self.layouts) if not given else {}
        dump.steps(self.steps, self.layouts)

    def needed(self) -> set[Array]:
        """Arrays that are read by another step than the one that makes them."""
        needed = set(self.outputs)
        for step in self.steps:
            made = {stage.root.array for stage in getattr(step, "stages", ())}
            needed.update(array for array in _reads(step) if array not in made)
        for array in list(needed):
            source = array
            while source.sources and source not in {root.array for root in self.roots}:
                needed.update(source.sources)
                source = source.sources[0]
        return needed


class LoopRegion:
    """A recurrence as steps inside a loop.

    `entering` are pairs (first state, state) to be copied before the loop, `following` pairs (next state, state) to be
    copied at the end of every turn. Slices of sequences and of what is collected are views at the symbol of time.
    """

    def __init__(self, routine: Routine, outside: Plan) -> None:
        layouts = outside.layouts
        body: Body = routine.attributes["body"]
        count = len(body.states)
        first, rest = routine.inputs[:count], routine.inputs[count:]
        sequences = rest[: len(body.slices)]
        last, collected = routine.results[:count], routine.results[count:]
        given: dict[Array, View] = {array: layouts.view(array) for array in (*body.captured, *first)}
        for state, result in zip(body.states, last):
            given[state] = layouts.view(result)
        for part, sequence in zip(body.slices, sequences):
            given[part] = _at(layouts.view(sequence), body)
        homes = [*[None] * count, *(_at(layouts.view(result), body) for result in collected)]
        self.plan = Plan([*body.following, *body.collected], given, homes, squares=outside.squares)
        self.plan.layouts.views.update(given)
        self.entering = list(zip(first, body.states))
        self.following = list(zip(self.plan.outputs[:count], body.states))
        kept = frozenset(layouts.view(result).buffer for result in routine.results)
        flag = None if body.condition is None else layouts.view(last[body.states.index(body.condition)]).buffer
        length, backwards, limited = (routine.attributes[name] for name in ("length", "backwards", "limited"))
        self.begin = LoopBegin(str(body.time), length, backwards, kept, flag, limited)


class BlockRegion:
    """What is done for one block, planned like programs; its pieces lie where they do in the whole.

    `plan` computes the pieces. Where there is a condition, `test` computes it into `verdict`, and `otherwise` the pieces where it does not hold.
    """

    def __init__(self, blocks: Blocks, layouts: LayoutPlanner) -> None:
        self.growths = {array: layouts.growths[array] for array in blocks.given if array in layouts.growths}
        self.given = {array: layouts.view(array) for array in (*blocks.given, *(item.source for item in self.growths.values()))}
        self.blocks = blocks
        self.whole = layouts.view(blocks.root.array)
        self.outside = {self.whole.buffer, *(view.buffer for view in self.given.values())}
        self.plan = self._computing(blocks.pieces)
        self.test = self.otherwise = self.verdict = None
        if blocks.condition is not None:
            self.test = self._planned([blocks.condition], [None])
            self.verdict = self.test.layouts.view(blocks.condition).buffer
            self.otherwise = self._computing(blocks.otherwise)

    def _computing(self, pieces: Sequence[Piece]) -> Plan:
        return self._planned([piece.array for piece in pieces], [self._home(piece) for piece in pieces])

    def _home(self, piece: Piece) -> View:
        strides = tuple(self.whole.strides[axis] * step for axis, step in zip(piece.axes, piece.steps))
        return View(self.whole.buffer, strides, self.whole.address(piece.origin))

    def _planned(self, arrays: Sequence[Array], homes: Sequence[View | None]) -> Plan:
        plan = Plan(arrays, self.given, homes, self.blocks)
        plan.layouts.views.update(self.given)
        plan.layouts.growths = self.growths
        return plan


def _at(view: View, body: Body) -> View:
    """The slice of a sequence that belongs to a step."""
    return View(view.buffer, view.strides[1:], view.offset + body.time * view.strides[0])


def distinct_outputs(outputs: Sequence[Array]) -> list[Array]:
    """Every output gets memory of its own: inputs, constants, repeated arrays and reshapes of other outputs are copied."""
    seen: set[Array] = set()
    result: list[Array] = []
    for array in outputs:
        if isinstance(array, (Input, Constant)) or array in seen or _reshaped(array) in outputs or depends_on_constants_alone(array):
            source = array
            array = compute(source.shape, lambda *position, source=source: source[tuple(position)])
        seen.add(array)
        result.append(array)
    return result


def _reshaped(array: Array) -> Array | None:
    """What a Reshape, or a chain of them, is a view of."""
    source: Array | None = None
    while isinstance(array, Reshape):
        array = source = array.sources[0]
    return source


def _reads(step: Step) -> list[Array]:
    roots: list[Root] = [stage.root for stage in getattr(step, "stages", ())]
    if getattr(step, "root", None) is not None:
        roots.append(step.root)  # type: ignore[union-attr]
    found = [read.array for root in roots for read in root.reads()]
    if isinstance(step, BlockStep):
        found.extend(step.blocks.given)
    if isinstance(step, RoutineStep):
        found.extend(step.routine.inputs)
    if isinstance(step, BorderStep):  # whoever reads the padded array reads its inside, which the source's step writes
        found.append(step.padding.source)
    if getattr(step, "source", None) is not None:
        found.append(step.source)  # type: ignore[union-attr]
    return found
