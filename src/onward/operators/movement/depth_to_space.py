"""DepthToSpace and SpaceToDepth: channels to blocks of pixels, and back."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.registry import operator


@operator("DepthToSpace")
def depth_to_space(data: P.Array, *, blocksize: int, mode: str = "DCR") -> P.Array:
    """(N, C, H, W) to (N, C / b^2, H b, W b). ONNX DepthToSpace-1, DepthToSpace-11 (mode CRD)."""
    batch, channels, height, width = data.shape
    if mode not in ("DCR", "CRD"):
        raise InvalidArgument(f"DepthToSpace has no mode '{mode}'; known are DCR and CRD")
    depth, block = channels // blocksize**2, blocksize
    if mode == "DCR":
        split = P.reshape(data, (batch, block, block, depth, height, width))
        moved = P.transpose(split, [0, 3, 4, 1, 5, 2])
    else:
        split = P.reshape(data, (batch, depth, block, block, height, width))
        moved = P.transpose(split, [0, 1, 4, 2, 5, 3])
    return P.reshape(moved, (batch, depth, height * block, width * block))


@operator("SpaceToDepth")
def space_to_depth(data: P.Array, *, blocksize: int, mode: str = "DCR") -> P.Array:
    """(N, C, H, W) to (N, C b^2, H / b, W / b). ONNX SpaceToDepth-1, SpaceToDepth-28 (mode CRD)."""
    batch, channels, height, width = data.shape
    if mode not in ("DCR", "CRD"):
        raise InvalidArgument(f"SpaceToDepth has no mode '{mode}'; known are DCR and CRD")
    high, wide, block = height // blocksize, width // blocksize, blocksize
    split = P.reshape(data, (batch, channels, high, block, wide, block))
    moved = P.transpose(split, [0, 3, 5, 1, 2, 4] if mode == "DCR" else [0, 1, 3, 5, 2, 4])
    return P.reshape(moved, (batch, channels * block**2, high, wide))
