"""CausalConvWithState."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.linear.convolution import channelwise
from onward.operators.numeric import pointwise, wide
from onward.operators.pooling.window import window_over
from onward.operators.registry import operator


@operator("CausalConvWithState", since=27)
def causal_convolution(x: P.Array, w: P.Array, b: P.Array | None = None, past: P.Array | None = None, *, activation: str = "none") -> tuple[P.Array, P.Array]:
    """Each channel of x (B, C, L) convolved with w (C, 1, k) over this step and k - 1 before; the state for the next call.

    ONNX CausalConvWithState-27. The state (B, C, k - 1) is what stood before x; zeros without one.
    """
    if activation not in ("none", "silu", "swish"):
        raise InvalidArgument(f"CausalConvWithState has the activations none, silu and swish, got '{activation}'")
    before = w.shape[2] - 1
    whole = P.pad(x, [0, 0, before], [0, 0, 0]) if past is None else P.concatenate([past, x], 2)
    values, filters = wide(whole), wide(w)
    window = window_over(values, w.shape[2:], strides=None, dilations=None, pads=None, auto_pad="NOTSET")
    result = channelwise(values, filters, window)
    if b is not None:
        result = result + P.expand_axes(wide(b), [1])
    result = P.cast(result, x.dtype)
    if activation != "none":
        result = pointwise(lambda e: e * P.sigmoid(e), result)
    state = P.slice(whole, [0, 0, whole.shape[2] - before], (*whole.shape[:2], before))
    return result, state
