"""FlexAttention."""

from __future__ import annotations

from onward import program as P
from onward.ir import Graph
from onward.ir.datatypes import DataType
from onward.operators.activation.softmax import softmax_over
from onward.operators.attention.attention import mix, scores
from onward.operators.numeric import wide
from onward.operators.registry import Context, operator


@operator("FlexAttention", domain="ai.onnx.preview")
def flex_attention(
    q: P.Array,
    k: P.Array,
    v: P.Array,
    *,
    context: Context,
    prob_mod: Graph | None = None,
    scale: float | None = None,
    score_mod: Graph | None = None,
    softmax_precision: int | None = None,
) -> P.Array:
    """Attention whose scores and weights pass through graphs of the model's own. ONNX preview FlexAttention-1."""
    kind = DataType(softmax_precision) if softmax_precision else wide(q).dtype
    values = P.cast(scores(q, k, scale), kind)
    if score_mod is not None:
        (values,) = context.inline(score_mod, [values])
    weights = softmax_over(values, [-1])
    if prob_mod is not None:
        (weights,) = context.inline(prob_mod, [weights])
    return P.cast(mix(weights, P.cast(v, kind)), v.dtype)
