"""Matrix products, attention and distances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Tensor, is_static
from onward.converters.torch.operators.arithmetic import _scaled
from onward.converters.torch.operators.unary import result_dtype
from onward.converters.torch.registry import aten, operator
from onward.errors import UnsupportedOperator
from onward.ir import Value


@aten("mm", "bmm", "matmul", "mv", "dot", "vdot")
def matmul(c: Emitter, left: Tensor, right: Tensor, *out: Any) -> Value:
    dtype = result_dtype(c)
    return c.op("MatMul", c.cast(left, dtype), c.cast(right, dtype))


@aten("_int_mm")
def product_of_codes(c: Emitter, left: Tensor, right: Tensor) -> Value:
    return c.op("MatMulInteger", left, right)


@aten("linear")
def linear(c: Emitter, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Value:
    if x.rank == 2 and weight.rank == 2 and x.dtype.is_floating_point:
        return c.op("Gemm", x, weight, bias, transB=1)
    turned = c.transpose(weight, [1, 0]) if weight.rank == 2 else weight.value
    product = c.op("MatMul", x, turned)
    return product if bias is None else c.op("Add", product, bias)


@aten("addmm", "addmv", "baddbmm")
def addmm(c: Emitter, x: Tensor, left: Tensor, right: Tensor, beta: Any = 1, alpha: Any = 1) -> Value:
    dtype = result_dtype(c)
    product = _scaled(c, c.op("MatMul", c.cast(left, dtype), c.cast(right, dtype)), alpha, dtype)
    if beta == 0:
        return product
    return c.op("Add", product, _scaled(c, c.cast(x, dtype), beta, dtype))


@aten("einsum")
def einsum(c: Emitter, equation: str, operands: list[Tensor], path: Any = None) -> Value:
    dtype = result_dtype(c)
    return c.op("Einsum", *(c.cast(item, dtype) for item in operands), equation=equation.replace(" ", ""))


@aten("linalg_det", "_linalg_det")
def determinant(c: Emitter, x: Tensor) -> Any:
    found = c.op("Det", x)
    return [found, x.value, found] if isinstance(c.result, (tuple, list)) else found


@aten("scaled_dot_product_attention")
def attention(
    c: Emitter, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, dropout: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Value:  # fmt: skip
    """ONNX Attention where the tensors have its four dimensions, else the products themselves."""
    if dropout:
        raise UnsupportedOperator("attention with dropout; call eval() on the module")
    plain = query.rank == key.rank == value.rank == 4 and (mask is None or mask.rank in (2, 4)) and c.opset >= 23
    same_batch = plain and all(str(query.shape[0]) == str(item.shape[0]) for item in (key, value))
    grouped = plain and str(query.shape[1]) != str(key.shape[1])
    if plain and same_batch and (not grouped or enable_gqa):
        bias = None if mask is None else _as_wide_as_scores(c, mask, query, key)
        return c.op("Attention", query, key, value, bias, is_causal=int(is_causal), scale=None if scale is None else float(scale))
    return _attention_by_products(c, query, key, value, mask, is_causal, scale, enable_gqa)


def _as_wide_as_scores(c: Emitter, mask: Tensor, query: Tensor, key: Tensor) -> Value:
    """A mask in the type of the scores, for each row and column of them, as onnxruntime wants it."""
    value = mask.value if mask.dtype in (torch.bool, query.dtype) else c.cast(mask, query.dtype)
    sizes = [c.size(item, -2) if extent == 1 else 1 for item, extent in zip((query, key), mask.shape[-2:])]
    return value if sizes == [1, 1] else c.op("Expand", value, sizes)


def _attention_by_products(
    c: Emitter, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, scale: float | None, grouped: bool
) -> Value:
    dtype = query.dtype
    keys, values = (_repeated(c, item, query) if grouped else item.value for item in (key, value))
    order = list(range(key.rank))
    order[-2:] = order[:-3:-1]
    width = query.shape[-1]
    factor = c.number(scale if scale is not None else 1 / math.sqrt(width), dtype)
    scores = c.op("MatMul", c.op("Mul", query, factor), c.transpose(keys, order))
    if causal:
        rows, columns = (c.op("Range", np.array(0), _extent(c, item), np.array(1)) for item in (query, key))
        allowed = c.op("LessOrEqual", columns, c.unsqueeze(rows, 1))
        scores = c.op("Where", allowed, scores, c.number(-math.inf, dtype))
    if mask is not None and mask.dtype is torch.bool:
        scores = c.op("Where", mask, scores, c.number(-math.inf, dtype))
    elif mask is not None:
        scores = c.op("Add", scores, c.cast(mask, dtype))
    shares = c.op("Softmax", scores, axis=-1)
    if mask is not None and mask.dtype is torch.bool:
        # A row that may look at nothing is zero.
        shares = c.op("Where", c.op("IsNaN", shares), c.number(0, dtype), shares)
    return c.op("MatMul", shares, values)


def _extent(c: Emitter, x: Tensor) -> Value:
    size = c.size(x, -2)
    return c.array(np.array(size)) if is_static(size) else size.value  # type: ignore[union-attr]


def _repeated(c: Emitter, x: Tensor, query: Tensor) -> Value:
    """Heads of keys repeated for the heads of queries that share them."""
    if str(x.shape[-3]) == str(query.shape[-3]):
        return x.value
    times = query.shape[-3] // x.shape[-3]
    places = np.repeat(np.arange(x.shape[-3]), times)
    return c.op("Gather", x, places, axis=x.rank - 3)


@aten("addbmm")
def addbmm(c: Emitter, x: Tensor, left: Tensor, right: Tensor, beta: Any = 1, alpha: Any = 1) -> Value:
    dtype = result_dtype(c)
    product = c.op("ReduceSum", c.op("MatMul", c.cast(left, dtype), c.cast(right, dtype)), [0], keepdims=0)
    product = _scaled(c, product, alpha, dtype)
    return product if beta == 0 else c.op("Add", product, _scaled(c, c.cast(x, dtype), beta, dtype))


@aten("_cdist_forward")
def cdist(c: Emitter, left: Tensor, right: Tensor, order: float, mode: Any = None) -> Value:
    """Distances of all pairs of rows, from their differences."""
    from onward.converters.torch.operators.reductions import vector_norm

    rank = max(left.rank, right.rank)
    gap = c.op("Sub", c.unsqueeze(left, left.rank - 1), c.unsqueeze(right, right.rank - 2))
    return vector_norm(c, Tensor(gap, left.dtype, (None,) * (rank + 1)), order, [rank])


@aten("_pdist_forward")
def pdist(c: Emitter, x: Tensor, order: float = 2.0) -> Value:
    """Distances of all pairs of different rows."""
    from onward.converters.torch.operators.reductions import vector_norm

    if not is_static(x.shape[0]):
        raise UnsupportedOperator("pdist of rows whose number is open; cdist gives all distances")
    left, right = (c.op("Gather", x, places, axis=0) for places in np.triu_indices(x.shape[0], 1))
    return vector_norm(c, Tensor(c.op("Sub", left, right), x.dtype, (None, x.shape[1])), order, [1])


@aten("_trilinear")
def trilinear(
    c: Emitter, first: Tensor, second: Tensor, third: Tensor, expand1: list[int], expand2: list[int], expand3: list[int],
    summed: list[int], unroll: int = 1,
) -> Value:  # fmt: skip
    """The product of three tensors with added dimensions, summed over some."""
    raised = [c.unsqueeze(item, *axes) for item, axes in ((first, expand1), (second, expand2), (third, expand3))]
    product = c.op("Mul", c.op("Mul", raised[0], raised[1]), raised[2])
    return c.op("ReduceSum", product, list(summed), keepdims=0) if summed else product


@operator("aten::_grouped_mm", "transformers::grouped_mm_fallback")
def grouped_mm(c: Emitter, left: Tensor, right: Tensor, ends: Tensor | None = None, bias: Tensor | None = None, dtype: Any = None) -> Value:
    """Rows times the matrix of their group; `ends` tells where each group's rows end. Every group's matrix is multiplied with
    all rows, and each row keeps its own product."""
    if ends is None or bias is not None or left.rank != 2 or right.rank != 3 or not is_static(right.shape[0]):
        raise UnsupportedOperator("grouped products other than of rows with a known number of matrices")
    along = c.op("Range", np.array(0), c.number(c.size(left, 0), torch.int64), np.array(1))
    passed = c.op("LessOrEqual", c.unsqueeze(c.cast(ends, torch.int64), 0), c.unsqueeze(along, 1))
    group = c.unsqueeze(c.op("ReduceSum", c.convert(passed, torch.int64), [1], keepdims=0), 1)
    total = c.number(0, left.dtype)
    for place in range(right.shape[0]):
        product = c.op("MatMul", left, c.op("Gather", right, np.array(place), axis=0))
        total = c.op("Where", c.op("Equal", group, np.array(place)), product, total)
    return total if c.result.dtype is left.dtype else c.convert(total, c.result.dtype)


@aten("_scaled_mm", "_scaled_mm_v2")
def scaled_mm(c: Emitter, left: Tensor, right: Tensor, *arguments: Any, **options: Any) -> Value:
    """The product of matrices of narrow numbers, each with one scale, or with one for each row of the left and column of the right."""
    if c.operator.endswith("_v2"):
        first, _, _, second, _, _, bias = arguments[:7]
        (first,), (second,) = (item if isinstance(item, list) else [item] for item in (first, second))
    else:
        first, second, bias = (*arguments, None)[:3]
    for scale, wanted in ((first, (left.shape[0], 1)), (second, (1, right.shape[1]))):
        if scale.dtype is not torch.float32 or not (all(extent == 1 for extent in scale.shape) or _same(scale.shape, wanted)):
            raise UnsupportedOperator(f"scales of shape {list(map(str, scale.shape))} and type {scale.dtype}, by blocks")
    scaled = (c.op("Mul", c.cast(item, torch.float32), scale) for item, scale in ((left, first), (right, second)))
    product = c.reshape(c.op("MatMul", *scaled), [c.size(left, 0), c.size(right, 1)])
    product = product if bias is None else c.op("Add", product, c.cast(bias, torch.float32))
    return c.convert(product, c.result.dtype)


def _same(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return [str(item) for item in left] == [str(item) for item in right]
