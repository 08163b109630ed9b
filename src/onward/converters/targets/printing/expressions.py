"""What stands in the statements: scalars of a tensor program as expressions over whole arrays of the target, and sizes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onward.converters.targets.printing.forms import (
    all_literal,
    bare,
    bounds_of,
    from_end,
    lies_within,
    payload_of,
    symbol_of,
    without_neutral,
)
from onward.converters.targets.printing.naming import number
from onward.converters.targets.printing.words import Words
from onward.errors import UnsupportedOperator
from onward.ir.datatypes import DataType
from onward.ir.expressions import BinaryAtom, Dimension, Expression, OpaqueAtom, Symbol, SymbolAtom, substitute
from onward.program.array import Array, Compute, Input, defining_routine
from onward.program.content import Constancy
from onward.program.scalar import Cast, IndexValue, Literal, Operation, Read, Scalar, ScalarKey, Select


@dataclass
class Frame:
    """The index variables of an expression, in the order of the axes of the array that it is; `guarded`: inside a branch of a selection."""

    variables: Sequence[tuple[str, Dimension]]
    guarded: bool = False

    def place(self, name: str) -> int | None:
        for axis, (variable, _) in enumerate(self.variables):
            if variable == name:
                return axis
        return None

    @property
    def rank(self) -> int:
        return len(self.variables)


class Expressions(ABC):
    """Gives the text of scalars, indices and sizes.

    `known` are the texts of arrays, `sizes` those of symbols; `extents` the extents of index variables, and `zero` those
    variables that have one value only. `traced` are the symbols that are arrays of the target, not numbers.
    """

    def __init__(self, words: Words) -> None:
        self.words = words
        self.known: dict[Array, str] = {}
        self.sizes: dict[str, str] = {}
        self.extents: dict[str, Dimension] = {}
        self.zero: dict[str, Dimension] = {}
        self.traced: set[str] = set()
        self.is_constant = Constancy()

    @abstractmethod
    def array(self, array: Array) -> str:
        """The variable (or literal) that holds an array, after the statements that compute it."""

    # -- scalars ---------------------------------------------------------------------------------------------------------
    def scalar(self, scalar: Scalar, frame: Frame) -> str:
        """An expression that gives the scalar for all indices of the frame, broadcast against each other."""
        words = self.words
        match scalar:
            case Literal():
                return words.literal(scalar.value, scalar.dtype)
            case IndexValue():
                text = self.dimension(scalar.expression, frame)
                return text if self._varies(scalar.expression, frame) else words.one_index(bare(text))
            case Read():
                return self._read(scalar, frame)
            case Cast():
                argument = self._plain(scalar.argument)
                inner = words.typed(argument.value, argument.dtype) if isinstance(argument, Literal) else self.scalar(argument, frame)
                return words.converted(inner, argument.dtype, scalar.dtype, scalar.saturate)
            case Select():
                padded = self._padded(scalar, frame)
                if padded is not None:
                    return padded
                inside = Frame(frame.variables, guarded=True)
                branches = [self._plain(item) for item in (scalar.then, scalar.otherwise)]
                typed = all_literal(*branches) or not words.mixes_numbers("where", scalar.dtype)
                then, otherwise = (self._operand(item, inside, typed) for item in branches)
                return words.where(bare(self.scalar(scalar.condition, frame)), bare(then), bare(otherwise))
            case Operation():
                inside = Frame(frame.variables, guarded=True) if scalar.name == "and" and scalar.dtype == DataType.BOOL else frame
                operands = without_neutral(scalar.name, [self._plain(item) for item in scalar.arguments])
                typed = all_literal(*operands) or not words.mixes_numbers(scalar.name, operands[0].dtype)
                arguments = [self._operand(item, inside, typed) for item in operands]
                return arguments[0] if len(arguments) < len(scalar.arguments) else words.computed(scalar.name, arguments, operands[0].dtype)
        raise TypeError(f"no rule for {type(scalar).__name__}")

    def _operand(self, item: Scalar, frame: Frame, typed: bool) -> str:
        if isinstance(item, Literal) and (typed or not self.words.is_common(item.dtype)):
            return self.words.typed(item.value, item.dtype)
        return self.scalar(item, frame)

    def _plain(self, scalar: Scalar) -> Scalar:
        """A read of one number that is known before the run as that number."""
        read = self.through(scalar) if isinstance(scalar, Read) else scalar
        if not isinstance(read, Read) or not all(isinstance(index, int) for index in read.indices) or read.dtype == DataType.STRING:
            return scalar
        if not self.is_constant(read.array) or (known := read.array.known) is None:
            return scalar
        return Literal(known[tuple(map(int, read.indices))].item(), read.dtype)  # type: ignore[arg-type]

    def _read(self, read: Read, frame: Frame) -> str:
        read = self.through(read)
        name = self.array(read.array)
        if not read.indices:
            return name
        text = self._view(name, read, frame) or self._taken(name, read, frame) or self._taken_along_each(name, read, frame)
        if text is not None:
            return text
        names = [variable for variable, _ in frame.variables]
        if not frame.guarded and self.extents.keys() >= set(names) and (windows := self.windows(read, names)) is not None and windows[1] == names:
            return windows[0]
        places = []
        for index, extent in zip(read.indices, read.array.shape):
            places.append(self._place(index, extent, frame))
        return self.words.gather(name, places)

    def _place(self, index: Dimension, extent: Dimension, frame: Frame) -> str:
        """An index or an array of them; inside a branch of a selection, where it may lie outside the array, it is made to lie inside."""
        text = bare(self.dimension(index, frame))
        if not isinstance(index, Expression) or not frame.guarded or lies_within(index, extent):
            return text
        first = bare(self.dimension(-extent, frame)) if self.words.counts_from_end and index.opaque else "0"
        return self.words.clip(text, first, bare(self.dimension(extent - 1, frame)))

    def _view(self, name: str, read: Read, frame: Frame) -> str | None:
        """A read whose indices are each a number or run along one variable: slices, then an order of axes, then new axes."""
        if self.is_aligned(read, frame):
            return name
        slices, places = [], []
        for index, extent in zip(read.indices, read.array.shape):
            if isinstance(index, int):
                slices.append(str(index))
                continue
            found = self._slice(index, extent, frame)
            if found is None or found[1] in places:
                return None
            slices.append(found[0])
            places.append(found[1])
        text = self.words.slice(name, slices)
        ordered = sorted(places)
        if ordered != places:
            text = self.words.transpose(text, [places.index(place) for place in ordered])
        if not ordered:
            return text
        missing = [":" if place in places else "None" for place in range(ordered[0], frame.rank)]
        return self.words.slice(text, missing)

    def is_aligned(self, read: Read, frame: Frame) -> bool:
        """Whether an array is read as broadcasting does by itself."""
        first = frame.rank - read.array.rank
        return first >= 0 and all(
            isinstance(extent, int) and extent == 1 if isinstance(index, int) else self._slice(index, extent, frame) == (":", first + axis)
            for axis, (index, extent) in enumerate(zip(read.indices, read.array.shape))
        )

    def windows(self, read: Read, names: Sequence[str]) -> tuple[str, list[str]] | None:
        """A read along windows that move over some axes, and the variables that its axes are: first those of the array, then the windows'."""
        order: list[str] = []
        inside: list[str] = []
        lengths: list[str] = []
        axes, outer_slices, inner_slices = [], [], []
        extents = self.extents
        for axis, (index, extent) in enumerate(zip(read.indices, read.array.shape)):
            found = sorted((name for name in names if isinstance(index, Expression) and name in index.symbols), key=names.index)
            if len(found) not in (1, 2) or not isinstance(index, Expression) or index.opaque or any(name in order + inside for name in found):
                return None
            symbols = [symbol_of(index, name) for name in found]
            steps = [index.coefficient(symbol) for symbol in symbols if symbol is not None]
            if len(steps) != len(found) or not all(isinstance(step, int) and step > 0 for step in steps):
                return None
            if index != sum((symbol * step for symbol, step in zip(symbols, steps) if symbol is not None and step is not None), 0):
                return None
            order.append(found[0])
            if len(found) == 1:
                if steps[0] != 1 or extents[found[0]] != extent:
                    return None
                outer_slices.append(":")
                continue
            count, length, (step, dilation) = extents[found[0]], extents[found[1]], steps
            if not isinstance(length, int) or not isinstance(step, int) or not isinstance(dilation, int):
                return None
            span = (length - 1) * dilation + 1
            inside.append(found[1])
            lengths.append(str(span))
            axes.append(str(axis))
            whole = isinstance(extent, int) and count == (extent - span) // step + 1
            end = "" if whole else self.extent(count * step)
            outer_slices.append(f":{end}" + (f":{step}" if step != 1 else ""))
            inner_slices.append(f"::{dilation}" if dilation != 1 else ":")
        if not inside:
            return None
        text = self.words.windows(self.array(read.array), lengths, axes)
        return self.words.slice(text, outer_slices + inner_slices), order + inside

    def _taken(self, name: str, read: Read, frame: Frame) -> str | None:
        """A read that takes places along one axis and all of the others: one index array, over its own variables."""
        plain = [self._slice(index, extent, frame) if isinstance(index, Expression) else None for index, extent in zip(read.indices, read.array.shape)]
        own = [axis for axis, found in enumerate(plain) if found is None or found[0] != ":"]
        if len(own) != 1 or isinstance(read.indices[own[0]], int):
            return None
        (axis,), after = own, read.array.rank - own[0] - 1
        index = read.indices[axis]
        assert isinstance(index, Expression)
        end = frame.rank - after
        places = [found[1] for found in plain if found is not None and found[0] == ":"]
        mentioned = self.mentioned(IndexValue(index))
        inside = [place for place, (variable, _) in enumerate(frame.variables) if variable in mentioned]
        begin = axis if axis else min(inside, default=0)  # leading axes that nothing mentions may be missing
        if places != [*range(axis), *range(end, frame.rank)] or inside != list(range(begin, end)) or not inside:
            return None
        own_frame = Frame(frame.variables[begin:end], frame.guarded)
        return self.words.take(name, self._place(index, read.array.shape[axis], own_frame), axis)

    def _taken_along_each(self, name: str, read: Read, frame: Frame) -> str | None:
        """A read whose indices are each a number, run along one variable, or take places that depend on one variable: what is taken
        along its axes, then a view."""
        if frame.guarded:
            return None
        taken: list[Dimension] = []
        for axis, (index, extent) in enumerate(zip(read.indices, read.array.shape)):
            if not isinstance(index, Expression) or self._slice(index, extent, frame) is not None:
                taken.append(index)
                continue
            inside = [item for item in frame.variables if item[0] in self.mentioned(IndexValue(index))]
            if len(inside) != 1:
                return None
            name = self.words.take(name, bare(self.dimension(index, Frame(inside))), axis)
            taken.append(Symbol(inside[0][0]))
        shape = [extent if found == index else dict(frame.variables)[str(found)] for extent, found, index in zip(read.array.shape, taken, read.indices)]
        return self._view(name, Read(Input(shape, read.array.dtype, name), tuple(taken)), frame)

    def _padded(self, select: Select, frame: Frame) -> str | None:
        """A selection that is a padding: an array inside its bounds, a number outside."""
        if not isinstance(select.then, Read) or not isinstance(select.otherwise, Literal) or not self.words.is_common(select.dtype):
            return None
        read, order = select.then, [name for name, _ in frame.variables]
        if self.through(read) is not read or read.array.rank != frame.rank:
            return None
        needed: set[Any] = set()
        amounts = []
        for (name, count), index, extent in zip(frame.variables, read.indices, read.array.shape):
            symbol = symbol_of(index, name) if isinstance(index, Expression) else None
            before = symbol - index if symbol is not None else order
            if not isinstance(before, int) or before < 0:
                return None
            after = count - before - extent
            if not isinstance(after, int) or after < 0:
                return None
            amounts.append((str(before), str(after)))
            needed |= {(str(index), ">=", "0")} if before else set()
            needed |= {(str(index), "<", str(extent))} if after else set()
        if not bounds_of(select.condition) >= needed or not bounds_of(select.condition) <= {
            item for index, extent in zip(read.indices, read.array.shape) for item in ((str(index), ">=", "0"), (str(index), "<", str(extent)))
        }:
            return None
        return self.words.pad(self.array(read.array), amounts, self.words.literal(select.otherwise.value, select.dtype))

    def _slice(self, index: Expression, extent: Dimension, frame: Frame) -> tuple[str, int] | None:
        names = [name for name in index.symbols if frame.place(name) is not None]
        if len(names) != 1 or index.opaque:
            return None
        place = frame.place(names[0])
        assert place is not None
        variable, count = next(((symbol_of(index, names[0])), size) for name, size in frame.variables if name == names[0])
        if variable is None:
            return None
        step = index.coefficient(variable)
        if not isinstance(step, int) or step <= 0:
            return None
        start = index - variable * step
        if isinstance(start, Expression) and (names[0] in start.symbols or start.symbols & self.traced):
            return None
        if start == 0 and step == 1 and count == extent:
            return ":", place
        if frame.guarded and not lies_within(index, extent):
            return None
        begin = "" if start == 0 else self.dimension(start, frame)
        end = "" if start + step * count == extent else self.dimension(start + step * count, frame)
        return f"{bare(begin)}:{bare(end)}" + (f":{step}" if step != 1 else ""), place

    # -- sizes and indices -----------------------------------------------------------------------------------------------
    def shape(self, shape: Sequence[Dimension]) -> str:
        """A tuple of sizes."""
        return self.words.tuple([self.extent(extent) for extent in shape])

    def extent(self, extent: Dimension) -> str:
        """One size."""
        return bare(self.dimension(extent, Frame(())))

    def dimension(self, expression: Dimension, frame: Frame) -> str:
        """An integer expression, as one number or, where it has index variables, as an array over the frame."""
        expression = substitute(expression, self.zero)
        if not isinstance(expression, Expression):
            return str(int(expression))
        terms = []
        for monomial, factor in expression.terms.items():
            product = [self._atom(atom, frame) if power == 1 else f"{self._atom(atom, frame)} ** {power}" for atom, power in monomial]
            if factor != 1 or not product:
                product.append(number(factor))
            terms.append(" * ".join(product))
        terms.sort(key=lambda term: term.lstrip("-").isdigit())
        text = " + ".join(terms).replace(" + -", " - ")
        return text if len(terms) == 1 and "*" not in text else f"({text})"

    def _atom(self, atom: Any, frame: Frame) -> str:
        if isinstance(atom, SymbolAtom):
            place = frame.place(atom.name)
            if place is None:
                return self.size(atom.name)
            text = self.words.arange(bare(self.dimension(frame.variables[place][1], frame)))
            below = frame.rank - 1 - place
            return self.words.slice(text, [":", *["None"] * below])
        if isinstance(atom, OpaqueAtom):
            assert isinstance(atom.payload, ScalarKey)
            return self.scalar(atom.payload.scalar, frame)
        assert isinstance(atom, BinaryAtom)
        left, right = (self.dimension(operand, frame) for operand in atom.operands)
        if atom.operation in ("minimum", "maximum"):
            varies = any(self._varies(side, frame) for side in atom.operands)
            return self.words.extreme(atom.operation, bare(left), bare(right), varies)
        return f"({left} {atom.operation} {right})"

    def mentioned(self, scalar: Scalar) -> set[str]:
        """The symbols that the indices of a scalar mention, views being read through."""
        found: set[str] = set()
        pending = [scalar]
        while pending:
            item = pending.pop()
            pending.extend(item.arguments)
            places = self.through(item).indices if isinstance(item, Read) else (getattr(item, "expression", 0),)
            for place in places:
                if isinstance(place, Expression):
                    found |= place.symbols - self.zero.keys()
                    pending.extend(payload.scalar for payload in place.opaque if isinstance(payload, ScalarKey))
        return found

    def _varies(self, expression: Dimension, frame: Frame) -> bool:
        """Whether an expression is an array over the frame, not one number."""
        return isinstance(expression, Expression) and (
            bool(expression.opaque) or any(frame.place(name) is not None or name in self.traced for name in expression.symbols)
        )

    def size(self, symbol: str) -> str:
        """A size as the source says it."""
        if symbol not in self.sizes:
            routine = defining_routine(symbol)
            if routine is None:
                raise UnsupportedOperator(f"the size '{symbol}' is not determined by the inputs")
            self.array(routine.results[0])
        return self.sizes[symbol]

    def through(self, read: Read) -> Read:
        """A read of a view as one of what it is a view of."""
        if self.zero and any(isinstance(index, Expression) and index.symbols & self.zero.keys() for index in read.indices):
            read = Read(read.array, tuple(substitute(index, self.zero) for index in read.indices))
        if any(isinstance(index, Expression) and index.opaque for index in read.indices):
            plain = tuple(self._plain_index(index, extent) for index, extent in zip(read.indices, read.array.shape))
            read = read if plain == read.indices else Read(read.array, plain)
        while isinstance(read.array, Compute) and read.array not in self.known and isinstance(read.array.body, Read):
            inner = read.array.body
            if any(isinstance(index, Expression) and index.opaque for index in inner.indices):
                break
            given = dict(zip(map(str, read.array.variables), read.indices))
            read = Read(inner.array, tuple(substitute(index, given) for index in inner.indices))
        return read

    def _plain_index(self, index: Dimension, extent: Dimension) -> Dimension:
        """An index without what the target does by itself, or as a number where it is known before the run."""
        if self.words.counts_from_end:
            index = from_end(index, extent)
        scalar = payload_of(index)
        if scalar is None or not all(isinstance(self._plain(read), Literal) for read in scalar.reads()):
            return index
        known = Compute((), (), scalar).known
        return index if known is None else int(known)
