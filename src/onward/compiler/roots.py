"""Which arrays of a program are stored, and what the element of each stored array is.

A *root* is an array that gets memory. Everything else is inlined into the roots that use it. A reduction carries its
consumer along as an epilogue when that consumer reads it element for element, so `relu(conv(x) + bias + residual)` is
one root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from onward.compiler.contractions import (
    Contraction,
    Parts,
    classify,
    is_affine,
    operands_of,
    unit_stride_last,
    without_divisor,
)
from onward.compiler.rewrite import expand, replace_reads, substitute
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, floor_divide, product
from onward.ir.tensor import Tensor
from onward.program.array import (
    Array,
    Compute,
    Concatenate,
    Constant,
    Input,
    Reduce,
    Reshape,
    RoutineOutput,
    defining_routine,
    mentioned_symbols,
    sizes_are_defined,
)
from onward.program.content import is_recurrence
from onward.program.evaluate import evaluate
from onward.program.scalar import Cast, IndexValue, Literal, Operation, Read, Scalar, Select, select

EXPENSIVE = {
    "exp": 8, "log": 8, "tanh": 10, "erf": 12, "sigmoid": 10, "sin": 12, "cos": 12, "tan": 16, "asin": 12, "acos": 12,
    "atan": 12, "sinh": 12, "cosh": 12, "asinh": 14, "acosh": 14, "atanh": 14, "expm1": 10, "log1p": 10, "power": 24,
    "divide": 3, "reciprocal": 3, "sqrt": 3, "remainder": 4, "truncated_remainder": 4,
}  # fmt: skip
"""Relative cost of the scalar operations that are not 1."""

LONGEST_DETOUR = 24
"""How many arrays are looked at to see whether the uses of an array meet again."""

LARGEST_KNOWN = 1 << 28
"""Arrays of constants with more elements than this are computed at run time."""

LARGEST_BODY = 160
"""An expression with more operations than this is stored rather than inlined further."""


@dataclass(eq=False)
class Root:
    """One stored array: `body` is its element at `variables`.

    With a reduction, `body` reads `reduce` at `reduce_indices`; `reduce_body` is what is reduced, already in terms of
    this root's variables and `reduction`.
    """

    array: Array
    variables: tuple[Expression, ...]
    body: Scalar
    reduce: Reduce | None = None
    reduce_body: Scalar | None = None
    reduction: tuple[Expression, ...] = ()
    extents: tuple[Dimension, ...] = ()
    contraction: Contraction | None = None
    origins: list[object] = field(default_factory=list)

    @property
    def shape(self) -> tuple[Dimension, ...]:
        """The extents of `variables`."""
        return self.array.shape

    def reads(self) -> Iterator[Read]:
        """All reads of stored arrays, the own reduction's result excepted."""
        for scalar in (self.body, self.reduce_body):
            if scalar is not None:
                yield from (read for read in scalar.reads() if read.array is not self.reduce)


def topological(outputs: Iterable[Array], given: Set[Array] = frozenset()) -> list[Array]:
    """All arrays the outputs depend on, sources first; routines that define a size come before its users.

    What is `given` is among them, and nothing that it depends on.
    """
    order: list[Array] = []
    state: dict[Array, bool] = {}
    pending = [(output, False) for output in reversed(list(outputs))]
    while pending:
        array, ready = pending.pop()
        if ready:
            state[array] = True
            order.append(array)
        elif array not in state:
            state[array] = False
            pending.append((array, True))
            if array not in given:
                pending.extend((source, False) for source in reversed(dependencies(array)) if source not in state)
    return order


def dependencies(array: Array) -> list[Array]:
    """The sources, and the routines that define symbols of the shape, the extents or the body."""
    found = list(array.sources)
    if not sizes_are_defined():
        return found
    for symbol in sorted(mentioned_symbols(array)):
        routine = defining_routine(symbol)
        if routine is not None and not (isinstance(array, RoutineOutput) and array.routine is routine):
            found.append(routine.results[0])
    return found


def cost(body: Scalar) -> float:
    """The work of evaluating a scalar once, in simple operations."""
    total = 0.0
    for scalar in body.walk():
        if isinstance(scalar, Operation):
            total += EXPENSIVE.get(scalar.name, 1)
        elif isinstance(scalar, (Select, Cast)):
            total += 1
    return total


def is_view(array: Array) -> bool:
    """Whether an array merely rearranges another: its element is a read at affine indices."""
    return isinstance(array, Compute) and isinstance(array.body, Read) and is_affine(array.body)


class RootFinder:
    """Decides what is stored. Run once over a program; `roots` then lists the roots in topological order.

    `given` arrays are in memory already: the program begins with them.
    """

    def __init__(self, outputs: Sequence[Array], given: Set[Array] = frozenset()) -> None:
        self.outputs = list(outputs)
        self.given = given
        self.order = topological(outputs, given)
        self.rank = {array: position for position, array in enumerate(self.order)}
        self.consumers: dict[Array, list[Array]] = {array: [] for array in self.order}
        self.made = [array for array in self.order if array not in given]
        for array in self.made:
            for source in array.sources:
                self.consumers[source].append(array)
        self.stored: set[Array] = {*outputs, *given}
        self.contractions: dict[Reduce, tuple[Read, Read]] = {}
        self._expanded: dict[Array, Scalar] = {}
        self.scaled: set[Array] = set()
        """Weights that are never made: the sum of what they multiply is divided in their place."""
        self.known = self._find_known()
        """Arrays of constants alone, as data that is computed when it is asked for."""
        self._decide()
        self.roots: list[Root] = []

    # -- what is stored ----------------------------------------------------------------------------------------
    def _find_known(self) -> dict[Array, Constant]:
        constant: set[Array] = set()
        known: dict[Array, Constant] = {}
        for array in self.order:
            if isinstance(array, Constant):
                constant.add(array)
            elif isinstance(array, Input) or array in self.given or array in self.outputs or not _is_small(array):
                continue
            elif all(source in constant for source in array.sources) and not _mentions_sizes(array):
                if isinstance(array, RoutineOutput) and not array.sources or is_recurrence(array):
                    continue
                constant.add(array)
                known[array] = Constant(Tensor(array.dtype, array.shape, _evaluation(array)), array.label)  # type: ignore[arg-type]
        return known

    def is_constant(self, array: Array) -> bool:
        """Whether an array is data, or a view of data."""
        base = _base(array)
        return isinstance(base, Constant) or base in self.known

    def _decide(self) -> None:
        for array in self.made:
            if not isinstance(array, Compute):
                self.stored.add(array)
            if isinstance(array, (Reshape, Concatenate, RoutineOutput)):
                self.stored.update(source for source in array.sources)
        for array in self.made:
            if isinstance(array, Reduce) and array.operation == "sum":
                self._find_scaled(array)
        for array in self.made:  # sources first: whether a body is cheap depends on what it inlines
            if isinstance(array, Compute) and array not in self.stored and self._must_store(array):
                self.stored.add(array)
        for array in self.made:
            if isinstance(array, Reduce):
                self._find_contraction(array)
        self._forget()
        for array in self.made:  # in this order, too, what is stored has not been expanded as a part of others
            if isinstance(array, Compute) and array not in self.stored and self._ends_epilogue(array):
                self.stored.add(array)
        self._forget()
        for array in self.contractions:
            self._end_at_bytes(array)

    def _end_at_bytes(self, array: Reduce) -> None:
        """Where contractions meet, one carries what follows. Another that becomes bytes on its way there is stored as such."""
        chain = self._chain(array)
        place = next((place for place, item in enumerate(chain) if item.dtype.bits <= 8), None)
        if place is None:
            return
        met = {read.array for read in self.expanded(chain[-1]).reads() if read.array in self.contractions}
        if any(self.rank[other] > self.rank[array] for other in met):  # type: ignore[index]
            self.stored.add(chain[place])
            self._forget()

    def _chain(self, array: Array) -> list[Compute]:
        """The elementwise arrays that one after another use nothing but the one before, up to one that is stored."""
        chain: list[Compute] = []
        while len(self.consumers[array]) == 1:
            (user,) = self.consumers[array]
            if not isinstance(user, Compute) or user.shape != array.shape:
                break
            chain.append(user)
            if user in self.stored:
                break
            array = user
        return chain

    def _find_scaled(self, array: Reduce) -> None:
        for operand in array.sources:
            chain: set[Array] = set()
            while isinstance(operand, Compute) and operand not in self.stored and len(self.consumers[operand]) == 1:
                chain.add(operand)
                if not is_view(operand):
                    break
                (operand,) = operand.sources
            if without_divisor(expand(array.body, chain.__contains__), array.reduction) is not None:
                self.scaled |= chain

    def _must_store(self, array: Compute) -> bool:
        if array in self.scaled:
            return False
        body = self.expanded(array)
        if next(islice(body.walk(), LARGEST_BODY, None), None) is not None:
            return True
        work = cost(body)
        if work == 0:
            return False
        consumers = self.consumers[array]
        if len(consumers) > 1 and work > 1 and not self._meets_again(array):
            return True
        # A broadcast or a window would evaluate the element many times; what is known costs nothing where it is stored.
        return work > (0 if array in self.known else 2) and any(self._repeats(array, consumer) for consumer in consumers)

    def _repeats(self, array: Compute, consumer: Array) -> bool:
        if isinstance(consumer, (Compute, Reduce)):
            domain = product((*consumer.shape, *getattr(consumer, "extents", ())))
            return floor_divide(domain, array.size) != 1 if array.size != 0 else False
        return False

    def expanded(self, array: Compute | Reduce) -> Scalar:
        """The array's body over stored arrays only; it is kept until `_forget`."""
        if array not in self._expanded:
            self._expanded[array] = self._inlined(array.body)
        return self._expanded[array]

    def _inlined(self, body: Scalar) -> Scalar:
        return expand(body, lambda other: other not in self.stored, self._expanded)

    def _forget(self) -> None:
        """To be called where an array is stored that has been expanded as part of others."""
        self._expanded.clear()

    # -- contractions ------------------------------------------------------------------------------------------
    def _find_contraction(self, array: Reduce) -> None:
        body = expand(array.body, self.scaled.__contains__)
        body, _ = without_divisor(body, array.reduction) or (body, None)
        operands = operands_of(body) if array.operation == "sum" else None
        if operands is None:
            return
        left, right = operands
        parts = classify(array.variables, array.shape, array.reduction, left, right)
        if parts is None or not self._reads_matrix_in_order(left, right, parts, array.extents):
            return
        self.contractions[array] = (left, right)
        for operand in (left, right):
            self._settle_operand(operand.array)

    def _reads_matrix_in_order(self, left: Read, right: Read, parts: Parts, extents: Sequence[Dimension]) -> bool:
        """A product with a single vector pays only where the matrix needs no copy of its own.

        Bytes are multiplied in groups along the reduction: the right operand is packed ahead, or for the run along one axis.
        """
        _, rows, columns = parts
        if right.dtype == DataType.INT8:
            known = all(isinstance(extent, int) for extent in extents)
            return known and bool(columns) and (self.is_constant(right.array) or len(extents) == 1 and bool(rows))
        if rows and columns:
            return True
        matrix = right if columns else left
        return self.is_constant(matrix.array) or unit_stride_last(matrix, columns or rows)

    def _settle_operand(self, array: Array) -> None:
        """Operands are read through pointers: whatever is more than a view of something stored is stored."""
        while isinstance(array, Compute) and array not in self.stored:
            if not is_view(array):
                self.stored.add(array)
                return
            assert isinstance(array.body, Read)
            array = array.body.array

    def _ends_epilogue(self, array: Compute) -> bool:
        """An elementwise consumer of a contraction that its own consumer could not carry along."""
        if not any(self._reads_alone(array, read) for read in self.expanded(array).reads()):
            return False
        return not self._meets_again(array) and not self._is_rearranged(array)

    def _is_rearranged(self, array: Compute) -> bool:
        """Whether the only use is of all elements in another order, as of a transposition, by an array that is stored or carries them along."""
        if len(self.consumers[array]) != 1 or array in self.outputs:
            return False
        (user,) = self.consumers[array]
        if not is_view(user) or not _is_bijection(user.body, user.variables, user.shape):  # type: ignore[attr-defined]
            return False
        return user in self.stored or self._meets_again(user) or self._is_rearranged(user)  # type: ignore[arg-type]

    def _meets_again(self, array: Compute) -> bool:
        """Whether all uses run through elementwise arrays of the same shape into one: inlining then repeats nothing."""
        front = {consumer for consumer in self.consumers[array]}
        for _ in range(LONGEST_DETOUR):
            if not front or not all(isinstance(item, Compute) and item.shape == array.shape for item in front):
                return False
            if len(front) == 1:
                return True
            first = min(front, key=self.rank.__getitem__)
            if first in self.stored:
                return False
            front.remove(first)
            front.update(self.consumers[first])
        return False

    def _reads_alone(self, array: Compute, read: Read) -> bool:
        source = read.array
        if not (isinstance(source, Reduce) and source not in self.outputs and source not in self.given):
            return False
        if source not in self.contractions and not self._is_lane_reduction(source):
            return False
        return _is_bijection(read, array.variables, array.shape)

    def _is_lane_reduction(self, source: Reduce) -> bool:
        return not source.operation.startswith("arg") and len(source.extents) > 1

    # -- the roots ---------------------------------------------------------------------------------------------
    def find(self) -> list[Root]:
        """All roots in topological order."""
        readers = self._readers()
        carried: dict[Reduce, Compute] = {}
        taken: set[Compute] = set()
        for array in reversed(self.made):  # the last reduction an element waits for carries it
            if isinstance(array, Reduce) and array not in self.outputs and array not in self.known:
                user = self._epilogue(array, readers)
                if user is not None and user not in taken:
                    carried[array] = user
                    taken.add(user)
        reduction_of = {user: source for source, user in carried.items()}
        for array in self.made:
            if array not in self.stored or array in carried or array in self.known:
                continue
            if isinstance(array, Compute):
                self._append(self._compute_root(array, reduction_of.get(array)))
            elif isinstance(array, Reduce):
                self._append(self._reduce_root(array))
        return self.roots

    def _append(self, root: Root) -> None:
        if root.contraction is None and root.reduce in self.contractions:
            self._attach_contraction(root)
        self.roots.append(root)

    def _readers(self) -> dict[Array, set[Array]]:
        readers: dict[Array, set[Array]] = {}
        for array in self.made:
            if array not in self.stored:
                continue
            if isinstance(array, (Compute, Reduce)):
                sources: Iterable[Array] = {read.array for read in self.expanded(array).reads()}
            else:
                sources = array.sources
            for source in sources:
                readers.setdefault(source, set()).add(array)
        return readers

    def _epilogue(self, array: Reduce, readers: dict[Array, set[Array]]) -> Compute | None:
        users = readers.get(array, set())
        if len(users) != 1 or array.operation.startswith("arg"):
            return None
        (user,) = users
        if not isinstance(user, Compute):
            return None
        reads = [read for read in self.expanded(user).reads() if read.array is array]
        if any(not read_key_equal(read, reads[0]) for read in reads):
            return None
        if not _is_bijection(reads[0], user.variables, user.shape):
            return None
        return user

    def _compute_root(self, array: Compute, reduce: Reduce | None) -> Root:
        body = self.expanded(array)
        if reduce is None:
            return Root(array, array.variables, body)
        read = next(read for read in body.reads() if read.array is reduce)
        mapping = {str(variable): place for variable, place in zip(reduce.variables, read.indices)}
        return Root(array, array.variables, body, reduce, substitute(self.expanded(reduce), mapping), reduce.reduction, reduce.extents)

    def _reduce_root(self, array: Reduce) -> Root:
        body = Read(array, array.variables)
        return Root(array, array.variables, body, array, self.expanded(array), array.reduction, array.extents)

    def _attach_contraction(self, root: Root) -> None:
        assert root.reduce is not None and root.reduce_body is not None
        scaled = without_divisor(root.reduce_body, root.reduction)
        if scaled is not None:
            root.reduce_body, divisor = scaled
            terms = product(root.extents)
            if not isinstance(terms, int):  # the sum of no weights is 0
                divisor = select(IndexValue(terms) == 0, 1.0, divisor)
            root.body = replace_reads(root.body, lambda read: Operation("divide", (read, divisor), read.dtype) if read.array is root.reduce else read)
        operands = operands_of(root.reduce_body)
        if operands is None:
            return
        left, right = operands
        parts = classify(root.variables, root.shape, root.reduction, left, right)
        if parts is None:
            return
        batch, rows, columns = parts
        if not self._reads_matrix_in_order(left, right, parts, root.extents):
            return
        if right.dtype != DataType.INT8:  # whose partner, the unsigned one, is the left operand
            swap = self.is_constant(left.array) and not self.is_constant(right.array)
            if not columns or (rows and swap):
                left, right, rows, columns = right, left, columns, rows
            root.reduce_body = Operation("multiply", (left, right), left.dtype)
        root.contraction = Contraction(left, right, batch, rows, columns)


def _evaluation(array: Array) -> Callable[[], np.ndarray]:
    return lambda: evaluate([array], {})[0]


def _mentions_sizes(array: Array) -> bool:
    """Whether an element depends on a size that only the run knows."""
    if not isinstance(array, (Compute, Reduce)):
        return False
    loops = {str(variable) for variable in (*array.variables, *getattr(array, "reduction", ()))}
    for scalar in array.body.walk():
        for place in (*getattr(scalar, "indices", ()), getattr(scalar, "expression", 0)):
            if isinstance(place, Expression) and place.symbols - loops:
                return True
    return not all(isinstance(extent, int) for extent in getattr(array, "extents", ()))


def read_key_equal(left: Read, right: Read) -> bool:
    """Whether two reads are of the same element."""
    return left.array is right.array and left.indices == right.indices


def _is_bijection(read: Read, variables: Sequence[Expression], shape: Sequence[Dimension]) -> bool:
    """Whether each variable (of extent other than 1) is exactly one index of the read, and the extents agree."""
    used: list[Expression] = []
    for place, extent in zip(read.indices, read.array.shape):
        if isinstance(place, int) and place == 0 and extent == 1:
            continue
        match = [v for v, size in zip(variables, shape) if v == place and size == extent]
        if len(match) != 1 or match[0] in used:
            return False
        used.append(match[0])
    return all(variable in used or size == 1 for variable, size in zip(variables, shape))


def _is_small(array: Array) -> bool:
    """Whether every size is known (0 of something has a known number of elements only) and few elements come of them."""
    return all(isinstance(extent, int) for extent in array.shape) and array.size <= LARGEST_KNOWN  # type: ignore[operator]


def _base(array: Array) -> Array:
    """What a view is a view of."""
    while True:
        if isinstance(array, Reshape):
            array = array.source
        elif isinstance(array, Compute) and isinstance(array.body, Read) and is_affine(array.body):
            array = array.body.array
        else:
            return array


def root_extents(root: Root) -> dict[str, Dimension]:
    """The extent of each loop variable of a root, by name."""
    return dict(zip(map(str, (*root.variables, *root.reduction)), (*root.shape, *root.extents)))


def literal_body(root: Root) -> bool:
    """Whether the element is a constant."""
    return isinstance(root.body, (Literal, IndexValue))
