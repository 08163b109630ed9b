"""Arrays: the values of the tensor program.

An array says how each of its elements is computed. The seven kinds below are all there is; everything a model does
is written with them. Arrays are immutable and compared by identity; building one computes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

import numpy as np

from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, Symbol, product
from onward.ir.tensor import Tensor
from onward.program.scalar import Read, Scalar, ScalarLike, index, scalar

Shape = tuple[Dimension, ...]
ArrayLike = Union["Array", int, float, bool, complex, np.ndarray, np.generic]

_fresh = itertools.count()
_defined_sizes: dict[str, Routine] = {}


def defining_routine(symbol: str) -> Routine | None:
    """The routine that defines a size at run time, or None when the inputs do."""
    return _defined_sizes.get(symbol)


def sizes_are_defined() -> bool:
    """Whether any program so far has a size that a routine defines."""
    return bool(_defined_sizes)


def fresh_symbol(prefix: str, extent: Dimension | None = None) -> Expression:
    """A new symbol; with an extent, an index variable in [0, extent). No size of a model has such a name (`ir.deserialization`)."""
    return Symbol(f"{prefix}@{next(_fresh)}", 0, None if extent is None else extent - 1)


class Array:
    """A value of the tensor program: `shape`, `dtype`, and how each element is computed (by the kind)."""

    __slots__ = ("shape", "dtype", "label", "origins", "_content", "_known", "__weakref__")

    def __init__(self, shape: Sequence[Dimension], dtype: DataType, label: str = "") -> None:
        self.shape: Shape = tuple(shape)
        self.dtype = dtype
        self.label = label or f"{type(self).__name__.lower()}{next(_fresh)}"
        self.origins: tuple[Any, ...] = ()
        self._content: Any = None
        self._known: Any = None

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Dimension:
        """The number of elements."""
        total: Dimension = 1
        for extent in self.shape:
            total = total * extent
        return total

    @property
    def sources(self) -> tuple[Array, ...]:
        """The arrays this one is computed from, each once, in order of first use."""
        return ()

    @property
    def content(self) -> np.ndarray | None:
        """The elements as an object array of ints, bools, floats and Expressions, when all are known before the run.

        Found by evaluating the array's own definition symbolically; only for small arrays. None when not known.
        """
        if self._content is None:
            from onward.program.content import symbolic_content

            self._content = (symbolic_content(self),)
        return self._content[0]

    @property
    def known(self) -> np.ndarray | None:
        """The elements as a NumPy array when they are compile-time constants, else None."""
        if self._known is None:
            from onward.program.content import known_value

            self._known = (known_value(self),)
        return self._known[0]

    def __getitem__(self, indices: Dimension | Scalar | tuple[Dimension | Scalar, ...]) -> Scalar:
        items = indices if isinstance(indices, tuple) else (indices,)
        if len(items) != self.rank:
            raise InvalidArgument(f"{self.label} has {self.rank} axes but is read with {len(items)} indices")
        return Read(self, tuple(index(item) for item in items))

    def item(self) -> Scalar:
        """The element of an array that has one element, as a scalar."""
        return Read(self, (0,) * self.rank)

    def __str__(self) -> str:
        return f"{self.label}: {self.dtype.name.lower()}[{', '.join(map(str, self.shape))}]"

    __repr__ = __str__

    # -- operators on whole arrays -----------------------------------------------------------------------------
    def __add__(self, other: ArrayLike) -> Array:
        return _elementwise("add", self, other)

    def __radd__(self, other: ArrayLike) -> Array:
        return _elementwise("add", other, self)

    def __sub__(self, other: ArrayLike) -> Array:
        return _elementwise("subtract", self, other)

    def __rsub__(self, other: ArrayLike) -> Array:
        return _elementwise("subtract", other, self)

    def __mul__(self, other: ArrayLike) -> Array:
        return _elementwise("multiply", self, other)

    def __rmul__(self, other: ArrayLike) -> Array:
        return _elementwise("multiply", other, self)

    def __truediv__(self, other: ArrayLike) -> Array:
        return _elementwise("divide", self, other)

    def __rtruediv__(self, other: ArrayLike) -> Array:
        return _elementwise("divide", other, self)

    def __neg__(self) -> Array:
        return _elementwise("negate", self)

    def __abs__(self) -> Array:
        return _elementwise("absolute", self)

    def __and__(self, other: ArrayLike) -> Array:
        return _elementwise("and", self, other)

    def __or__(self, other: ArrayLike) -> Array:
        return _elementwise("or", self, other)

    def __xor__(self, other: ArrayLike) -> Array:
        return _elementwise("xor", self, other)

    def __invert__(self) -> Array:
        return _elementwise("not", self)

    def __lt__(self, other: ArrayLike) -> Array:
        return _elementwise("less", self, other)

    def __le__(self, other: ArrayLike) -> Array:
        return _elementwise("less_equal", self, other)

    def __gt__(self, other: ArrayLike) -> Array:
        return _elementwise("greater", self, other)

    def __ge__(self, other: ArrayLike) -> Array:
        return _elementwise("greater_equal", self, other)

    def equal(self, other: ArrayLike) -> Array:
        """Elementwise equality, BOOL."""
        return _elementwise("equal", self, other)

    def __bool__(self) -> bool:
        raise TypeError("an array has no truth value while the program is being written")


def _elementwise(name: str, *operands: ArrayLike) -> Array:
    from onward.program.functions import elementwise_operation

    return elementwise_operation(name, *operands)


class Input(Array):
    """Fed at run time."""

    __slots__ = ()


class Constant(Array):
    """Known data."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor, label: str = "") -> None:
        super().__init__(tensor.shape, tensor.dtype, label or tensor.name)
        self.tensor = tensor


class Parameter(Constant):
    """Data that may be other data in a later run, a weight that is trained. It is `known`, but nothing that is computed from it is."""

    __slots__ = ()


class Compute(Array):
    """The element at `variables` is `body`. Elementwise, broadcast, gather, padding, and every view."""

    __slots__ = ("variables", "body", "_sources")

    def __init__(self, variables: Sequence[Expression], shape: Sequence[Dimension], body: Scalar) -> None:
        super().__init__(shape, body.dtype)
        self.variables = tuple(variables)
        self.body = body
        self._sources = _sources_of(body)

    @property
    def sources(self) -> tuple[Array, ...]:
        return self._sources


class Reduce(Array):
    """`operation` of `body` over the reduction variables, for each index of the output.

    Operations: sum, prod, max, min; argmax and argmin give the int64 position of the first extreme element in the one
    reduction axis. `body` has the accumulator's dtype. A `chain` says how many terms of a sum may be added one by one, where the
    schedule's own choice is not exact enough.
    """

    __slots__ = ("operation", "variables", "reduction", "extents", "body", "chain", "_sources")

    def __init__(
        self,
        operation: str,
        variables: Sequence[Expression],
        shape: Sequence[Dimension],
        reduction: Sequence[Expression],
        extents: Sequence[Dimension],
        body: Scalar,
        chain: int | None = None,
    ) -> None:
        super().__init__(shape, DataType.INT64 if operation.startswith("arg") else body.dtype)
        self.operation = operation
        self.variables = tuple(variables)
        self.reduction = tuple(reduction)
        self.extents = tuple(extents)
        self.body = body
        self.chain = chain
        self._sources = _sources_of(body)

    @property
    def sources(self) -> tuple[Array, ...]:
        return self._sources


class Reshape(Array):
    """The same elements in row-major order under another shape. The sizes are equal by contract."""

    __slots__ = ("source",)

    def __init__(self, source: Array, shape: Sequence[Dimension]) -> None:
        super().__init__(shape, source.dtype)
        self.source = source

    @property
    def sources(self) -> tuple[Array, ...]:
        return (self.source,)

    @property
    def merged(self) -> tuple[tuple[int, ...], ...] | None:
        """For each axis, those of the source that it is merged of; None where axes are also taken apart."""
        rest, found = list(range(self.source.rank)), []
        for extent in self.shape:
            axes = [rest.pop(0)] if rest else []
            while rest and product(self.source.shape[axis] for axis in axes) != extent:
                axes.append(rest.pop(0))
            if product(self.source.shape[axis] for axis in axes) != extent:
                return None
            found.append(tuple(axes))
        return None if rest else tuple(found)


class Concatenate(Array):
    """The sources one after another along `axis`."""

    __slots__ = ("parts", "axis")

    def __init__(self, parts: Sequence[Array], axis: int) -> None:
        total: Dimension = 0
        for part in parts:
            total = total + part.shape[axis]
        shape = parts[0].shape
        super().__init__((*shape[:axis], total, *shape[axis + 1 :]), parts[0].dtype)
        self.parts = tuple(parts)
        self.axis = axis

    @property
    def sources(self) -> tuple[Array, ...]:
        return tuple(dict.fromkeys(self.parts))


class Routine:
    """A primitive that is no index expression: sort, scatter, cumulative sum, non-zero, random numbers.

    `outputs` gives (shape, dtype) of each result; a shape may contain symbols that the routine itself defines at run
    time (`symbols`), such as the number of non-zero elements.
    """

    __slots__ = ("name", "inputs", "outputs", "attributes", "symbols", "results")

    def __init__(
        self,
        name: str,
        inputs: Sequence[Array],
        outputs: Sequence[tuple[Sequence[Dimension], DataType]],
        attributes: Mapping[str, Any],
        symbols: Sequence[Expression] = (),
    ) -> None:
        self.name = name
        self.inputs = tuple(inputs)
        self.outputs = tuple((tuple(shape), dtype) for shape, dtype in outputs)
        self.attributes = dict(attributes)
        self.symbols = tuple(symbols)
        _defined_sizes.update((str(symbol), self) for symbol in symbols)
        self.results = tuple(RoutineOutput(self, position) for position in range(len(self.outputs)))


class RoutineOutput(Array):
    """One result of a routine."""

    __slots__ = ("routine", "position")

    def __init__(self, routine: Routine, position: int) -> None:
        super().__init__(*routine.outputs[position], f"{routine.name}{next(_fresh)}")
        self.routine = routine
        self.position = position

    @property
    def sources(self) -> tuple[Array, ...]:
        return tuple(dict.fromkeys(self.routine.inputs))


def _sources_of(body: Scalar) -> tuple[Array, ...]:
    return tuple(dict.fromkeys(read.array for read in body.reads()))


def compute(shape: Sequence[Dimension], definition: Callable[..., ScalarLike], dtype: DataType | None = None) -> Compute:
    """The array of `shape` whose element at (i, j, ...) is `definition(i, j, ...)`."""
    variables = [fresh_symbol("i", extent) for extent in shape]
    return Compute(variables, shape, scalar(definition(*variables), dtype))


def reduce(
    operation: str,
    shape: Sequence[Dimension],
    extents: Sequence[Dimension],
    definition: Callable[..., ScalarLike],
    dtype: DataType | None = None,
    chain: int | None = None,
) -> Array:
    """`operation` over all (k, ...) below `extents` of `definition(i, ..., k, ...)`, for every (i, ...) below `shape`.

    float16 and bfloat16 are accumulated (or compared) in float32 and rounded once; argmax and argmin give INT64.
    """
    from onward.program.functions import cast

    variables = [fresh_symbol("i", extent) for extent in shape]
    reduction = [fresh_symbol("k", extent) for extent in extents]
    body = scalar(definition(*variables, *reduction), dtype)
    if body.dtype in (DataType.FLOAT16, DataType.BFLOAT16):
        from onward.program.scalar import cast as cast_scalar

        result = Reduce(operation, variables, shape, reduction, extents, cast_scalar(body, DataType.FLOAT))
        return result if result.dtype == DataType.INT64 else cast(result, body.dtype)
    return Reduce(operation, variables, shape, reduction, extents, body, chain)


def mentioned_symbols(array: Array) -> set[str]:
    """The names of all symbols that an array's shape and definition mention, index variables included."""
    places: list[Any] = [*array.shape, *getattr(array, "extents", ())]
    if isinstance(array, (Compute, Reduce)):
        for item in array.body.walk():
            places += [*getattr(item, "indices", ()), getattr(item, "expression", 0)]
    if isinstance(array, RoutineOutput):
        places += array.routine.attributes.values()
    return {name for place in places if isinstance(place, Expression) for name in place.symbols}


def routine(
    name: str,
    inputs: Sequence[Array],
    outputs: Sequence[tuple[Sequence[Dimension], DataType]],
    symbols: Sequence[Expression] = (),
    **attributes: Any,
) -> tuple[RoutineOutput, ...]:
    """The results of the named routine."""
    return Routine(name, inputs, outputs, attributes, symbols).results
