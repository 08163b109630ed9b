"""Tensor programs as Python source: each array that is needed becomes a statement over arrays of the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.targets.printing.expressions import Expressions, Frame
from onward.converters.targets.printing.forms import (
    bare,
    factors_of,
    has_numbers,
    identity,
    least_rank,
    plain_order,
    wish,
)
from onward.converters.targets.printing.naming import Names, Scopes
from onward.converters.targets.printing.storage import kept
from onward.converters.targets.printing.words import Words
from onward.errors import UnsupportedOperator
from onward.ir import Origin
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, SymbolAtom, lower_bound
from onward.program.array import Array, Compute, Concatenate, Constant, Input, Parameter, Reduce, Reshape, RoutineOutput
from onward.program.scalar import IndexValue, Literal, Read, Scalar

WRITTEN_OUT = 8
"""Constants of at most so many elements stand in the source, larger ones among the weights."""


class Printer(Expressions):
    """Writes the statements that compute arrays.

    `lines` is the body of the function so far, `origins` tells of each which nodes it belongs to. `weights` are the constants that it reads, by name.
    """

    def __init__(self, words: Words, names: Names) -> None:
        super().__init__(words)
        self.names = names
        self.lines: list[str] = []
        self.origins: list[tuple[Origin, ...]] = []
        self.origin: tuple[Origin, ...] = ()
        self.weights: dict[str, np.ndarray] = {}
        self.indent = 1
        self.scopes = Scopes()
        self.trains = False  # whether the weight that is being written is one that training changes
        self.routines: set[Any] = set()
        self.stored: dict[tuple[int, Any], str] = {}
        self.kept: list[np.ndarray] = []  # so that an id stays that of one array

    def input(self, array: Input, name: str) -> None:
        """An argument of the function; symbols of its shape are defined by it."""
        self.known[array] = name
        for axis, extent in enumerate(array.shape):
            if isinstance(extent, Expression) and isinstance(extent.single_atom(), SymbolAtom) and str(extent) not in self.sizes:
                self.sizes[str(extent)] = self.words.size(name, axis)

    def write(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)
        self.origins.append(self.origin)

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
        return list(dict.fromkeys(self.through(read).array for read in array.body.reads()))

    def _statement(self, array: Array) -> None:
        self.origin = array.origins
        match array:
            case Parameter():
                self.trains = True
                self.known[array] = self.words.parameter(array) or self._weight(array.tensor.numpy(), array.dtype, array.label)
                self.trains = False
            case Constant():
                self.known[array] = self._constant(array.tensor.numpy(), array.dtype, array.label)
            case RoutineOutput():
                self._routine(array.routine)
            case _:
                text = bare(self._definition(array))
                if not text.isidentifier():
                    name = self.names.fresh(wish(array))
                    self.write(f"{name} = {text}")
                    text = name
                self.known[array] = text

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
            name = self.scopes.fresh(label)
            self.weights[name] = kept(data, self.words.kept_in)
            self.kept.append(data)
            self.stored[key] = (self.words.trained_weight if self.trains else self.words.weight)(name, dtype)
        return self.stored[key]

    def _compute(self, array: Compute) -> str:
        frame = Frame([(str(variable), extent) for variable, extent in zip(array.variables, array.shape)])
        if isinstance(array.body, Literal) and array.rank:
            return self.words.full(self.shape(array.shape), self.words.literal(array.body.value, array.dtype), array.dtype)
        text = self.scalar(array.body, frame)
        if isinstance(array.body, (Literal, IndexValue)) or not self.words.is_common(array.dtype) and has_numbers(array.body):
            text = self.words.of_type(text, array.dtype)
        mentioned = self.mentioned(array.body)
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
                read = self.through(item)
                if read.array.rank == frame.rank and self.is_aligned(read, frame):
                    return True
            pending.extend(item.arguments)
        return False

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
        mentioned = self.mentioned(array.body)
        if not all(name in mentioned for name, _ in frame.variables):
            text = self.words.broadcast(text, self.shape([extent for _, extent in frame.variables]))
        if not inner:
            return text
        axes = [place for place, item in enumerate(frame.variables) if item in inner]
        empty = None
        if array.operation in ("max", "min") and any(lower_bound(extent) in (None, 0) for _, extent in inner):
            empty = self.words.literal(identity(array.operation, array.body.dtype), array.body.dtype)
        result = self.words.reduce(array.operation, text, axes, array.body.dtype, empty)
        return self.words.fitted(result, array.dtype) if array.operation in ("sum", "prod") else result

    def _natural(self, body: Scalar, outer: Sequence[tuple[str, Dimension]], inner: Sequence[tuple[str, Dimension]]) -> list[tuple[str, Dimension]]:
        """The variables in the order in which an array that is read has its axes, so that nothing need be transposed."""
        for read in body.reads():
            order = plain_order(self.through(read))
            if order is not None and sorted(order) == sorted(name for name, _ in (*outer, *inner)):
                found = [next(item for item in (*outer, *inner) if item[0] == name) for name in order]
                if [item for item in found if item in outer] == list(outer):
                    return found
        return [*outer, *inner]

    def _product(self, body: Scalar, outer: Sequence[tuple[str, Dimension]], inner: Sequence[tuple[str, Dimension]]) -> str | None:
        """A sum of products as such: each factor is an array over its own variables only."""
        factors = [self.through(factor) if isinstance(factor, Read) else factor for factor in factors_of(body)]
        if not 2 <= len(factors) <= 4 or not self.words.is_common(body.dtype) or len(outer) + len(inner) > 26:
            return None
        variables = [*outer, *inner]
        used = [self.mentioned(factor) for factor in factors]
        single = {name for name, extent in outer if extent == 1 and not any(name in names for names in used)}
        if not all(any(name in names for names in used) or name in single for name, _ in variables) or not all(used):
            return None
        letter = {name: chr(ord("a") + place) for place, (name, _) in enumerate(variables)}
        texts, letters = [], []
        for factor, names in zip(factors, used):
            own = [(name, extent) for name, extent in variables if name in names]
            if isinstance(factor, Read) and (order := plain_order(factor)) is not None:
                texts.append(self.array(factor.array))
                letters.append("".join(letter[name] for name in order))
                continue
            if isinstance(factor, Read) and (windows := self.windows(factor, [name for name, _ in own])) is not None:
                texts.append(windows[0])
                letters.append("".join(letter[name] for name in windows[1]))
                continue
            texts.append(self.scalar(factor, Frame(own)))
            letters.append("".join(letter[name] for name, _ in own))
        text = self.words.product(texts, letters, "".join(letter[name] for name, _ in outer if name not in single))
        text = self.words.fitted(text, body.dtype)
        return self.words.slice(text, ["None" if name in single else ":" for name, _ in outer])

    def _routine(self, routine: Any) -> None:
        if routine in self.routines and all(result in self.known for result in routine.results):
            return
        from onward.converters.targets.printing.routines import ROUTINES

        inputs = [self.known[source] for source in routine.inputs]
        self.routines.add(routine)
        ROUTINES[routine.name](self, routine, inputs)
