"""MelWeightMatrix."""

from __future__ import annotations

import math

from onward import program as P
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.numeric import only_element
from onward.operators.registry import operator


@operator("MelWeightMatrix", since=17)
def mel_weight_matrix(
    bins: P.Array,
    length: P.Array,
    rate: P.Array,
    lower: P.Array,
    upper: P.Array,
    *,
    output_datatype: int = 1,
) -> P.Array:
    """Triangular filters that gather a spectrum into bins equally wide in mel. ONNX MelWeightMatrix-17.

    The result is (length // 2 + 1, bins). All is computed in float64.
    """
    (count,), (size,) = P.dimensions(bins, "the number of mel bins"), P.dimensions(length, "the length of the DFT")
    kind = DataType.DOUBLE
    low, high = (_mel(P.cast(only_element(edge), kind)) for edge in (lower, upper))
    step = (high - low) / P.scalar(count + 2, kind)

    def edge(i: Dimension) -> P.Scalar:
        """The spectrum's bin at which filter i begins, filter i - 1 is highest and filter i - 2 ends."""
        hertz = 700.0 * P.expm1((P.scalar(i, kind) * step + low) / 2595.0 * math.log(10))
        return P.floor(P.scalar(size + 1, kind) * hertz / P.cast(only_element(rate), kind))

    edges = P.compute((count + 2,), edge)

    def element(j: Dimension, i: Dimension) -> P.Scalar:
        place, begin, top, end = P.scalar(j, kind), edges[i], edges[i + 1], edges[i + 2]
        rising = P.where(P.equal(top, begin), 1.0, (place - begin) / (top - begin))
        # At the top the falling side has the last word, if there is one.
        falls = (place >= top) & (place < end)
        rises = P.where(P.equal(top, begin), P.equal(place, top), (place >= begin) & (place <= top))
        value = P.where(falls, (end - place) / (end - top), P.where(rises, rising, 0.0))
        return P.cast(value, DataType(output_datatype))

    return P.compute((size // 2 + 1, count), element)


def _mel(hertz: P.Scalar) -> P.Scalar:
    return 2595.0 * P.log1p(hertz / 700.0) / math.log(10)
