"""ConvTranspose."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.expressions import Dimension
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("ConvTranspose")
@computed_wide
def transposed_convolution(
    x: P.Array,
    w: P.Array,
    b: P.Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    output_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> P.Array:
    """Element i of x (N, C, ...) adds x[i] * w[k] to element i * stride + k * dilation - pad. ONNX ConvTranspose-1, -11.

    w is (C, M / group, ...), b (M).
    """
    rank = x.rank - 2
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations)]
    full = [(extent - 1) * s + r for extent, s, r in zip(x.shape[2:], strides, reach)]
    extra = output_padding or [0] * rank
    starts, extents = placement(full, extra, x.shape[2:], strides, pads or [0] * (2 * rank), output_shape, auto_pad)
    parts = _split_channels(x, w, group)
    result = _phases(*parts, strides) if all(d == 1 for d in dilations) else _dilated(*parts, strides, dilations)
    result = P.reshape(result, (x.shape[0], w.shape[1] * group, *result.shape[3:]))
    result = _cropped(result, starts, extents)
    return result if b is None else result + P.expand_axes(b, range(1, rank + 1))


def placement(
    full: list[Dimension],
    extra: list[int],
    source: tuple[Dimension, ...],
    strides: list[int],
    pads: list[int],
    output_shape: list[int] | None,
    auto_pad: str,
) -> tuple[list[Dimension], list[Dimension]]:
    """Where the output begins in the full result and how long it is, for each axis."""
    rank = len(full)
    if output_shape is not None:
        output_shape = output_shape[-rank:]
    elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        output_shape = [extent * s for extent, s in zip(source, strides)]  # type: ignore[misc]
    if output_shape is None:
        return list(pads[:rank]), [f + e - low - high for f, e, low, high in zip(full, extra, pads, pads[rank:])]
    totals = [P.maximum_dimension(f + e - wanted, 0) for f, e, wanted in zip(full, extra, output_shape)]
    starts = [total // 2 if auto_pad != "SAME_LOWER" else total - total // 2 for total in totals]
    return starts, list(output_shape)


def _split_channels(x: P.Array, w: P.Array, group: int) -> tuple[P.Array, P.Array]:
    """x (N, G, C / G, ...) and w (G, C / G, M / G, ...)."""
    if isinstance(x.shape[1], int) and x.shape[1] % group:
        raise InvalidArgument(f"the channels of {x} do not split into {group} groups")
    depth = w.shape[0] // group
    return (
        P.reshape(x, (x.shape[0], group, depth, *x.shape[2:])),
        P.reshape(w, (group, depth, *w.shape[1:])),
    )


def _phases(x: P.Array, w: P.Array, strides: list[int]) -> P.Array:
    """The full result. Outputs that are alike modulo the stride form a plain convolution with every stride-th tap.

    With o = s * q + r: out[q, r] = sum over t of x[q - t] * w[s * t + r], so that no product with zero is computed.
    """
    rank = len(strides)
    taps = [P.ceiling_divide(kernel, s) for kernel, s in zip(w.shape[3:], strides)]
    bank = P.pad(w, [0] * w.rank, [0, 0, 0, *(t * s - kernel for t, s, kernel in zip(taps, strides, w.shape[3:]))])
    margin = [t - 1 for t in taps]
    padded = P.pad(x, [0, 0, 0, *margin], [0, 0, 0, *margin])
    counts = [extent + t - 1 for extent, t in zip(x.shape[3:], taps)]

    def element(n: Dimension, g: Dimension, m: Dimension, *rest: Dimension) -> P.Scalar:
        position, c, tap = rest[: 2 * rank], rest[2 * rank], rest[2 * rank + 1 :]
        quotients, phases = position[0::2], position[1::2]
        places = [q - t + edge for q, t, edge in zip(quotients, tap, margin)]
        weights = [s * t + r for s, t, r in zip(strides, tap, phases)]
        return padded[(n, g, c, *places)] * bank[(g, c, m, *weights)]

    spread = [extent for pair in zip(counts, strides) for extent in pair]
    result = P.reduce("sum", (x.shape[0], x.shape[1], w.shape[2], *spread), (x.shape[2], *taps), element)
    return P.reshape(result, (*result.shape[:3], *(count * s for count, s in zip(counts, strides))))


def _dilated(x: P.Array, w: P.Array, strides: list[int], dilations: list[int]) -> P.Array:
    """The full result with a dilated kernel: x with zeros between its elements, convolved with the kernel turned round."""
    rank = len(strides)
    reach = [(kernel - 1) * d for kernel, d in zip(w.shape[3:], dilations)]
    counts = [(extent - 1) * s + 1 for extent, s in zip(x.shape[3:], strides)]

    def spread(*position: Dimension) -> P.Scalar:
        outer, places = position[:3], position[3:]
        value = x[(*outer, *(place // s for place, s in zip(places, strides)))]
        for place, s in zip(places, strides):
            if s > 1:
                value = P.where(P.equal(P.scalar(place % s), 0), value, P.scalar(0, x.dtype))
        return value

    stuffed = P.compute((*x.shape[:3], *counts), spread)
    padded = P.pad(stuffed, [0, 0, 0, *reach], [0, 0, 0, *reach])

    def element(n: Dimension, g: Dimension, m: Dimension, *rest: Dimension) -> P.Scalar:
        position, c, tap = rest[:rank], rest[rank], rest[rank + 1 :]
        places = [o + d * k for o, d, k in zip(position, dilations, tap)]
        turned = [kernel - 1 - k for kernel, k in zip(w.shape[3:], tap)]
        return padded[(n, g, c, *places)] * w[(g, c, m, *turned)]

    extents = [count + r for count, r in zip(counts, reach)]
    shape = (x.shape[0], x.shape[1], w.shape[2], *extents)
    return P.reduce("sum", shape, (x.shape[2], *w.shape[3:]), element)


def _cropped(full: P.Array, starts: list[Dimension], extents: list[Dimension]) -> P.Array:
    """The part that is wanted; zeros where it reaches beyond the full result."""
    before = [0, 0, *(-start for start in starts)]
    after = [0, 0, *(start + extent - have for start, extent, have in zip(starts, extents, full.shape[2:]))]
    return P.pad(full, before, after)
