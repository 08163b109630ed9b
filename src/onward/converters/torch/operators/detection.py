"""Operators of torchvision: boxes and what lies in them."""

from __future__ import annotations

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Tensor
from onward.converters.torch.registry import operator
from onward.ir import Value


@operator("torchvision::nms")
def nms(c: Emitter, boxes: Tensor, scores: Tensor, threshold: float) -> Value:
    """The places of the boxes that stay, the highest score first."""
    items = [c.unsqueeze(c.cast(boxes, torch.float32), 0), c.unsqueeze(c.cast(scores, torch.float32), 0, 1)]
    chosen = c.op("NonMaxSuppression", *items, c.sizes([c.size(boxes, 0)]), np.array([threshold], np.float32))
    return c.op("Gather", chosen, np.array(2), axis=1)


@operator("torchvision::roi_align")
def roi_align(c: Emitter, x: Tensor, boxes: Tensor, scale: float, height: int, width: int, samples: int, aligned: bool) -> Value:
    """Means of samples in the bins of boxes, rows of (picture, left, top, right, bottom)."""
    pictures = c.convert(c.op("Gather", boxes, np.array(0), axis=1), torch.int64)
    corners = c.slice(c.cast(boxes, x.dtype), 1, 1, 5)
    return c.op(
        "RoiAlign", x, corners, pictures, output_height=height, output_width=width, sampling_ratio=max(samples, 0), spatial_scale=float(scale),
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
    )  # fmt: skip
