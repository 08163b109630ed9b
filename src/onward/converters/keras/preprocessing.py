"""What layers that prepare data are in ONNX."""

from __future__ import annotations

from typing import Any

import keras

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
