"""Tensor programs as Python source: each array that is needed becomes a statement over arrays of the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onward.converters.targets.forms import (
    all_literal,
    bare,
    bounds_of,
    factors_of,
    has_numbers,
    identity,
    least_rank,
    lies_within,
    plain_order,
    storable,
    symbol_of,
    wish,
)
from onward.converters.targets.naming import Names, number, weight_name
from onward.converters.targets.words import Words
from onward.errors import UnsupportedOperator
from onward.ir.datatypes import DataType
from onward.ir.expressions import BinaryAtom, Dimension, Expression, OpaqueAtom, SymbolAtom, lower_bound, substitute
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
)
from onward.program.content import Constancy
from onward.program.scalar import Cast, IndexValue, Literal, Operation, Read, Scalar, ScalarKey, Select

WRITTEN_OUT = 8
"""Constants of at most so many elements stand in the source, larger ones among the weights."""


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


@dataclass
class Printer:
    """Writes the statements that compute arrays.

    `lines` is the body of the function so far. `weights` are the constants that it reads, by name.
    """

    words: Words
    names: Names
    lines: list[str] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    indent: int = 1

    def __post_init__(self) -> None:
        self.known: dict[Array, str] = {}
        self.extents: dict[str, Dimension] = {}
        self.zero: dict[str, Dimension] = {}  # index variables that have one value only
        self.is_constant = Constancy()
        self.routines: set[Any] = set()
        self.sizes: dict[str, str] = {}
        self.stored: dict[tuple[int, Any], str] = {}
        self.kept: list[np.ndarray] = []  # so that an id stays that of one array

    def input(self, array: Input, name: str) -> None:
        """An argument of the function; symbols of its shape are defined by it."""
        self.known[array] = name
        for axis, extent in enumerate(array.shape):
            if isinstance(extent, Expression) and isinstance(extent.single_atom(), SymbolAtom) and str(extent) not in self.sizes:
                self.sizes[str(extent)] = f"{name}.shape[{axis}]"

    def write(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)

    def array(self, array: Array) -> str:
        """The variable (or literal) that holds an array, after the statements that compute it."""
        order = [(array, False)]
        while order:  # an explicit stack: programs are deeper than Python's recursion limit
            item, ready = order.pop()
            if item in self.known:
                continue
            if not ready and not isinstance(item, (Constant, Input)) and self.is_constant(item) and (known := item.known) is not None:
                self.known[item] = self._constant(known, item.dtype, item.label)
            elif ready or isinstance(item, Constant):
                self._statement(item)
            else:
                order.append((item, True))
                order.extend((source, False) for source in reversed(self._sources(item)) if source not in self.known)
        return self.known[array]

    def _sources(self, array: Array) -> Sequence[Array]:
        """What an array is computed from; views are read through."""
        if not isinstance(array, (Compute, Reduce)):
            return array.sources
        return list(dict.fromkeys(self._through(read).array for read in array.body.reads()))

    def _through(self, read: Read) -> Read:
        """A read of a view as one of what it is a view of."""
        if self.zero and any(isinstance(index, Expression) and index.symbols & self.zero.keys() for index in read.indices):
            read = Read(read.array, tuple(substitute(index, self.zero) for index in read.indices))
        while isinstance(read.array, Compute) and read.array not in self.known and isinstance(read.array.body, Read):
            inner = read.array.body
            if any(isinstance(index, Expression) and index.opaque for index in inner.indices):
                break
            given = dict(zip(map(str, read.array.variables), read.indices))
            read = Read(inner.array, tuple(substitute(index, given) for index in inner.indices))
        return read

    # -- statements ----------------------------------------------------------------------------------------------------
    def _statement(self, array: Array) -> None:
        match array:
            case Constant():
                self.known[array] = self._constant(array.tensor.numpy(), array.dtype, array.label)
            case RoutineOutput():
                self._routine(array.routine)
            case _:
                text = bare(self._definition(array))
                name = self.names.fresh(wish(array))
                self.write(f"{name} = {text}")
                self.known[array] = name

    def _definition(self, array: Array) -> str:
        match array:
            case Reshape():
                return self.words.reshape(self.known[array.source], self.shape(array.shape))
            case Concatenate():
                return self.words.concatenate([self.known[part] for part in array.parts], array.axis)
            case Compute():
                return self._compute(array)
            case Reduce():
                return self._reduce(array)
        raise UnsupportedOperator(f"nothing is known of the input '{array.label}'")

    def _constant(self, data: np.ndarray, dtype: DataType, label: str) -> str:
        if data.size <= WRITTEN_OUT or dtype == DataType.STRING:
            return self.words.small_array(data, dtype)
        return self._weight(data, dtype, label)

    def weight(self, data: np.ndarray, label: str) -> str:
        """The text that reads a table of numbers from the weights."""
        return self._weight(data, DataType.of(data.dtype), label)

    def _weight(self, data: np.ndarray, dtype: DataType, label: str) -> str:
        key = (id(data), dtype)
        if key not in self.stored:
            name = weight_name(label, self.weights)
            self.weights[name] = storable(data)
            self.kept.append(data)
            self.stored[key] = self.words.weight(name, dtype)
        return self.stored[key]

    def _compute(self, array: Compute) -> str:
        frame = Frame([(str(variable), extent) for variable, extent in zip(array.variables, array.shape)])
        if isinstance(array.body, Literal) and array.rank:
            return self.words.full(self.shape(array.shape), self.words.literal(array.body.value, array.dtype), array.dtype)
        text = self.scalar(array.body, frame)
        if isinstance(array.body, (Literal, IndexValue)) or not self.words.is_common(array.dtype) and has_numbers(array.body):
            text = self._typed(text, array.dtype)
        mentioned = self._mentioned(array.body)
        complete = all(name in mentioned or isinstance(extent, int) and extent == 1 for name, extent in frame.variables)
        if complete and (array.rank == least_rank(array, mentioned) or self._has_full_rank(array.body, frame)):
            return text
        return self.words.broadcast(text, self.shape(array.shape)) if array.rank else text

    def _has_full_rank(self, body: Scalar, frame: Frame) -> bool:
        """Whether some array of the frame's rank is an operand, so that broadcasting gives the result all axes."""
        pending = [body]
        while pending:
            item = pending.pop()
            if isinstance(item, Read):
                read = self._through(item)
                if read.array.rank == frame.rank and self._is_aligned(read, frame):
                    return True
            pending.extend(item.arguments)
        return False

    def _typed(self, text: str, dtype: DataType) -> str:
        return f"np.asarray({text}).astype({self.words.dtype(dtype)})"

    def _reduce(self, array: Reduce) -> str:
        self.extents.update({str(variable): extent for variable, extent in zip((*array.variables, *array.reduction), (*array.shape, *array.extents))})
        outer = [(str(variable), extent) for variable, extent in zip(array.variables, array.shape)]
        inner = [(str(variable), extent) for variable, extent in zip(array.reduction, array.extents)]
        if not array.operation.startswith("arg"):
            self.zero.update({name: 0 for name, extent in inner if isinstance(extent, int) and extent == 1})
            inner = [(name, extent) for name, extent in inner if name not in self.zero]
        if array.operation == "sum":
            product = self._product(array.body, outer, inner)
            if product is not None:
                return product
        frame = Frame(self._natural(array.body, outer, inner))
        text = self.scalar(array.body, frame)
        mentioned = self._mentioned(array.body)
        if not all(name in mentioned for name, _ in frame.variables):
            text = self.words.broadcast(text, self.shape([extent for _, extent in frame.variables]))
        if not inner:
            return text
        axes = [place for place, item in enumerate(frame.variables) if item in inner]
        empty = None
        if array.operation in ("max", "min") and any(lower_bound(extent) in (None, 0) for _, extent in inner):
            empty = self.words.literal(identity(array.operation, array.body.dtype), array.body.dtype)
        return self.words.reduce(array.operation, text, axes, array.body.dtype, empty)

    def _natural(self, body: Scalar, outer: Sequence[tuple[str, Dimension]], inner: Sequence[tuple[str, Dimension]]) -> list[tuple[str, Dimension]]:
        """The variables in the order in which an array that is read has its axes, so that nothing need be transposed."""
        for read in body.reads():
            order = plain_order(self._through(read))
            if order is not None and sorted(order) == sorted(name for name, _ in (*outer, *inner)):
                found = [next(item for item in (*outer, *inner) if item[0] == name) for name in order]
                if [item for item in found if item in outer] == list(outer):
                    return found
        return [*outer, *inner]

    def _product(self, body: Scalar, outer: Sequence[tuple[str, Dimension]], inner: Sequence[tuple[str, Dimension]]) -> str | None:
        """A sum of products as such: each factor is an array over its own variables only."""
        factors = [self._through(factor) if isinstance(factor, Read) else factor for factor in factors_of(body)]
        if not 2 <= len(factors) <= 4 or not self.words.is_common(body.dtype) or len(outer) + len(inner) > 26:
            return None
        variables = [*outer, *inner]
        used = [self._mentioned(factor) for factor in factors]
        if not all(any(name in names for names in used) for name, _ in variables) or not all(used):
            return None
        letter = {name: chr(ord("a") + place) for place, (name, _) in enumerate(variables)}
        texts, letters = [], []
        for factor, names in zip(factors, used):
            own = [(name, extent) for name, extent in variables if name in names]
            if isinstance(factor, Read) and (order := plain_order(factor)) is not None:
                texts.append(self.array(factor.array))
                letters.append("".join(letter[name] for name in order))
                continue
            if isinstance(factor, Read) and (windows := self._windows(factor, [name for name, _ in own])) is not None:
                texts.append(windows[0])
                letters.append("".join(letter[name] for name in windows[1]))
                continue
            texts.append(self.scalar(factor, Frame(own)))
            letters.append("".join(letter[name] for name, _ in own))
        return self.words.product(texts, letters, "".join(letter[name] for name, _ in outer))

    # -- scalars -------------------------------------------------------------------------------------------------------
    def scalar(self, scalar: Scalar, frame: Frame) -> str:
        """An expression that gives the scalar for all indices of the frame, broadcast against each other."""
        words = self.words
        match scalar:
            case Literal():
                return words.literal(scalar.value, scalar.dtype)
            case IndexValue():
                text = self.dimension(scalar.expression, frame)
                return text if self._varies(scalar.expression, frame) else f"{self.words.dtype(DataType.INT64)}({bare(text)})"
            case Read():
                return self._read(scalar, frame)
            case Cast():
                inner = self.scalar(scalar.argument, frame)
                if isinstance(scalar.argument, Literal):
                    inner = words.typed(scalar.argument.value, scalar.argument.dtype)
                return words.cast(inner, scalar.argument.dtype, scalar.dtype, scalar.saturate)
            case Select():
                padded = self._padded(scalar, frame)
                if padded is not None:
                    return padded
                inside = Frame(frame.variables, guarded=True)
                then, otherwise = (self._operand(item, inside, all_literal(scalar.then, scalar.otherwise)) for item in (scalar.then, scalar.otherwise))
                return words.where(bare(self.scalar(scalar.condition, frame)), bare(then), bare(otherwise))
            case Operation():
                inside = Frame(frame.variables, guarded=True) if scalar.name == "and" and scalar.dtype == DataType.BOOL else frame
                alone = all_literal(*scalar.arguments)
                arguments = [self._operand(item, inside, alone) for item in scalar.arguments]
                dtype = scalar.arguments[0].dtype
                return words.operation(scalar.name, arguments, dtype)
        raise TypeError(f"no rule for {type(scalar).__name__}")

    def _operand(self, item: Scalar, frame: Frame, alone: bool) -> str:
        if isinstance(item, Literal) and (alone or not self.words.is_common(item.dtype)):
            return self.words.typed(item.value, item.dtype)
        return self.scalar(item, frame)

    def _read(self, read: Read, frame: Frame) -> str:
        read = self._through(read)
        name = self.array(read.array)
        if not read.indices:
            return name
        text = self._view(name, read, frame) or self._taken(name, read, frame)
        if text is not None:
            return text
        names = [variable for variable, _ in frame.variables]
        if not frame.guarded and self.extents.keys() >= set(names) and (windows := self._windows(read, names)) is not None and windows[1] == names:
            return windows[0]
        places = []
        for index, extent in zip(read.indices, read.array.shape):
            text = self.dimension(index, frame)
            safe = not isinstance(index, Expression) or not frame.guarded or lies_within(index, extent)
            places.append(bare(text) if safe else self.words.clip(bare(text), f"{self.dimension(extent - 1, frame)}"))
        return f"{name}[{', '.join(places)}]"

    def _view(self, name: str, read: Read, frame: Frame) -> str | None:
        """A read whose indices are each a number or run along one variable: slices, then an order of axes, then new axes."""
        if self._is_aligned(read, frame):
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
        text = name if all(item == ":" for item in slices) else f"{name}[{', '.join(slices)}]"
        ordered = sorted(places)
        if ordered != places:
            text = self.words.transpose(text, [places.index(place) for place in ordered])
        if not ordered:
            return text
        missing = [":" if place in places else "None" for place in range(ordered[0], frame.rank)]
        return text if "None" not in missing else f"{text}[{', '.join(missing)}]"

    def _is_aligned(self, read: Read, frame: Frame) -> bool:
        """Whether an array is read as broadcasting does by itself."""
        first = frame.rank - read.array.rank
        return first >= 0 and all(
            isinstance(extent, int) and extent == 1 if isinstance(index, int) else self._slice(index, extent, frame) == (":", first + axis)
            for axis, (index, extent) in enumerate(zip(read.indices, read.array.shape))
        )

    def _windows(self, read: Read, names: Sequence[str]) -> tuple[str, list[str]] | None:
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
            end = "" if whole else bare(self.dimension(count * step, Frame(())))
            outer_slices.append(f":{end}" + (f":{step}" if step != 1 else ""))
            inner_slices.append(f"::{dilation}" if dilation != 1 else ":")
        if not inside:
            return None
        text = self.words.windows(self.array(read.array), lengths, axes)
        slices = outer_slices + inner_slices
        return text if all(item == ":" for item in slices) else f"{text}[{', '.join(slices)}]", order + inside

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
        mentioned = self._mentioned(IndexValue(index))
        inside = {place for place, (variable, _) in enumerate(frame.variables) if variable in mentioned}
        if places != [*range(axis), *range(end, frame.rank)] or inside != set(range(axis, end)) or not inside:
            return None
        text = bare(self.dimension(index, Frame(frame.variables[axis:end], frame.guarded)))
        if frame.guarded and not lies_within(index, read.array.shape[axis]):
            text = self.words.clip(text, bare(self.dimension(read.array.shape[axis] - 1, frame)))
        return f"{name}[{':, ' * axis}{text}]"

    def _padded(self, select: Select, frame: Frame) -> str | None:
        """A selection that is a padding: an array inside its bounds, a number outside."""
        if not isinstance(select.then, Read) or not isinstance(select.otherwise, Literal) or not self.words.is_common(select.dtype):
            return None
        read, order = select.then, [name for name, _ in frame.variables]
        if self._through(read) is not read or read.array.rank != frame.rank:
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
            amounts.append(f"({before}, {after})")
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
        if isinstance(start, Expression) and names[0] in start.symbols:
            return None
        if start == 0 and step == 1 and count == extent:
            return ":", place
        if frame.guarded and not lies_within(index, extent):
            return None
        begin = "" if start == 0 else self.dimension(start, frame)
        end = "" if start + step * count == extent else self.dimension(start + step * count, frame)
        return f"{bare(begin)}:{bare(end)}" + (f":{step}" if step != 1 else ""), place

    # -- sizes and indices ---------------------------------------------------------------------------------------------
    def shape(self, shape: Sequence[Dimension]) -> str:
        texts = [bare(self.dimension(extent, Frame(()))) for extent in shape]
        return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"

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
            return text if not below else f"{text}[:{', None' * below}]"
        if isinstance(atom, OpaqueAtom):
            assert isinstance(atom.payload, ScalarKey)
            return self.scalar(atom.payload.scalar, frame)
        assert isinstance(atom, BinaryAtom)
        left, right = (self.dimension(operand, frame) for operand in atom.operands)
        if atom.operation in ("minimum", "maximum"):
            arrays = any(self._varies(side, frame) for side in atom.operands)
            return self.words.extreme(atom.operation, bare(left), bare(right)) if arrays else f"{atom.operation[:3]}({bare(left)}, {bare(right)})"
        return f"({left} {atom.operation} {right})"

    def _mentioned(self, scalar: Scalar) -> set[str]:
        """The symbols that the indices of a scalar mention, views being read through."""
        found: set[str] = set()
        pending = [scalar]
        while pending:
            item = pending.pop()
            pending.extend(item.arguments)
            places = self._through(item).indices if isinstance(item, Read) else (getattr(item, "expression", 0),)
            for place in places:
                if isinstance(place, Expression):
                    found |= place.symbols - self.zero.keys()
                    pending.extend(payload.scalar for payload in place.opaque if isinstance(payload, ScalarKey))
        return found

    @staticmethod
    def _varies(expression: Dimension, frame: Frame) -> bool:
        """Whether an expression is an array over the frame, not one number."""
        return isinstance(expression, Expression) and (bool(expression.opaque) or any(frame.place(name) is not None for name in expression.symbols))

    def size(self, symbol: str) -> str:
        """A size as the source says it."""
        if symbol not in self.sizes:
            routine = defining_routine(symbol)
            if routine is None:
                raise UnsupportedOperator(f"the size '{symbol}' is not determined by the inputs")
            self.array(routine.results[0])
        return self.sizes[symbol]

    # -- routines ------------------------------------------------------------------------------------------------------
    def _routine(self, routine: Any) -> None:
        if routine in self.routines and all(result in self.known for result in routine.results):
            return
        from onward.converters.targets.routines import ROUTINES

        inputs = [self.known[source] for source in routine.inputs]
        self.routines.add(routine)
        ROUTINES[routine.name](self, routine, inputs)
