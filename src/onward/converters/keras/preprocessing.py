"""What layers that prepare data are in ONNX."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from onward.converters.keras.emitter import Emitter, Tensor, onnx_type
from onward.converters.keras.operations.network import is_first
from onward.converters.keras.registry import LAYERS, layer
from onward.converters.keras.through_jax import translate_layer
from onward.converters.keras.walker import Walker
from onward.errors import UnsupportedOperator

for name in (
    "AugMix", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomElasticTransform",
    "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom",
    "CutMix", "MixUp", "RandAugment",
):  # fmt: skip
    LAYERS[name] = lambda w, owner, inputs, *_, **__: w.c.op("Identity", w.c.tensor(inputs, owner.compute_dtype))

LAYERS["ContrastLimitedAdaptiveHistogramEqualization"] = lambda w, owner, *args, **kwargs: translate_layer(w.c, owner, args, kwargs)


@layer("Discretization")
def discretization(w: Walker, owner: Any, inputs: Any) -> Any:
    """How many of the boundaries are not above a number."""
    c = w.c
    x = c.tensor(inputs, "float32")
    bounds = c.constant(np.array(owner.bin_boundaries, np.float32))
    reached = c.op("Cast", c.op("GreaterOrEqual", c.unsqueeze(x, x.rank), bounds), to=int(onnx_type("int64")))
    index = c.op("ReduceSum", reached, c.integers([-1]), keepdims=0)
    return _encoded(c, owner, Tensor(index, "int64", x.shape), len(owner.bin_boundaries) + 1)


@layer("CategoryEncoding")
def category_encoding(w: Walker, owner: Any, inputs: Any, count_weights: Any = None) -> Any:
    if count_weights is not None:
        raise UnsupportedOperator("weights of counts")
    return _encoded(w.c, owner, w.c.tensor(inputs, "int64"), owner.num_tokens)


def _encoded(c: Emitter, owner: Any, index: Tensor, classes: int) -> Any:
    """Numbers of classes in the layer's output mode."""
    mode, dtype = owner.output_mode, owner.compute_dtype if owner.output_mode != "int" else "int64"
    if mode == "int":
        return index
    if mode not in ("one_hot", "multi_hot", "count") or getattr(owner, "sparse", False):
        raise UnsupportedOperator(f"the output mode '{mode}'")
    if mode == "one_hot" and index.rank > 1 and index.shape[-1] == 1:
        index = Tensor(c.squeeze(index, -1), index.dtype, index.shape[:-1])
    here = c.op("Cast", c.op("Equal", c.unsqueeze(index, index.rank), c.integers(range(classes))), to=int(onnx_type(dtype)))
    if mode == "one_hot":
        return here
    if index.rank < 2:
        return here
    return c.op("ReduceMax" if mode == "multi_hot" else "ReduceSum", here, c.integers([-2]), keepdims=0)


@layer("StringLookup", "IntegerLookup")
def lookup(w: Walker, owner: Any, inputs: Any) -> Any:
    """The place of a word or number in the vocabulary; that of the unknown for all others."""
    c, text = w.c, type(owner).__name__ == "StringLookup"
    if owner.invert or owner.output_mode != "int" or owner.num_oov_indices != 1:
        raise UnsupportedOperator("a lookup that is inverted, does not give numbers, or has not one place for unknown words")
    words = list(owner.get_vocabulary(include_special_tokens=False))
    unknown = 0 if owner.mask_token is None else 1
    places = list(range(unknown + 1, unknown + 1 + len(words)))
    if owner.mask_token is not None:
        words, places = [owner.mask_token, *words], [0, *places]
    keys = {"keys_strings": [str(word) for word in words]} if text else {"keys_int64s": [int(word) for word in words]}
    x = c.tensor(inputs) if text else c.tensor(inputs, "int64")
    return c.op("LabelEncoder", x, domain="ai.onnx.ml", values_int64s=places, default_int64=unknown, **keys)


@layer("CenterCrop")
def center_crop(w: Walker, owner: Any, inputs: Any) -> Any:
    c, x = w.c, w.c.tensor(inputs, owner.compute_dtype)
    axes = (-2, -1) if is_first(owner.data_format) else (-3, -2)
    starts = []
    for axis, size in zip(axes, (owner.height, owner.width)):
        extent = x.shape[axis]
        if extent is None or extent < size:
            raise UnsupportedOperator("a crop of an image whose size is open or less than that of the crop")
        starts.append(int((extent - size) / 2))
    stops = [start + size for start, size in zip(starts, (owner.height, owner.width))]
    return c.op("Slice", x, c.integers(starts), c.integers(stops), c.integers(axis % x.rank for axis in axes))


@layer("Resizing")
def resizing(w: Walker, owner: Any, inputs: Any) -> Any:
    symbolic = keras.KerasTensor(inputs.shape, owner.compute_dtype)
    w.enter(symbolic, w.c.tensor(inputs, owner.compute_dtype))
    if owner.crop_to_aspect_ratio or owner.pad_to_aspect_ratio:
        raise UnsupportedOperator("a kept aspect ratio")
    return w.evaluate(keras.ops.image.resize(symbolic, (owner.height, owner.width), owner.interpolation, owner.antialias, data_format=owner.data_format))
