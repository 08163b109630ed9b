"""Which sizes of a converted model stay open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onward.converters.certificate import Reference
from onward.errors import InvalidArgument
from onward.ir import Model, TensorType
from onward.ir.expressions import Expression
from onward.operators import infer


def fix_others(model: Model, reference: Reference, names: Sequence[str]) -> Reference:
    """Fixes the open sizes that are not among `names` at those of the first data of the reference, and gives the reference with
    the data that still fit. Raises InvalidArgument for a name that no open size has."""
    first = next(iter(reference.data.values()))
    sizes: dict[str, int] = {}
    for value in model.graph.inputs:
        for extent, size in zip(_shape(value), np.shape(_feed(first, value.name))):
            if isinstance(extent, Expression):
                sizes.setdefault(str(extent), size)
    unknown = set(names) - sizes.keys()
    if unknown:
        raise InvalidArgument(f"no size is called {sorted(unknown)}; open are {sorted(sizes)}")
    fixed = {name: size for name, size in sizes.items() if name not in names}
    for value in (item for item in (*model.graph.values(), *model.graph.outputs) if isinstance(item.type, TensorType)):
        assert isinstance(value.type, TensorType)
        if value in model.graph.inputs:
            value.type = replace(value.type, shape=tuple(fixed.get(str(extent), extent) for extent in _shape(value)))
        else:
            value.type = None
    infer(model)
    notes = (*reference.notes, *(f"size '{name}' was fixed at {size}" for name, size in fixed.items()))
    return replace(reference, data={what: data for what, data in reference.data.items() if _fits(model, data)}, notes=notes)


def _fits(model: Model, data: Any) -> bool:
    return all(
        not isinstance(extent, int) or extent == size for value in model.graph.inputs for extent, size in zip(_shape(value), np.shape(_feed(data, value.name)))
    )


def _feed(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, Mapping) else data


def _shape(value: Any) -> tuple[Any, ...]:
    return value.type.shape or () if isinstance(value.type, TensorType) else ()
