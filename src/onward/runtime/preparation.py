"""The changes to a model that session options ask for, made before it is compiled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from onward.errors import InvalidArgument
from onward.ir import Model, Tensor, TensorType
from onward.runtime.options import SessionOptions


def prepare(model: Model, options: SessionOptions) -> Model:
    """The model with its free dimensions fixed and initialisers replaced; the model itself when nothing changes.

    Raises InvalidArgument for an initialiser that the model does not have or that has another dtype or shape.
    """
    if not options.changes_model():
        return model
    model = model.copy()
    _fix_dimensions(model, options.overrides(), options.denotation_overrides())
    for name, value in options.initializers().items():
        _replace_initializer(model, name, value)
    return model


def _fix_dimensions(model: Model, by_name: dict[str, int], by_denotation: dict[str, int]) -> None:
    for value in model.graph.inputs:
        kind = value.type
        if not isinstance(kind, TensorType) or kind.shape is None:
            continue
        denotations = kind.dimension_denotations
        shape = []
        for axis, extent in enumerate(kind.shape):
            if not isinstance(extent, int):
                extent = by_name.get(str(extent), extent)
                if axis < len(denotations) and not isinstance(extent, int):
                    extent = by_denotation.get(denotations[axis], extent)
            shape.append(extent)
        value.type = replace(kind, shape=tuple(shape))


def _replace_initializer(model: Model, name: str, value: Any) -> None:
    initializer = model.graph.initializers.get(name)
    if initializer is None or initializer.tensor is None:
        raise InvalidArgument(f"the model has no initialiser '{name}' that could be replaced")
    array = value.numpy() if hasattr(value, "numpy") else np.asarray(value)
    old = initializer.tensor
    if array.dtype != old.dtype.numpy or array.shape != tuple(old.shape):
        raise InvalidArgument(f"initialiser '{name}' is {old.dtype.numpy}{list(old.shape)}, but {array.dtype}{list(array.shape)} was given for it")
    initializer.tensor = Tensor(old.dtype, array.shape, np.ascontiguousarray(array), name)
