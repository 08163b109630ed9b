"""Which steps are masked: what layers give on, as Keras has it attached to tensors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from onward.converters.keras.emitter import Emitter, Tensor
from onward.converters.keras.files.layer import SavedLayer
from onward.converters.keras.layers.core import unmasked
from onward.converters.keras.layers.merging import OPERATORS
from onward.converters.keras.registry import operate
from onward.converters.keras.structure import flatten, mapped
from onward.converters.keras.walk import Walk

PASSING = frozenset({
    "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dense", "Dropout", "ELU", "GaussianDropout", "GaussianNoise",
    "GroupNormalization", "Identity", "LayerNormalization", "LeakyReLU", "Normalization", "PReLU", "ReLU", "Rescaling", "Softmax",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "TimeDistributed", "UnitNormalization", "MultiHeadAttention",
})  # fmt: skip
"""Layers whose result is masked as their (first) input is."""

RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional"})


def of(item: Any) -> Any:
    """The masks of a structure of tensors."""
    return mapped(lambda part: part.mask if isinstance(part, Tensor) else None, item)


def taken(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The masks that a layer's function gets with its arguments, where the call does not say them."""
    parameters = [name for name, item in inspect.signature(function).parameters.items() if item.kind == item.POSITIONAL_OR_KEYWORD][2:]
    named = {**dict(zip(parameters, args)), **kwargs}
    tensors = {name: item for name, item in named.items() if any(isinstance(part, Tensor) for part in flatten(item))}
    found = {}
    for name, item in tensors.items():
        called = "mask" if len(tensors) == 1 and "mask" in parameters else f"{name}_mask"
        if called in parameters and named.get(called) is None and any(part is not None for part in flatten(of(item))):
            found[called] = of(item)
    return found


def given(w: Walk, layer: SavedLayer, first: Any, results: Any) -> Any:
    """The results of a layer with their masks. `first` is its first argument."""
    parts = flatten(results)
    found = _mask(w, layer, first)
    if found is None or not parts:
        return results
    masked = iter([replace(parts[0], mask=found), *parts[1:]])
    return mapped(lambda _: next(masked), results)


def _mask(w: Walk, layer: SavedLayer, first: Any) -> Tensor | None:
    c, kind, masks = w.c, layer.kind, flatten(of(first))
    if kind == "Embedding" and layer.mask_zero:
        return c.described(c.op("Not", c.op("Equal", first, c.number(0, first.dtype))))
    if kind == "Masking":
        return c.described(c.value(unmasked(w, layer, first, keepdims=False)))
    if not any(mask is not None for mask in masks):
        return None
    if kind in OPERATORS:
        return None if any(mask is None for mask in masks) else _either(c, masks)
    if kind == "Concatenate":
        return _joined(c, layer, first, masks)
    if kind in ("Attention", "AdditiveAttention") or kind in PASSING or kind in RECURRENT and layer.return_sequences:
        return masks[0]
    return None


def _either(c: Emitter, masks: Sequence[Any]) -> Tensor:
    found, *others = masks
    for mask in others:
        found = c.described(c.op("Or", found, mask))
    return found


def _joined(c: Emitter, layer: SavedLayer, inputs: Sequence[Tensor], masks: Sequence[Any]) -> Tensor:
    """Masks side by side where the inputs are; those without one are not masked."""
    parts = []
    for item, mask in zip(inputs, masks, strict=True):
        shape = c.op("Shape", item)
        if mask is None:
            parts.append(c.op("Expand", c.number(True, "bool"), shape))
        else:
            parts.append(c.op("Expand", c.unsqueeze(mask, -1) if mask.rank < item.rank else mask, shape))
    whole = c.described(c.op("Concat", *parts, axis=layer.axis))
    return c.described(c.value(operate(c, "Any", whole, axis=-1, keepdims=False)))
