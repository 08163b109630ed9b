"""What layers that prepare data are in ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.keras.emitter import numpy_type
from onward.converters.keras.operations.network import is_first
from onward.converters.keras.registry import LAYERS, layer, operate
from onward.converters.keras.walk import Walk
from onward.errors import UnsupportedOperator

for name in (
    "AugMix", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomElasticTransform",
    "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom",
    "CutMix", "MixUp", "RandAugment",
):  # fmt: skip
    LAYERS[name] = lambda w, owner, inputs, *_, **__: w.c.op("Identity", w.c.tensor(inputs, owner.compute_dtype))


@layer("CenterCrop")
def center_crop(w: Walk, owner: Any, inputs: Any) -> Any:
    c, x = w.c, w.c.tensor(inputs, owner.compute_dtype)
    axes = (-2, -1) if is_first(c, owner.data_format) else (-3, -2)
    starts = []
    for axis, size in zip(axes, (owner.height, owner.width)):
        extent = x.shape[axis]
        if extent is None or extent < size:
            raise UnsupportedOperator("a crop of an image whose size is open or less than that of the crop")
        starts.append(int((extent - size) / 2))
    stops = [start + size for start, size in zip(starts, (owner.height, owner.width))]
    return c.op("Slice", x, c.integers(starts), c.integers(stops), c.integers(axis % x.rank for axis in axes))


@layer("Pipeline")
def pipeline(w: Walk, owner: Any, inputs: Any, *_: Any, **__: Any) -> Any:
    for item in owner.layers:
        inputs = w.c.described(w.layer(item, [w.c.tensor(inputs)], {}))
    return inputs


@layer("Resizing")
def resizing(w: Walk, owner: Any, inputs: Any) -> Any:
    return operate(
        w.c, "Resize", w.c.tensor(inputs, owner.compute_dtype), size=(owner.height, owner.width), interpolation=owner.interpolation,
        antialias=owner.antialias, crop_to_aspect_ratio=owner.crop_to_aspect_ratio, pad_to_aspect_ratio=owner.pad_to_aspect_ratio,
        data_format=owner.data_format,
    )  # fmt: skip


@layer("Rescaling")
def rescaling(w: Walk, owner: Any, inputs: Any) -> Any:
    x = w.c.tensor(inputs, owner.compute_dtype)
    scale, offset = (np.asarray(item, numpy_type(owner.compute_dtype)) for item in (owner.scale, owner.offset))
    if w.c.channels_first:
        scale, offset = (item.reshape(*item.shape, *(1,) * (3 - item.ndim)) if item.ndim else item for item in (scale, offset))
    return w.c.op("Add", w.c.op("Mul", x, w.c.constant(scale)), w.c.constant(offset))


@layer("Normalization")
def normalization(w: Walk, owner: Any, inputs: Any) -> Any:
    c, dtype = w.c, owner.compute_dtype
    mean, variance = (c.array(item, dtype) for item in (owner.mean, owner.variance))
    spread = np.maximum(np.sqrt(variance), numpy_type(dtype).type(c.epsilon))
    x = c.tensor(inputs, dtype)
    if owner.invert:
        return c.op("Add", c.constant(mean), c.op("Mul", x, c.constant(spread)))
    return c.op("Div", c.op("Sub", x, c.constant(mean)), c.constant(spread))
