"""Products with weights: Dense, EinsumDense and MultiHeadAttention, with their biases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onward.converters.targets.keras.layers import FUNCTIONS, is_float, merged, numbers, plain, scope
from onward.converters.targets.keras.recurrent import LAYERS
from onward.converters.targets.printing.native import Writer
from onward.operators.native import Call, Native, call_of
from onward.program.array import Array, Constant

if TYPE_CHECKING:
    from onward.converters.targets.keras.network import Network


@dataclass(frozen=True)
class Product:
    """x times a kernel, whose axes `equation` names as Einsum does, plus a bias of the last axes of the result. `arrays` are where both come from."""

    x: Array
    kernel: np.ndarray
    bias: np.ndarray | None
    equation: str
    arrays: tuple[Array | None, ...]


def product_of(call: Call | None) -> Product | None:
    """The product that a call is, or the sum of one with a bias."""
    if call is None or not is_float(call):
        return None
    if call.node.op_type == "Add":
        return _with_bias(call)
    if call.node.op_type not in ("MatMul", "Einsum") or len(call.inputs) != 2:
        return None
    x, w = call.inputs
    kernel = numbers(w)
    if x is None or kernel is None or numbers(x) is not None:
        return None
    if call.node.op_type == "MatMul":
        equation = "...b,bc->...c" if kernel.ndim == 2 and x.rank >= 2 else ""
    else:
        equation = _weighted(call.attributes["equation"], x.rank, kernel.ndim)
    return Product(x, kernel, None, equation, (w,)) if equation else None


def _with_bias(call: Call) -> Product | None:
    for product, offset in (call.inputs, call.inputs[::-1]):
        bias, before = numbers(offset), product_of(call_of(product)) if product is not None else None
        if bias is None or before is None or before.bias is not None or product is None or not 0 < bias.ndim < product.rank:
            continue
        if bias.shape == product.shape[-bias.ndim :] and (bias.ndim == 1 or not before.equation.startswith("...")):
            return Product(before.x, before.kernel, bias, before.equation, (*before.arrays, offset))
    return None


def _weighted(equation: str, rank: int, kernel: int) -> str:
    """An equation that EinsumDense takes: the batch is the first axis of the input and of the result, and each axis is named once."""
    terms, arrow, result = equation.replace(" ", "").partition("->")
    left, _, right = terms.partition(",")
    plain = all(item.isalpha() and len(set(item)) == len(item) for item in (left, right, result))
    usual = plain and len(left) == rank and len(right) == kernel and left[0] == result[0] and left[0] not in right
    return f"{left},{right}->{result}" if arrow and usual and set(right) <= {*left, *result} and set(result) <= {*left, *right} else ""


# -- layers -----------------------------------------------------------------------------------------------------------------
@LAYERS.rule("MatMul", "Einsum")
def product(call: Call) -> Native | None:
    return _attention(call) or _layer(call)


@LAYERS.rule("Add")
def bias_of_product(call: Call) -> Native | None:
    """With the product before it, one layer; else the sum of two arrays."""
    return _attention(call) or _layer(call) or merged(call)


def _layer(call: Call) -> Native | None:
    found = product_of(call)
    if found is None:
        return None
    if found.equation.startswith("..."):
        return _dense(call, found)
    shape = tuple(extent if isinstance(extent, int) else None for extent in call.results[0].shape[1:])
    axes = [] if found.bias is None else [f"bias_axes={found.equation[-found.bias.ndim :]!r}"]
    return _written(call, found, "EinsumDense", [repr(found.equation), f"output_shape={shape}", *axes])


def _dense(call: Call, found: Product) -> Native:
    return _written(call, found, "Dense", [str(found.kernel.shape[1])] + (["use_bias=False"] if found.bias is None else []))


def _written(call: Call, found: Product, kind: str, arguments: Sequence[str]) -> Native:
    def write(network: Network) -> str:
        weights = [found.kernel] if found.bias is None else [found.kernel, found.bias]
        name = scope(found.arrays[0], call)
        return network.layer(f"layers.{kind}", arguments, name, network.array(found.x), weights, call.results[0].dtype, found.arrays)

    return Native(write, (found.x,))


@LAYERS.rule("Gemm")
def gemm(call: Call) -> Native | None:
    x, w, c = call.inputs
    kernel, bias = numbers(w), numbers(c)
    given = call.attributes
    if kernel is None or x is None or numbers(x) is not None or not is_float(call) or given["transA"] or given["alpha"] != 1 or given["beta"] != 1:
        return None
    if c is not None and (bias is None or bias.size != call.results[0].shape[1]):
        return None
    return _dense(call, Product(x, kernel.T if given["transB"] else kernel, None if bias is None else bias.reshape(-1), "...b,bc->...c", (w, c)))


@FUNCTIONS.rule("MatMul")
def matmul(call: Call) -> Writer | None:
    left, right = call.inputs
    assert left is not None and right is not None
    if not is_float(call):
        return None
    return lambda printer: f"ops.matmul({printer.array(left)}, {printer.array(right)})"


# -- attention --------------------------------------------------------------------------------------------------------------
def _attention(call: Call) -> Native | None:
    """MultiHeadAttention, from its last product: three products, whose results have axes of heads, attention, and that product.

    No mask but the causal one: what Keras does with a row that is masked as a whole is something else.
    """
    found = product_of(call)
    result = None if found is None else _merged_heads(found)
    inner = None if result is None else call_of(result)
    if found is None or inner is None or inner.node.op_type != "Attention" or not _is_plain(inner, result):
        return None
    parts = [_heads(item) for item in inner.inputs[:3]]
    query, key, value = parts
    if query is None or key is None or value is None or len({item.kernel.shape[1] for item in (query, key, value)}) > 1:
        return None
    every = [query, key, value, found]
    size, scale = query.kernel.shape[2], inner.attributes.get("scale")
    usual = scale is None or math.isclose(scale, 1 / math.sqrt(size), rel_tol=1e-6)
    if not usual or len({item.bias is None for item in every}) > 1 or any(item.x.rank != 3 for item in every[:3]):
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
        options += ["use_causal_mask=True"] if inner.attributes.get("is_causal") else []
        name = _common_scope(arrays) or plain(inner)
        return network.layer(
            "layers.MultiHeadAttention", arguments, name, ", ".join([texts[0], texts[2], *options]), weights, call.results[0].dtype, arrays
        )  # fmt: skip

    return Native(write, tuple(dict.fromkeys(sources)))


def _is_plain(call: Call, result: Array | None) -> bool:
    """Whether it is attention of heads alone: no mask, cache, lengths, limits, or results besides."""
    given = call.attributes
    limits = given.get("softcap") or given.get("left_window_size", -1) >= 0 or given.get("right_window_size", -1) >= 0
    extra = any(item is not None for item in call.inputs[3:]) or len(call.node.outputs) > 1 or given.get("softmax_precision")
    return not limits and not extra and result is not None and result.rank == 4 and is_float(call)


def _turned(array: Array | None) -> Array | None:
    """What a transposition of heads and places is of."""
    call = call_of(array) if array is not None else None
    return call.inputs[0] if call is not None and call.node.op_type == "Transpose" and list(call.attributes.get("perm") or ()) == [0, 2, 1, 3] else None


def _heads(array: Array | None) -> Product | None:
    """The product (batch, places, inputs) x (inputs, heads, size) that an operand (batch, heads, places, size) of attention is."""
    apart = _turned(array)
    if apart is None:
        return None
    found = product_of(call_of(apart))
    if found is not None:
        left, right, result = _terms(found.equation)
        fits = len(left) == 3 and right[:1] == left[2:] and result == left[:2] + right[1:] and found.kernel.ndim == 3
        return found if fits and (found.bias is None or found.bias.ndim == 2) else None
    call = call_of(apart)
    if call is None or call.node.op_type != "Reshape":
        return None
    found, shape = product_of(call_of(call.inputs[0])), apart.shape
    if found is None or found.kernel.ndim != 2 or shape[:2] != found.x.shape[:2] or len(shape) != 4 or shape[2:] != (shape[2], shape[3]):
        return None
    if not isinstance(shape[2], int) or not isinstance(shape[3], int) or shape[2] * shape[3] != found.kernel.shape[1]:
        return None
    bias = None if found.bias is None else found.bias.reshape(shape[2:])
    return Product(found.x, found.kernel.reshape(-1, *shape[2:]), bias, found.equation, found.arrays)


def _merged_heads(found: Product) -> Array | None:
    """What the last product takes, with the axes of attention's result."""
    left, right, result = _terms(found.equation)
    if found.bias is not None and found.bias.ndim != 1:
        return None
    if left[:3] != "..." and len(left) == 4:
        return _turned(found.x) if right[:2] == left[2:] and result == left[:2] + right[2:] and len(right) == 3 else None
    call = call_of(found.x)
    if not found.equation.startswith("...") or call is None or call.node.op_type != "Reshape":
        return None
    before: Any = call.inputs[0]
    together = before is not None and before.rank == 4 and found.x.rank == 3 and before.shape[:2] == found.x.shape[:2]
    return _turned(before) if together else None


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
