"""Complex numbers: pairs of real ones in a last axis. They come from Fourier transforms and leave by their parts and sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tflite.emitter import Emitter, Node
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Tensor

COMPLEX = {"RFFT2D", "REAL", "IMAG", "COMPLEX_ABS", "EXPAND_DIMS", "RESHAPE", "SQUEEZE"}
"""The operators that may read or write them."""


@operator("RFFT2D")
def fourier(c: Emitter, node: Node, x: Tensor, lengths: Tensor) -> Any:
    """Along the last two axes, of the last one the first half."""
    rows, columns = (int(extent) for extent in c.known(lengths, "the length of the transform").reshape(-1))
    pairs = c.op("Unsqueeze", c.value(x), [-1])
    across = c.op("DFT", pairs, np.array(columns), np.array(-2), onesided=1)
    return c.op("DFT", across, np.array(rows), np.array(-3))


@operator("REAL", "IMAG")
def part(c: Emitter, node: Node, x: Tensor) -> Any:
    return c.op("Gather", c.value(x), np.array(int(node.name == "IMAG")), axis=-1)


@operator("COMPLEX_ABS")
def size(c: Emitter, node: Node, x: Tensor) -> Any:
    return c.op("ReduceL2", c.value(x), [-1], keepdims=0)
