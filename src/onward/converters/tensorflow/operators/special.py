"""Special functions, computed in double precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters import special_functions
from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.ir import Value


def quantile(c: Emitter, x: Value) -> Value:
    """The inverse of the normal distribution: sqrt(2) erfinv(2 x - 1)."""
    doubled = c.op("Sub", c.op("Mul", x, np.array(2.0)), np.array(1.0))
    return c.op("Mul", special_functions.erfinv(c, doubled), np.array(math.sqrt(2)))


SERIES = {
    "Erfc": special_functions.erfc, "Erfinv": special_functions.erfinv, "Lgamma": special_functions.lgamma,
    "Digamma": special_functions.digamma, "Ndtri": quantile,
}  # fmt: skip


@operator(*SERIES)
def special(c: Emitter, op: Any, x: Tensor) -> Value:
    made = SERIES[op.type](c, c.cast(x, tf.float64))  # type: ignore[arg-type]
    return made if x.dtype == tf.float64 else c.cast(made, x.dtype)
