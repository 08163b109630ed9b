"""The types of all values of a model, found by lowering it: an array knows its shape and data type.

No operator has a rule of its own for shapes. Where a page is missing, types are unknown from there on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from onward import program as P
from onward.errors import InferenceError
from onward.ir import Graph, Model, SequenceType, TensorType, Value
from onward.ir.expressions import Dimension, Expression, substitute
from onward.operators.lowering import Lowering, describe
from onward.operators.schema import type_string

Shape = tuple[Any, ...]


def infer(model: Model) -> Model:
    """Sets the type of every value of the model, with symbolic extents, and returns the model.

    Declared types are checked against what was found. A size that is known only during the run takes the name that the
    file declares for it. Raises InferenceError, which names the node and the value, where the two contradict each other
    or where an operator refuses its inputs.
    """
    found = Lowering(model).run().values
    names = _declared_names(found, _own_symbols(model.graph))
    for value, array in found.items():
        if isinstance(array, P.Array):
            shape = tuple(substitute(extent, names) for extent in array.shape)
            value.type = TensorType(array.dtype, _merge(value, array, shape))
        elif isinstance(array, list):
            _settle_sequence(value, _common_type(array))
    return model


def _settle_sequence(value: Value, found: TensorType | None) -> None:
    declared = value.type
    if declared is None:
        value.type = SequenceType(found)
    elif isinstance(declared, SequenceType) and isinstance(declared.element, TensorType) and found is not None:
        if declared.element.dtype not in (found.dtype, 0):
            raise InferenceError(f"{_place(value)} is declared as a sequence of {declared.element.dtype.name}, but holds {found.dtype.name}")


def _common_type(items: list[Any]) -> TensorType | None:
    """The type that all elements of a sequence have; extents that differ are unknown."""
    if not items or not all(isinstance(item, P.Array) and item.dtype == items[0].dtype for item in items):
        return None
    if any(item.rank != items[0].rank for item in items):
        return TensorType(items[0].dtype)
    columns = zip(*(item.shape for item in items))
    return TensorType(items[0].dtype, tuple(column[0] if len(set(column)) == 1 else None for column in columns))


def _own_symbols(graph: Graph) -> frozenset[str]:
    """The names that the file gives to dimensions of the inputs."""
    return frozenset(
        name
        for value in graph.inputs
        for extent in (value.type.shape or () if isinstance(value.type, TensorType) else ())
        if isinstance(extent, Expression)
        for name in extent.symbols
    )


def _declared(value: Value, array: P.Array) -> Iterator[tuple[Dimension, Dimension]]:
    """Pairs of found and declared extents."""
    kind = value.type
    if isinstance(kind, TensorType) and kind.shape is not None and len(kind.shape) == array.rank:
        for extent, declared in zip(array.shape, kind.shape):
            if declared is not None:
                yield extent, declared


def _declared_names(found: Mapping[Value, Any], own: frozenset[str]) -> dict[str, Dimension]:
    """Symbols that we made up -> what the file says of them."""
    names: dict[str, Dimension] = {}
    for value, array in found.items():
        if isinstance(array, P.Array) and not isinstance(array, P.Input):
            for extent, declared in _declared(value, array):
                made_up = str(extent) if isinstance(extent, Expression) and str(extent) in extent.symbols else ""
                if made_up and made_up not in own and str(declared) != made_up:
                    names.setdefault(made_up, declared)
    return names


def _merge(value: Value, array: P.Array, shape: Shape) -> Shape:
    """The found shape, after a look at the declared one."""
    kind = value.type
    if not isinstance(kind, TensorType):
        if kind is not None:
            raise InferenceError(f"{_place(value)} is declared as {type_string(kind)}, but is a tensor")
        return shape
    if kind.dtype != array.dtype and kind.dtype:
        raise InferenceError(f"{_place(value)} is declared with data type {kind.dtype.name}, but has {array.dtype.name}")
    if kind.shape is None:
        return shape
    if len(kind.shape) != len(shape) or any(
        isinstance(extent, int) and isinstance(declared, int) and extent != declared for extent, declared in zip(shape, kind.shape)
    ):
        shown, wanted = (", ".join(map(str, extents)) for extents in (shape, kind.shape))
        raise InferenceError(f"{_place(value)} is declared with shape ({wanted}), but has ({shown})")
    # The file may know more: that min(1, length) is 1, because no length is 0.
    return tuple(declared if isinstance(declared, int) else extent for extent, declared in zip(shape, kind.shape))


def _place(value: Value) -> str:
    if value.producer is not None:
        return f"value '{value.name}' of {describe(value.producer)}"
    return f"value '{value.name}'"
