"""RotaryEmbedding."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.expressions import Dimension
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("RotaryEmbedding", since=23)
@computed_wide
def rotary_embedding(
    x: P.Array,
    cosines: P.Array,
    sines: P.Array,
    positions: P.Array | None = None,
    *,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> P.Array:
    """Pairs of elements turned by an angle that grows with the position. ONNX RotaryEmbedding-23; Su et al. 2021.

    x is (batch, heads, sequence, size) or (batch, sequence, heads * size); the tables are (positions, size / 2), or
    (batch, sequence, size / 2) without `positions`.
    """
    if x.rank == 3:
        if not num_heads:
            raise InvalidArgument("RotaryEmbedding of a tensor with 3 axes needs the attribute num_heads")
        split = P.reshape(x, (*x.shape[:2], num_heads, x.shape[2] // num_heads))
        heads = P.transpose(split, [0, 2, 1, 3])
        turned = _turned(heads, cosines, sines, positions, bool(interleaved), rotary_embedding_dim)
        return P.reshape(P.transpose(turned, [0, 2, 1, 3]), x.shape)
    return _turned(x, cosines, sines, positions, bool(interleaved), rotary_embedding_dim)


def _turned(x: P.Array, cosines: P.Array, sines: P.Array, positions: P.Array | None, interleaved: bool, width: int) -> P.Array:
    size = x.shape[-1]
    turned: Dimension = width or size
    half = turned // 2

    def angle(table: P.Array, batch: Dimension, step: Dimension, pair: Dimension) -> P.Scalar:
        if positions is None:
            return table[batch, step, pair]
        return table[positions[batch, step], pair]

    def rotated(batch: Dimension, head: Dimension, step: Dimension, pair: Dimension, second: Dimension) -> P.Scalar:
        """Element `pair` of the first (second = 0) or second half."""
        places = [2 * pair, 2 * pair + 1] if interleaved else [pair, half + pair]
        first_part, second_part = (x[batch, head, step, place] for place in places)
        cosine, sine = angle(cosines, batch, step, pair), angle(sines, batch, step, pair)
        real = cosine * first_part - sine * second_part
        imaginary = sine * first_part + cosine * second_part
        return P.where(P.equal(P.scalar(second), 0), real, imaginary)

    if interleaved:
        pairs = P.compute((*x.shape[:3], half, 2), rotated)
    else:
        pairs = P.compute((*x.shape[:3], 2, half), lambda b, h, s, second, pair: rotated(b, h, s, pair, second))
    result = P.reshape(pairs, (*x.shape[:3], turned))
    if turned == size:
        return result
    rest = P.slice(x, [0, 0, 0, turned], (*x.shape[:3], size - turned))
    return P.concatenate([result, rest], 3)
