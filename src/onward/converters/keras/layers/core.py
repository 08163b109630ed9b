"""Dense layers, embeddings, and layers that let everything pass."""

from __future__ import annotations

from typing import Any

from onward.converters.keras.emitter import Tensor
from onward.converters.keras.registry import layer, operate
from onward.converters.keras.walk import Walk


@layer("Dense")
def dense(w: Walk, owner: Any, inputs: Any) -> Any:
    return _biased(w, owner, w.c.op("MatMul", inputs, w.c.tensor(owner.kernel, inputs.dtype)), inputs)


@layer("EinsumDense")
def einsum_dense(w: Walk, owner: Any, inputs: Any) -> Any:
    return _biased(w, owner, operate(w.c, "Einsum", inputs, w.c.tensor(owner.kernel, inputs.dtype), subscripts=owner.equation), inputs)


def _biased(w: Walk, owner: Any, product: Any, inputs: Tensor) -> Any:
    found = product if owner.bias is None else w.c.op("Add", product, w.c.tensor(owner.bias, inputs.dtype))
    return w.activated(owner.activation, w.c.described(found))


@layer("Embedding")
def embedding(w: Walk, owner: Any, inputs: Any) -> Any:
    index = w.c.tensor(inputs) if inputs.dtype in ("int32", "int64") else w.c.tensor(inputs, "int32")
    return w.c.tensor(w.c.op("Gather", owner.embeddings, index, axis=0), owner.compute_dtype)


@layer("ReversibleEmbedding")
def reversible_embedding(w: Walk, owner: Any, inputs: Any, reverse: bool = False) -> Any:
    """Numbers of words become rows, and in reverse rows become scores of words."""
    c = w.c
    if not reverse:
        return embedding(w, owner, inputs)
    dtype = owner.reverse_dtype or owner.compute_dtype
    x = c.tensor(inputs, dtype)
    kernel = c.op("Transpose", c.tensor(owner.embeddings, dtype), perm=[1, 0]) if owner.tie_weights else c.tensor(owner.reverse_embeddings, dtype)
    scores = c.op("MatMul", x, kernel)
    if owner.logit_soft_cap is None:
        return scores
    cap = c.number(owner.logit_soft_cap, dtype)
    return c.op("Mul", c.op("Tanh", c.op("Div", scores, cap)), cap)


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
