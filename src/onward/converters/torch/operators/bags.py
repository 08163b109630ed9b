"""Embeddings summed over bags of indices, rows kept below a norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Tensor
from onward.converters.torch.operators.reductions import vector_norm
from onward.converters.torch.registry import aten
from onward.ir import Value


@aten("_embedding_bag_forward_only", "_embedding_bag")
def embedding_bag(
    c: Emitter, weight: Tensor, indices: Tensor, offsets: Tensor, scale_grad_by_freq: bool = False, mode: int = 0,
    sparse: bool = False, per_sample_weights: Tensor | None = None, include_last_offset: bool = False, padding_idx: int = -1,
) -> Any:  # fmt: skip
    """Sums, means or maxima of the rows of every bag; a bag without indices is zero."""
    index, starts = c.cast(indices, torch.int64), c.cast(offsets, torch.int64)
    if include_last_offset:
        starts = c.slice(starts, 0, 0, -1)
    along = c.op("Range", np.array(0), c.op("Squeeze", c.op("Shape", index)), np.array(1))
    begun = c.op("LessOrEqual", c.unsqueeze(starts, 0), c.unsqueeze(along, 1))
    bag = c.op("Sub", c.op("ReduceSum", c.convert(begun, torch.int64), [1], keepdims=0), np.array(1))
    counted = c.op("Not", c.op("Equal", index, np.array(padding_idx)))
    rows = c.op("Gather", weight, index, axis=0)
    if per_sample_weights is not None:
        rows = c.op("Mul", rows, c.unsqueeze(per_sample_weights, 1))
    neutral = -math.inf if mode == 2 else 0.0
    rows = c.op("Where", c.unsqueeze(counted, 1), rows, c.number(neutral, weight.dtype))
    shape = c.op("Concat", c.op("Shape", starts), c.sizes([c.size(weight, 1)]), axis=0)
    base = c.op("Expand", c.number(neutral, weight.dtype), shape)
    made = c.op("ScatterND", base, c.unsqueeze(bag, 1), rows, reduction="max" if mode == 2 else "add")
    zeros = c.op("Expand", np.array(0), c.op("Shape", starts))
    sizes = c.op("ScatterElements", zeros, bag, c.convert(counted, torch.int64), axis=0, reduction="add")
    if mode == 1:
        made = c.op("Div", made, c.convert(c.unsqueeze(c.op("Max", sizes, np.array(1)), 1), weight.dtype))
    if mode == 2:
        made = c.op("Where", c.op("Equal", c.unsqueeze(sizes, 1), np.array(0)), c.number(0, weight.dtype), made)
    return [made, bag, sizes, zeros]


@aten("embedding_renorm")
def embedding_renorm(c: Emitter, weight: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Value:
    """Rows that are too long are shortened; all of them, as only those looked up are read."""
    norm = vector_norm(c, weight, norm_type, [1], True)
    factor = c.op("Div", c.number(max_norm, weight.dtype), c.op("Add", norm, c.number(1e-7, weight.dtype)))
    long = c.op("Greater", norm, c.number(max_norm, weight.dtype))
    return c.op("Where", long, c.op("Mul", weight, factor), weight)
