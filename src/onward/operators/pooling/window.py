"""Windows that slide over the spatial axes: what convolution and pooling share.

An input (N, C, D1, ..., Dr) has r spatial axes. The window of output element o covers the padded elements
o * stride + k * dilation, k < kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.expressions import Dimension


@dataclass(frozen=True)
class Window:
    """Kernel extents, strides, dilations, and for each spatial axis the padding and the number of positions."""

    kernel: tuple[Dimension, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[Dimension, ...]
    after: tuple[Dimension, ...]
    positions: tuple[Dimension, ...]

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.kernel)

    @property
    def is_padded(self) -> bool:
        """Whether any window may reach over the edge."""
        return any(not isinstance(amount, int) or amount > 0 for amount in (*self.before, *self.after))

    def padded(self, x: P.Array, value: P.ScalarLike = 0) -> P.Array:
        """`x` with enough of `value` around its last axes for every window."""
        outer = [0] * (x.rank - self.rank)
        return P.pad(x, [*outer, *self.before], [*outer, *self.after], value)

    def places(self, position: Sequence[Dimension], tap: Sequence[Dimension]) -> tuple[Dimension, ...]:
        """The padded element that tap `tap` of the window at `position` covers."""
        return tuple(o * s + k * d for o, s, k, d in zip(position, self.strides, tap, self.dilations))


def window_over(
    x: P.Array,
    kernel: Sequence[Dimension],
    *,
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
    ceil_mode: bool = False,
) -> Window:
    """The window over the last axes of `x`. Raises InvalidArgument when the attributes do not fit its rank."""
    rank = len(kernel)
    strides = tuple(strides or (1,) * rank)
    dilations = tuple(dilations or (1,) * rank)
    pads = tuple(pads or (0,) * (2 * rank))
    if x.rank != rank + 2 or len(strides) != rank or len(dilations) != rank or len(pads) != 2 * rank:
        raise InvalidArgument(f"{x} does not fit kernel {list(kernel)}, strides {list(strides)}, dilations {list(dilations)}, pads {list(pads)}")
    before, after, positions = [], [], []
    for axis, extent in enumerate(x.shape[2:]):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        low, high = _padding(extent, reach, strides[axis], pads[axis], pads[axis + rank], auto_pad)
        number = _number(extent, reach, strides[axis], low, high, ceil_mode)
        if ceil_mode:  # the last window may reach beyond the padding
            high = P.maximum_dimension(high, (number - 1) * strides[axis] + reach - extent - low)
        before.append(low)
        after.append(high)
        positions.append(number)
    return Window(tuple(kernel), strides, dilations, tuple(before), tuple(after), tuple(positions))


def _padding(extent: Dimension, reach: Dimension, stride: int, low: int, high: int, auto_pad: str) -> tuple[Dimension, Dimension]:
    if auto_pad == "NOTSET":
        return low, high
    if auto_pad == "VALID":
        return 0, 0
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        raise InvalidArgument(f"auto_pad is NOTSET, VALID, SAME_UPPER or SAME_LOWER, got '{auto_pad}'")
    wanted = (P.ceiling_divide(extent, stride) - 1) * stride + reach
    total = P.maximum_dimension(wanted - extent, 0)
    less, more = total // 2, total - total // 2
    return (less, more) if auto_pad == "SAME_UPPER" else (more, less)


def _number(extent: Dimension, reach: Dimension, stride: int, low: Dimension, high: Dimension, ceil_mode: bool) -> Dimension:
    room = low + extent + high - reach
    if not ceil_mode:
        return room // stride + 1
    # A window that starts in the padding at the end is left out.
    return P.minimum_dimension(P.ceiling_divide(room, stride), (low + extent - 1) // stride) + 1
