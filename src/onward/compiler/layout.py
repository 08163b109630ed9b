"""Where each stored array lies: its buffer, its strides, and the order of its axes in memory.

Layouts are strides, so every operator stays written in logical indices: channels-last is a permutation of the axes,
a part of a concatenation is a slice of the whole, a padded array is home to the array it pads, and a Reshape shares
memory whenever its strides allow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onward.compiler.roots import Root
from onward.format.mapping import let_go
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, SymbolAtom, is_nonnegative, product, remainder, substitute, upper_bound
from onward.program.array import (
    Array,
    Compute,
    Concatenate,
    Constant,
    Input,
    Parameter,
    Reshape,
    RoutineOutput,
    defining_routine,
)
from onward.program.scalar import IndexValue, Literal, Operation, Read, Scalar, Select

if TYPE_CHECKING:
    from onward.compiler.blocks import Blocks
    from onward.compiler.growth import Growth

Order = tuple[int, ...]
SMALL_ARRAY = 1 << 16
"""Elements of an array whose limits are looked for."""


@dataclass(eq=False)
class Buffer:
    """Memory of `size` elements. `kind` is arena, constant, input or output; `index` numbers inputs and outputs.

    The data of a constant is its tensor with the axes in `order`, or what `packing` makes of it; `packing_key` tells
    packings of one tensor apart.
    """

    kind: str
    dtype: DataType
    size: Dimension
    index: int = 0
    constant: Constant | None = None
    order: Order = ()
    label: str = ""
    packing: Callable[[np.ndarray], Iterable[np.ndarray]] | None = None
    packing_key: tuple[Hashable, ...] = ()

    @property
    def bytes(self) -> Dimension:
        """How much memory its elements take."""
        return self.size * self.dtype.numpy.itemsize

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Equal for constants with equal data by construction."""
        assert self.constant is not None
        return (id(self.constant.tensor), self.order, self.packing_key)

    def data(self) -> Iterator[np.ndarray]:
        """The bytes of a constant as they lie in memory, part by part."""
        assert self.constant is not None
        array = self.constant.tensor.numpy()
        if self.packing is not None:
            yield from self.packing(array)
        else:
            yield np.ascontiguousarray(array.transpose(self.order) if self.order else array)
        let_go(array)


@dataclass(frozen=True)
class View:
    """An array in a buffer: element (i, j, ...) lies at offset + i*strides[0] + j*strides[1] + ... elements."""

    buffer: Buffer
    strides: tuple[Dimension, ...]
    offset: Dimension = 0

    def address(self, indices: Sequence[Dimension]) -> Dimension:
        """The position of an element, in elements from the buffer's begin."""
        total = self.offset
        for place, stride in zip(indices, self.strides):
            total = total + place * stride
        return total


@dataclass(eq=False)
class Padding:
    """A root that only surrounds `source` with a constant: source[i - before] inside. What does not live there is copied."""

    root: Root
    source: Array
    before: tuple[Dimension, ...]
    value: Literal


def contiguous_strides(shape: Sequence[Dimension], order: Order | None = None) -> tuple[Dimension, ...]:
    """Strides in elements for axes stored in `order` (outermost first; row-major by default)."""
    strides: list[Dimension] = [0] * len(shape)
    step: Dimension = 1
    for axis in reversed(order if order else range(len(shape))):
        strides[axis] = step
        step = step * shape[axis]
    return tuple(strides)


def reshape_strides(shape: Sequence[Dimension], strides: Sequence[Dimension], target: Sequence[Dimension]) -> tuple[Dimension, ...] | None:
    """Strides of the same memory under another shape in row-major order, or None where a copy is needed."""
    old = [(extent, stride) for extent, stride in zip(shape, strides) if extent != 1]
    new = [(axis, extent) for axis, extent in enumerate(target) if extent != 1]
    result: list[Dimension] = [0] * len(target)
    i = j = 0
    while i < len(old) and j < len(new):
        group_old, group_new = [old[i]], [new[j]]
        left, right = old[i][0], new[j][1]
        while left != right:
            if _divides(left, right) and i + 1 < len(old):
                i += 1
                group_old.append(old[i])
                left = left * old[i][0]
            elif _divides(right, left) and j + 1 < len(new):
                j += 1
                group_new.append(new[j])
                right = right * new[j][1]
            else:
                return None
        for (_, outer), (extent, inner) in zip(group_old, group_old[1:]):
            if outer != inner * extent:
                return None
        step = group_old[-1][1]
        for axis, extent in reversed(group_new):
            result[axis] = step
            step = step * extent
        i, j = i + 1, j + 1
    return tuple(result) if i == len(old) and j == len(new) else None


def _divides(small: Dimension, large: Dimension) -> bool:
    if isinstance(small, int) and small == 0:
        return False
    rest = remainder(large, small)
    return isinstance(rest, int) and rest == 0


class LayoutPlanner:
    """Assigns a `View` to every stored array. `view(array)` is valid for roots, inputs, constants and views of them."""

    def __init__(
        self,
        roots: Sequence[Root],
        stored: Sequence[Array],
        outputs: Sequence[Array],
        known: Mapping[Array, Constant],
        given: Mapping[Array, View] | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        self.given = given or {}
        self.blocks = blocks
        """Those whose body this is about."""
        self.known = known
        self.roots = {root.array: root for root in roots}
        self.outputs: dict[Array, int] = {}
        for index, output in enumerate(outputs):
            self.outputs.setdefault(output, index)
        self.views: dict[Array, View] = dict(given or {})
        self.hosts: dict[Array, tuple[Array, tuple[Dimension, ...]]] = {}
        self.paddings: dict[Array, Padding] = {}
        self.growths: dict[Array, Growth] = {}
        """Outputs whose copy of an input may be made by whoever reads them."""
        self.desired: dict[Array, Order] = {}
        self.orders: dict[Array, Order] = {}
        self._desire(roots)
        for array in stored:
            self.orders[array] = self._order(array)
        for array in stored:
            if array not in self.views:
                self._offer_home(array)

    # -- orders ------------------------------------------------------------------------------------------------
    def _desire(self, roots: Sequence[Root]) -> None:
        for root in roots:
            if root.contraction is not None:
                outer = (*root.contraction.batch, *root.contraction.rows)
                self._desire_operand(root.contraction.left, outer)
        for root in roots:
            if root.contraction is None and root.reduce is not None:
                self._desire_lanes(root)

    def _desire_operand(self, read: Read, outer: Sequence[Expression]) -> None:
        symbols = {str(variable) for variable in outer}
        axes = range(read.array.rank)
        first = [axis for axis in axes if _symbols(read.indices[axis]) & symbols]
        order = (*first, *(axis for axis in axes if axis not in first))
        self.desired.setdefault(read.array, order)

    def _desire_lanes(self, root: Root) -> None:
        """A depthwise convolution wants its channel innermost: in the weights, in the data, and in the result."""
        loops = {str(variable) for variable, extent in zip(root.variables, root.shape) if extent != 1}
        for read in root.reads():
            known = isinstance(read.array, Constant) or read.array in self.known
            axes = [axis for axis in range(read.array.rank) if _symbols(read.indices[axis]) & loops]
            if known and len(axes) == 1 and read.array.rank > 2:
                channel = _symbols(read.indices[axes[0]]) & loops
                for array, places in ((read.array, read.indices), (root.array, root.variables)):
                    self._desire_last(array, places, channel)
                for other in root.reads():
                    if other.array.rank == len(root.variables) and other.array is not read.array:
                        self._desire_last(other.array, other.indices, channel)
                return

    def _desire_last(self, array: Array, places: Sequence[Dimension], symbols: frozenset[str]) -> None:
        last = [axis for axis, place in enumerate(places) if _symbols(place) & symbols]
        self.desired.setdefault(array, (*(axis for axis in range(array.rank) if axis not in last), *last))

    def _order(self, array: Array) -> Order:
        natural = tuple(range(array.rank))
        if isinstance(array, (Input, RoutineOutput)) or array in self.outputs:
            return natural
        if isinstance(array, Reshape):
            return self._merged_order(array) or natural
        if isinstance(array, Constant) or array in self.known:
            return self.desired.get(array, natural)
        if isinstance(array, Concatenate):
            if array in self.desired:
                return self.desired[array]
            return next((order for part in array.parts if (order := self.orders.get(part, natural)) != natural), natural)
        root = self.roots.get(array)
        if root is None:
            return natural
        if root.contraction is not None:
            # The groups of a convolution stand beside its columns: together they are the channels.
            weights = root.contraction.right.array
            groups = root.contraction.batch if isinstance(weights, Constant) or weights in self.known else ()
            last = [self._axes_of(root, variables) for variables in (groups, root.contraction.columns)]
            inner = [axis for axes in last for axis in axes]
            return (*(axis for axis in natural if axis not in inner), *inner)
        if array in self.desired:
            return self.desired[array]
        return self._inherited(root) or natural

    def _axes_of(self, root: Root, variables: Sequence[Expression]) -> list[int]:
        names = {str(variable) for variable in variables}
        return [axis for axis, variable in enumerate(root.variables) if str(variable) in names]

    def _merged_order(self, array: Reshape) -> Order | None:
        """A Reshape that merges axes keeps the order of its source where its readers do not want another."""
        merged = array.merged
        if merged is None:
            return None
        if array in self.desired:
            return self.desired[array]
        rank_of = {axis: position for position, axis in enumerate(self.orders.get(array.source, range(array.source.rank)))}
        return tuple(sorted(range(array.rank), key=lambda axis: max((rank_of[part] for part in merged[axis]), default=-1)))

    def _inherited(self, root: Root) -> Order | None:
        """The order of the first operand that is read along all the root's variables and is not row-major."""
        for read in root.reads():
            source_order = self.orders.get(read.array)
            if source_order is None or source_order == tuple(range(read.array.rank)):
                continue
            places = [next((axis for axis, place in enumerate(read.indices) if str(v) in _symbols(place)), None) for v in root.variables]
            if all(place is not None for place, extent in zip(places, root.shape) if extent != 1) and len(root.shape) > 1:
                rank_of = {axis: position for position, axis in enumerate(source_order)}
                axes = range(len(root.shape))
                return tuple(sorted(axes, key=lambda axis: (rank_of.get(places[axis], -1), axis)))  # type: ignore[arg-type]
        return None

    # -- homes -------------------------------------------------------------------------------------------------
    def _offer_home(self, array: Array) -> None:
        """A concatenation, a padding or an output that is a Reshape gives the arrays it is made of a place inside its own memory."""
        if isinstance(array, Concatenate):
            start: Dimension = 0
            for part in array.parts:
                shift = tuple(start if axis == array.axis else 0 for axis in range(array.rank))
                self._settle(part, array, shift)
                start = start + part.shape[array.axis]
        if isinstance(array, Reshape) and array in self.outputs and not isinstance(array.source, Reshape) and self._is_row_major(array.source):
            self._settle(array.source, array, ())
        root = self.roots.get(array)
        if root is not None and root.reduce is None:
            padding = _padding(root)
            if padding is not None:
                self._settle(padding.source, array, padding.before)
                self.paddings[array] = padding

    def _is_row_major(self, array: Array) -> bool:
        axes = [axis for axis in self.orders.get(array, range(array.rank)) if array.shape[axis] != 1]
        return axes == sorted(axes)

    def _settle(self, array: Array, host: Array, shift: tuple[Dimension, ...]) -> None:
        movable = array in self.roots or isinstance(array, (Concatenate, Reshape)) or isinstance(host, Reshape) and isinstance(array, RoutineOutput)
        if not movable or array in self.hosts or array in self.outputs:
            return
        if array in self.desired and self.orders.get(array) != self.orders.get(host):
            return
        # The host's memory is asked for when its first part is written; its size must be known by then.
        if _found_by_run(host) <= _found_by_run(array):
            self.hosts[array] = (host, shift)

    def is_view(self, array: Reshape) -> bool:
        """Whether a Reshape lies where its source does, so that no copy is needed."""
        own, source = self.view(array), self.view(array.source)
        strides = reshape_strides(array.source.shape, source.strides, array.shape)
        if strides is None or own.buffer is not source.buffer or own.offset != source.offset:
            return False
        return all(extent == 1 or here == there for extent, here, there in zip(array.shape, own.strides, strides))

    def hosted_by(self, array: Array, host: Array) -> bool:
        """Whether `array` lives inside `host`, so that no copy is needed. A Reshape does where it would be copied anyway."""
        if array not in self.hosts or self.hosts[array][0] is not host:
            return False
        return self.view(array).buffer is self.view(host).buffer

    # -- views -------------------------------------------------------------------------------------------------
    def known_data(self, array: Array) -> np.ndarray | None:
        """The elements of a small array that are known and stay what they are; None for every other one."""
        constant = self.known.get(array, array)
        if not isinstance(constant, Constant) or isinstance(constant, Parameter) or not isinstance(array.size, int) or array.size > SMALL_ARRAY:
            return None
        return constant.tensor.numpy()

    def view(self, array: Array) -> View:
        """Where the array lies."""
        found = self.views.get(array)
        if found is None:
            found = self.views[array] = self._place(array)
        return found

    def _place(self, array: Array) -> View:
        if array in self.outputs:
            return self._own(array, "output", self.outputs[array])
        if isinstance(array, Input):
            return self._own(array, "input")
        constant = self.known.get(array, array)
        if isinstance(constant, Constant):
            buffer = Buffer("constant", array.dtype, array.size, 0, constant, self.orders.get(array, ()), array.label)
            return View(buffer, contiguous_strides(array.shape, buffer.order))
        if isinstance(array, Reshape):
            source = self.view(array.source)
            strides = reshape_strides(array.source.shape, source.strides, array.shape)
            if strides is not None:
                return View(source.buffer, strides, source.offset)
        if array in self.hosts:
            host, shift = self.hosts[array]
            home = self.view(host)
            if isinstance(host, Reshape):
                strides = reshape_strides(host.shape, home.strides, array.shape)
                return View(home.buffer, strides, home.offset) if strides is not None else self._own(array, "arena")
            # What is copied there goes through the source's axes, which must be axes of that memory, too.
            if not isinstance(array, Reshape) or array.merged is not None and reshape_strides(array.shape, home.strides, array.source.shape) is not None:
                return View(home.buffer, home.strides, home.address(shift))
        return self._own(array, "arena")

    def _own(self, array: Array, kind: str, index: int = 0) -> View:
        order = self.orders.get(array, tuple(range(array.rank)))
        shape = [self.room(extent) for extent in array.shape]
        buffer = Buffer(kind, array.dtype, product(shape), index, label=array.label)
        return View(buffer, contiguous_strides(shape, order))

    def room(self, extent: Dimension) -> Dimension:
        """The extent in memory of an axis: what differs from block to block has room for the greatest."""
        if self.blocks is None or self.blocks.reach is None:
            return extent
        symbol, _ = self.blocks.reach
        return substitute(extent, {str(symbol): upper_bound(symbol)})  # type: ignore[dict-item]


def _found_by_run(array: Array) -> frozenset[str]:
    """The sizes in an array's shape that a routine finds during the run."""
    return frozenset(symbol for extent in array.shape for symbol in _symbols(extent) if defining_routine(symbol) is not None)


def _tests_only_bounds(condition: Scalar, read: Read) -> bool:
    """Whether a condition says no more than that the read is inside its array."""
    if isinstance(condition, Operation) and condition.name == "and":
        return all(_tests_only_bounds(argument, read) for argument in condition.arguments)
    if not (isinstance(condition, Operation) and isinstance(condition.arguments[0], IndexValue)):
        return False
    place, bound = condition.arguments[0].expression, _integer(condition.arguments[1])
    if condition.name == "greater_equal":
        return place in read.indices and bound == 0
    return condition.name == "less" and any(place == index and bound == extent for index, extent in zip(read.indices, read.array.shape))


def _integer(scalar: Scalar) -> Dimension | None:
    if isinstance(scalar, IndexValue):
        return scalar.expression
    return int(scalar.value) if isinstance(scalar, Literal) else None


def _symbols(place: Dimension) -> frozenset[str]:
    return place.symbols if isinstance(place, Expression) else frozenset()


def _padding(root: Root) -> Padding | None:
    """The root as a padding: select(inside, source[i - before], constant), with every source element used once."""
    body = root.body
    if not (isinstance(body, Select) and isinstance(body.then, Read) and isinstance(body.otherwise, Literal)):
        return None
    read = body.then
    if read.array.rank != len(root.variables) or not isinstance(root.array, Compute):
        return None
    if not _tests_only_bounds(body.condition, read):
        return None
    before = []
    for place, variable in zip(read.indices, root.variables):
        shift = variable - place
        if isinstance(shift, Expression) and any(isinstance(atom, SymbolAtom) and atom.upper is not None for atom in shift.atoms):
            return None
        if isinstance(shift, int) and shift < 0:
            return None
        before.append(shift)
    # A slice that is padded reads a part of its source, for which there is no room in the result.
    for extent, inner, shift in zip(root.array.shape, read.array.shape, before):
        if not is_nonnegative(extent - shift - inner):
            return None
    return Padding(root, read.array, tuple(before), body.otherwise)
