"""Which inputs have a first axis of their own: the boxes of a picture, the edges of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import data_type

USUAL, OTHER = 2, 5
"""Sizes of the first axis: that of all inputs, and that of the one that is tried."""


def apart(captured: Any, may_run: bool) -> set[str]:
    """The inputs whose first axis is open and need not be as long as that of the first input that has one.

    The example tells, and where `may_run` the function itself: whether it takes data in which one input alone is longer.
    """
    ranks = {name: tensor.shape.rank for name, tensor in zip(captured.names, captured.inputs, strict=True)}
    open_ones = [name for name, tensor in zip(captured.names, captured.inputs, strict=True) if ranks[name] and tensor.shape.as_list()[0] is None]
    if len(open_ones) < 2:
        return set()
    first, example = open_ones[0], captured.example or {}
    found = {name for name in open_ones if name in example and len(example[name]) != len(example[first])}
    if may_run and _accepts(captured, ""):
        found |= {name for name in open_ones if _accepts(captured, name)}
    return found if found < set(open_ones) else found - {first}


def _accepts(captured: Any, longer: str) -> bool:
    """Whether the function takes zeros of which one input is longer."""
    feeds = {}
    for name, tensor in zip(captured.names, captured.inputs, strict=True):
        if tensor.shape.rank is None:
            return False
        extents = tensor.shape.as_list()
        shape = [(OTHER if name == longer and not axis else USUAL) if extent is None else extent for axis, extent in enumerate(extents)]
        kind = data_type(tensor.dtype).numpy
        feeds[name] = np.full(shape + [2] * tensor.dtype.is_complex, "" if tensor.dtype == tf.string else 0, kind)
    try:
        captured(feeds)
    except Exception:  # the function does not take this data
        return False
    return True
