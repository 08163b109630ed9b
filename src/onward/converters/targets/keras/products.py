"""Products with weights, with their biases: Dense and EinsumDense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onward.converters.targets.keras.layers import FUNCTIONS, LAYERS, is_float, numbers, scope
from onward.converters.targets.printing.native import Writer
from onward.operators.native import Call, Native, call_of
from onward.program.array import Array

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
def dense(call: Call) -> Native | None:
    """The layer that a product is, with the bias after it."""
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
