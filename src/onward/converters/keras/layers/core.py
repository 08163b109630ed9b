"""Dense layers, embeddings, and layers that let everything pass."""

from __future__ import annotations

from typing import Any

from onward.converters.keras.emitter import Emitter, Tensor
from onward.converters.keras.layers import quantized
from onward.converters.keras.registry import layer, operate
from onward.converters.keras.walk import Walk


@layer("Dense")
def dense(w: Walk, owner: Any, inputs: Any) -> Any:
    return _biased(w, owner, quantized.product(w.c, owner, inputs), inputs)


@layer("EinsumDense")
def einsum_dense(w: Walk, owner: Any, inputs: Any) -> Any:
    return _biased(w, owner, quantized.product(w.c, owner, inputs, owner.equation), inputs)


def _biased(w: Walk, owner: Any, product: Any, inputs: Tensor) -> Any:
    found = product if owner.bias is None else w.c.op("Add", product, quantized.bias(w.c, owner, inputs.dtype))
    return w.activated(owner.activation, w.c.described(found))


@layer("Embedding")
def embedding(w: Walk, owner: Any, inputs: Any) -> Any:
    index = w.c.tensor(inputs) if inputs.dtype in ("int32", "int64") else w.c.tensor(inputs, "int32")
    if owner.quantization_mode is not None:
        return quantized.rows(w.c, owner, index)
    return w.c.tensor(w.c.op("Gather", owner.embeddings, index, axis=0), owner.compute_dtype)


@layer("ReversibleEmbedding")
def reversible_embedding(w: Walk, owner: Any, inputs: Any, reverse: bool = False) -> Any:
    """Numbers of words become rows, and in reverse rows become scores of words."""
    c = w.c
    if not reverse:
        return embedding(w, owner, inputs)
    coded = owner.quantization_mode is not None
    dtype = owner.compute_dtype if coded else owner.reverse_dtype or owner.compute_dtype
    scores = quantized.scores(c, owner, inputs) if coded else _scores(c, owner, c.tensor(inputs, dtype))
    if owner.logit_soft_cap is None:
        return scores
    cap = c.number(owner.logit_soft_cap, dtype)
    return c.op("Mul", c.op("Tanh", c.op("Div", scores, cap)), cap)


def _scores(c: Emitter, owner: Any, x: Tensor) -> Any:
    kernel = c.op("Transpose", c.tensor(owner.embeddings, x.dtype), perm=[1, 0]) if owner.tie_weights else c.tensor(owner.reverse_embeddings, x.dtype)
    return c.op("MatMul", x, kernel)


@layer("Masking")
def masking(w: Walk, owner: Any, inputs: Any) -> Any:
    """Rows of nothing but the value that marks them become zeros."""
    return w.c.op("Where", unmasked(w, owner, inputs, keepdims=True), inputs, w.c.number(0, inputs.dtype))


def unmasked(w: Walk, owner: Any, inputs: Tensor, keepdims: bool) -> Any:
    """Where a row has anything but the value that Masking looks for."""
    differs = operate(w.c, "NotEqual", inputs, w.c.number(owner.mask_value, inputs.dtype))
    return operate(w.c, "Any", differs, axis=-1, keepdims=keepdims)


@layer("InputLayer", "Identity", "ActivityRegularization", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise",
       "GaussianDropout", "AlphaDropout")  # fmt: skip
def nothing(w: Walk, owner: Any, inputs: Any, *_: Any, **__: Any) -> Any:
    """What a layer that works in training alone does at inference."""
    return w.c.op("Identity", inputs)
