"""The broadcasting of opset 1 to 6, which had to be asked for."""

from __future__ import annotations

from onward import program as P


def legacy_broadcast(left: P.Array, right: P.Array, axis: int | None, broadcast: int) -> P.Array:
    """`right` with axes of extent 1 appended, so that its first axis stands at `axis` of `left`. ONNX Add-1, Add-6."""
    if not broadcast or axis is None:
        return right
    trailing = left.rank - P.normalize_axis(axis, left.rank) - right.rank
    return P.expand_axes(right, range(right.rank, right.rank + trailing)) if trailing > 0 else right
