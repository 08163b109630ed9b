"""Normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters import channels_last
from onward.converters.keras.emitter import Tensor, numpy_type
from onward.converters.keras.registry import layer, operate
from onward.converters.keras.walk import Walk
from onward.errors import UnsupportedOperator


@layer("BatchNormalization")
def batch_normalization(w: Walk, owner: Any, inputs: Tensor, mask: Any = None) -> Any:
    c, axis = w.c, _axis(owner) % inputs.rank
    x = c.cast(inputs, "float32") if inputs.dtype in ("float16", "bfloat16") else inputs
    shape, dtype = owner.moving_mean.shape, numpy_type(x.dtype)
    scale = c.tensor(owner.gamma, x.dtype).value if owner.scale else c.constant(np.ones(shape, dtype))
    offset = c.tensor(owner.beta, x.dtype).value if owner.center else c.constant(np.zeros(shape, dtype))
    mean = c.tensor(owner.moving_mean, x.dtype).value
    variance = c.tensor(owner.moving_variance, x.dtype).value
    if x.dtype == "float64":  # the attribute holds a number of single precision
        variance = c.constant(c.array(owner.moving_variance, x.dtype) + (owner.epsilon - float(np.float32(owner.epsilon))))
    order = [0, axis, *(other for other in range(1, x.rank) if other != axis)]
    between = 1 < axis < x.rank - 1
    value = c.op("Transpose", x, perm=order) if between else x.value
    found = channels_last.batch_normalization(
        c, value, scale, offset, mean, variance, epsilon=owner.epsilon, rank=inputs.rank, channels_first=between or axis == 1
    )
    found = c.op("Transpose", found, perm=[int(place) for place in np.argsort(order)]) if between else found
    return c.cast(Tensor(found, x.dtype, x.shape), owner.compute_dtype)


def _axis(owner: Any) -> int:
    """Keras writes an axis as a list with one number where a model was built."""
    axis: int = owner.axis[0] if isinstance(owner.axis, (list, tuple)) else owner.axis
    return axis


@layer("LayerNormalization")
def layer_normalization(w: Walk, owner: Any, inputs: Tensor) -> Any:
    beta = None if getattr(owner, "rms_scaling", False) else owner.beta
    found = operate(w.c, "LayerNorm", inputs, owner.gamma, beta, axis=owner.axis, epsilon=owner.epsilon, rms_scaling=getattr(owner, "rms_scaling", False))
    return w.c.cast(found, owner.compute_dtype)


@layer("RMSNormalization")
def rms_normalization(w: Walk, owner: Any, x: Tensor) -> Any:
    return operate(w.c, "RMSNorm", x, owner.scale, axis=owner.axis, epsilon=owner.epsilon)


@layer("UnitNormalization")
def unit_normalization(w: Walk, owner: Any, inputs: Tensor) -> Any:
    return operate(w.c, "Normalize", inputs, axis=owner.axis, order=2, epsilon=1e-12)


@layer("GroupNormalization")
def group_normalization(w: Walk, owner: Any, inputs: Tensor) -> Any:
    c, axis = w.c, owner.axis % inputs.rank
    channels = inputs.shape[axis]
    if axis not in (1, inputs.rank - 1) or inputs.dtype == "float64" or channels is None:
        raise UnsupportedOperator("groups of an axis in the middle, or of double precision, of which the attribute holds no epsilon")
    x = c.cast(inputs, "float32")
    scale = c.tensor(owner.gamma, "float32").value if owner.scale else c.constant(np.ones(channels, np.float32))
    offset = c.tensor(owner.beta, "float32").value if owner.center else c.constant(np.zeros(channels, np.float32))
    groups = channels if owner.groups == -1 else owner.groups
    found = channels_last.around(
        c, x.value, x.rank, axis == 1, lambda data: c.op("GroupNormalization", data, scale, offset, num_groups=groups, epsilon=float(owner.epsilon))
    )
    return c.cast(Tensor(found, "float32", x.shape), owner.compute_dtype)


@layer("SpectralNormalization")
def spectral_normalization(w: Walk, owner: Any, inputs: Tensor) -> Any:
    """At inference the layer inside, whose kernel was normalised in training."""
    return w.c.tensor(w.layer(owner.layer, [inputs], {}), inputs.dtype)
