"""Attention: Keras's MultiHeadAttention where its products have weights, else a layer of heads alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onward.converters.targets.keras.layers import concatenation, merged, numbers, plain, short
from onward.converters.targets.keras.products import Product, dense, product_of
from onward.converters.targets.keras.recurrent import LAYERS, bidirectional
from onward.converters.targets.keras.words import FLOATS
from onward.converters.targets.printing.native import without_expansion
from onward.ir.datatypes import DataType
from onward.operators.native import Call, Native, call_of
from onward.program.array import Array, Constant

if TYPE_CHECKING:
    from onward.converters.targets.keras.network import Network

LOWEST = -1e30
"""A number that leaves nothing of a score that it is added to."""


@LAYERS.rule("MatMul", "Einsum")
def product(call: Call) -> Native | None:
    return multi_head_attention(call) or dense(call)


@LAYERS.rule("Add")
def bias_of_product(call: Call) -> Native | None:
    """With the product before it, one layer; else the sum of two arrays."""
    return multi_head_attention(call) or dense(call) or bidirectional(call) or merged(call)


@LAYERS.rule("Concat")
def parts(call: Call) -> Native | None:
    return bidirectional(call) or concatenation(call)


@LAYERS.rule("Sub", "Mul")
def difference_or_product(call: Call) -> Native | None:
    return bidirectional(call) or merged(call) if call.node.op_type == "Mul" else merged(call)


@LAYERS.rule("Attention")
def attention(call: Call) -> Native | None:
    """Without weights, of heads that lie side by side, or on an axis of their own."""
    query, key, value, mask = call.inputs[:4]
    result = call.results[0]
    counts = (call.attributes.get("q_num_heads"), call.attributes.get("kv_num_heads")) if result.rank == 3 else (query.shape[1], key.shape[1])
    sizes = (*counts, query.shape[-1], key.shape[-1], result.shape[-1])
    if not _is_plain(call) or result.rank not in (3, 4) or not all(isinstance(item, int) and item for item in sizes):
        return None
    heads, shared = int(counts[0]), int(counts[1])  # type: ignore[arg-type]
    width = query.shape[-1] if result.rank == 4 else query.shape[-1] // heads
    causal = bool(call.attributes.get("is_causal")) or _is_causal(mask)
    used = [query, key, value, *([] if mask is None or _is_causal(mask) or _is_nothing(mask) else [mask])]
    scale = call.attributes.get("scale") or 1 / math.sqrt(width)
    arguments = [str(heads), f"scale={short(scale, result.dtype)}", *(["causal=True"] if causal else []), *([f"shared={shared}"] if shared != heads else [])]

    def write(network: Network) -> str:
        return network.layer("Attention", arguments, plain(call), ", ".join(map(network.array, used)), (), result.dtype)

    return Native(write, tuple(dict.fromkeys(used)))


def multi_head_attention(call: Call) -> Native | None:
    """MultiHeadAttention, from its last product: three products, whose results have axes of heads, attention, and that product."""
    found = product_of(call)
    inner = None if found is None else _attention_before(found)
    if found is None or inner is None or not _is_plain(inner):
        return None
    parts = [_heads(item, inner.attributes.get("q_num_heads")) for item in inner.inputs[:3]]
    query, key, value = parts
    if query is None or key is None or value is None or len({item.kernel.shape[1] for item in (query, key, value)}) > 1:
        return None
    every = [query, key, value, found]
    size, scale = query.kernel.shape[2], inner.attributes.get("scale")
    usual = scale is None or math.isclose(scale, 1 / math.sqrt(size), rel_tol=1e-6)
    if not usual or len({item.bias is None for item in every}) > 1 or any(item.x.rank != 3 for item in every[:3]):
        return None
    kind, mask = _mask(inner)
    if not kind:
        return None
    heads, width, units = query.kernel.shape[1], value.kernel.shape[2], int(found.kernel.shape[-1])
    arguments = [str(heads), str(size), *([f"value_dim={width}"] if width != size else []), *(["use_bias=False"] if found.bias is None else [])]
    arguments += [f"output_shape={units}"] if units != query.x.shape[-1] else []
    weights = [item for part in (query, key, value) for item in (part.kernel, part.bias) if item is not None]
    weights += [found.kernel.reshape(heads, width, units), *([] if found.bias is None else [found.bias])]
    arrays = tuple(array for part in every for array in part.arrays)
    sources = (query.x, key.x, value.x)

    def write(network: Network) -> str:
        texts = [network.array(item) for item in sources]
        options = [f"key={texts[1]}"] if texts[1] != texts[2] else []
        options += [f"attention_mask={network.array(mask)}"] if mask is not None else []
        options += ["use_causal_mask=True"] if inner.attributes.get("is_causal") or _is_causal(inner.inputs[3]) else []
        name = _common_scope(arrays) or plain(inner)
        return network.layer(kind, arguments, name, ", ".join([texts[0], texts[2], *options]), weights, call.results[0].dtype, arrays)

    return Native(write, tuple(dict.fromkeys([*sources, *([] if mask is None else [mask])])))


def _mask(call: Call) -> tuple[str, Array | None]:
    """The layer that masks as a call of attention does, and the mask of truth values that it takes; "" where Keras has none.

    A mask that takes infinity from scores leaves zeros for a query that sees no key, for which Keras's layer gives the mean of all values; one that takes
    a very great number gives that mean, too.
    """
    array, usual = call.inputs[3], "layers.MultiHeadAttention"
    if array is None or _is_causal(array) or _is_nothing(array):
        return usual, None
    array = without_expansion(array)
    before = call_of(array) if array is not None else None
    if array is None or array.rank != 4 or call.attributes.get("is_causal"):
        return "", None
    if array.dtype == DataType.BOOL:
        return "MaskedAttention", array
    if before is None or before.node.op_type != "Where":
        return "", None
    condition, kept, lost = before.inputs
    nothing, lowest = numbers(kept), numbers(lost)
    if nothing is None or nothing.any() or lowest is None or lowest.size != 1 or condition.shape != array.shape:
        return "", None
    if np.isneginf(lowest).all():
        return "MaskedAttention", condition
    return (usual, condition) if lowest.max() < LOWEST else ("", None)


def _is_nothing(array: Array) -> bool:
    """Whether a mask is known, and changes no score."""
    data = numbers(array)
    return data is not None and bool(data.all() if data.dtype == bool else not data.any())


def _is_causal(array: Array | None) -> bool:
    """Whether a mask is known, and lets each place see those before it alone."""
    data = numbers(array)
    if data is None or data.ndim < 2 or data.shape[-1] != data.shape[-2] or data.size != data.shape[-1] ** 2:
        return False
    square = data.reshape(data.shape[-2:])
    seen = np.tri(len(square), dtype=bool)
    return not square[seen].any() and bool((square[~seen] < LOWEST).all())


def _is_plain(call: Call) -> bool:
    """Whether it is attention of heads alone: no cache, lengths, limits, or results besides."""
    given = call.attributes
    limits = given.get("softcap") or given.get("left_window_size", -1) >= 0 or given.get("right_window_size", -1) >= 0
    extra = any(item is not None for item in call.inputs[4:]) or len(call.node.outputs) > 1 or given.get("softmax_precision")
    kinds = {item.dtype for item in (*call.inputs[:3], call.results[0])}
    return not limits and not extra and len(kinds) == 1 and kinds <= set(FLOATS)


def _turned(array: Array | None) -> Array | None:
    """What a transposition of heads and places is of."""
    call = call_of(array) if array is not None else None
    return call.inputs[0] if call is not None and call.node.op_type == "Transpose" and list(call.attributes.get("perm") or ()) == [0, 2, 1, 3] else None


def _heads(array: Array | None, count: int | None) -> Product | None:
    """The product (batch, places, inputs) x (inputs, heads, size) that an operand of attention is: (batch, heads, places, size), or heads side by side."""
    apart = array if count else _turned(array)
    call = call_of(apart) if apart is not None else None
    found = product_of(call)
    if found is not None and not count:
        left, right, result = _terms(found.equation)
        fits = len(left) == 3 and right[:1] == left[2:] and result == left[:2] + right[1:] and found.kernel.ndim == 3
        return found if fits and (found.bias is None or found.bias.ndim == 2) else None
    if apart is None or call is None or not count and call.node.op_type != "Reshape":
        return None
    found = found if count else product_of(call_of(call.inputs[0]))
    if found is None or found.kernel.ndim != 2 or apart.shape[:2] != found.x.shape[:2]:
        return None
    shape = (count, found.kernel.shape[1] // count) if count else apart.shape[2:]
    if len(shape) != 2 or not all(isinstance(extent, int) for extent in shape) or shape[0] * shape[1] != found.kernel.shape[1]:
        return None
    bias = None if found.bias is None else found.bias.reshape(shape)
    return Product(found.x, found.kernel.reshape(-1, *shape), bias, found.equation, found.arrays)


def _attention_before(found: Product) -> Call | None:
    """The attention whose result the last product takes."""
    left, right, result = _terms(found.equation)
    if found.bias is not None and found.bias.ndim != 1:
        return None
    call = call_of(found.x)
    if left[:3] != "..." and len(left) == 4:
        taken = _turned(found.x) if right[:2] == left[2:] and result == left[:2] + right[2:] and len(right) == 3 else None
    elif call is not None and call.node.op_type == "Attention":
        taken = found.x if found.x.rank == 3 else None
    else:
        before: Any = call.inputs[0] if call is not None and call.node.op_type == "Reshape" else None
        together = before is not None and before.rank == 4 and found.x.rank == 3 and before.shape[:2] == found.x.shape[:2]
        taken = _turned(before) if together and found.equation.startswith("...") else None
    inner = call_of(taken) if taken is not None else None
    return inner if inner is not None and inner.node.op_type == "Attention" else None


def _terms(equation: str) -> tuple[str, str, str]:
    terms, _, result = equation.partition("->")
    left, _, right = terms.partition(",")
    return left, right, result


def _common_scope(arrays: Sequence[Array | None]) -> str:
    """The innermost scope that all weights lie in."""
    scopes = []
    for array in arrays:
        while array is not None and not isinstance(array, Constant) and len(array.sources) == 1:
            (array,) = array.sources
        label = array.label.replace("/", ".") if isinstance(array, Constant) else ""
        scopes.append(label.split(".")[:-1])
    common = []
    for parts in zip(*scopes):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return ".".join(common)
