"""Resizing of images and sampling at given places."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.torch.emitter import Emitter, Tensor, is_static
from onward.converters.torch.registry import aten
from onward.errors import UnsupportedOperator
from onward.ir import Value


def _resized(c: Emitter, x: Tensor, sizes: Any, scales: Any, **how: Any) -> Value:
    """To sizes, or by factors where these were given: the grid depends on the factors themselves."""
    spatial = x.rank - 2
    outer = [c.size(x, 0), c.size(x, 1)]
    known = scales is not None and all(item is not None for item in scales)
    if known and sizes is not None:  # the sizes say more than the factors
        grown = [int(extent * scale) if is_static(extent) else None for extent, scale in zip(x.shape[2:], scales)]
        known = grown == list(sizes)
    if known:
        factors = c.array(np.array([1, 1, *scales], np.float32))
        return c.op("Resize", x, None, factors, **how)
    if sizes is None:
        sizes = c.result.shape[2:]
        if not all(is_static(item) for item in sizes):
            raise UnsupportedOperator("resizing to sizes that are not known")
    assert len(sizes) == spatial
    return c.op("Resize", x, None, None, [*outer, *sizes], **how)


def _factors(scales: tuple[Any, ...]) -> Any:
    if not scales or scales[0] is None:
        return None
    return scales[0] if isinstance(scales[0], (list, tuple)) else list(scales)


def _nearest(exact: bool) -> Any:
    def emit(c: Emitter, x: Tensor, sizes: Any, *scales: Any) -> Value:
        how = {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"} if exact else {
            "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}  # fmt: skip
        return _resized(c, x, sizes, _factors(scales), mode="nearest", **how)

    return emit


def _linear(mode: str, antialias: bool = False) -> Any:
    def emit(c: Emitter, x: Tensor, sizes: Any, align_corners: bool, *scales: Any) -> Value:
        # PyTorch of today makes no exception of one pixel, as ONNX's "pytorch_half_pixel" does.
        how: dict[str, Any] = {"coordinate_transformation_mode": "align_corners" if align_corners else "half_pixel"}
        if mode == "cubic":
            how["cubic_coeff_a"] = -0.5 if antialias else -0.75
        if antialias:
            how |= {"antialias": 1, "exclude_outside": 1}
        # With aligned corners the grid depends on the sizes alone.
        known = align_corners and all(is_static(extent) for extent in c.result.shape)
        return _resized(c, x, sizes, None if known else _factors(scales), mode=mode, **how)

    return emit


for _rank, _name in {1: "linear", 2: "bilinear", 3: "trilinear"}.items():
    aten(f"upsample_nearest{_rank}d")(_nearest(False))
    aten(f"_upsample_nearest_exact{_rank}d")(_nearest(True))
    aten(f"upsample_{_name}{_rank}d")(_linear("linear"))
aten("upsample_bicubic2d")(_linear("cubic"))
aten("_upsample_bilinear2d_aa")(_linear("linear", True))
aten("_upsample_bicubic2d_aa")(_linear("cubic", True))


@aten("grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "cudnn_grid_sampler")
def grid_sampler(c: Emitter, x: Tensor, grid: Tensor, mode: int = 0, padding: int = 0, align_corners: bool = False) -> Value:
    return c.op(
        "GridSample", x, grid, mode=["linear", "nearest", "cubic"][mode],
        padding_mode=["zeros", "border", "reflection"][padding], align_corners=int(align_corners),
    )  # fmt: skip


@aten("affine_grid_generator")
def affine_grid(c: Emitter, theta: Tensor, size: list[Any], align_corners: bool = False) -> Value:
    return c.op("AffineGrid", theta, list(size), align_corners=int(align_corners))
