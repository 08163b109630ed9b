"""One matrix product and nothing else: what XGBoost's linear booster computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onward.converters.targets.recognition.heads import Head, head_of
from onward.converters.targets.recognition.rows import RowModel, Unrecognized
from onward.ir import Node


@dataclass(frozen=True)
class Linear:
    """Scores are rows @ `weights` (columns, scores) + `bias`. `ignores_missing` says that NaN counts as 0."""

    weights: np.ndarray
    bias: np.ndarray
    head: Head
    ignores_missing: bool


def linear_of(rows: RowModel) -> Linear:
    """The weights of a linear model. Raises Unrecognized for another one."""
    products = [node for node in rows.model.graph.nodes if node.op_type in ("MatMul", "Gemm")]
    if len(products) != 1:
        raise Unrecognized(f"it has {len(products)} matrix products, not one")
    (product,) = products
    weights, bias = _numbers(product)
    width = weights.shape[1]
    result = product.outputs[0]
    users = {user for user, _ in result.uses}
    added = users.pop() if len(users) == 1 else None
    if added is not None and added.op_type == "Add":
        addend = next((item.tensor for item in added.inputs if item is not None and item.tensor is not None), None)
        if addend is not None and addend.numpy().size in (1, width):
            bias, result = bias + addend.numpy().reshape(-1), added.outputs[0]
    cut = rows.array_of(result)
    head = head_of(lambda z: rows.after(cut, z.reshape(len(z), *cut.shape[1:])), width)  # type: ignore[arg-type]
    random = np.random.default_rng(0).standard_normal((16, rows.columns)).astype(rows.dtype)
    missing = random.copy()
    missing[:, 0] = np.nan
    scores, others = rows.before(cut, random), rows.before(cut, missing)
    known = np.where(np.isnan(missing), 0, missing)
    if not np.allclose(scores.reshape(len(random), -1), random @ weights + bias, rtol=1e-4, atol=1e-4):
        raise Unrecognized("the rows are changed before its matrix product")
    return Linear(weights, bias, head, bool(np.allclose(others.reshape(len(random), -1), known @ weights + bias, rtol=1e-4, atol=1e-4)))


def _numbers(product: Node) -> tuple[np.ndarray, np.ndarray]:
    right = product.inputs[1]
    if right is None or right.tensor is None:
        raise Unrecognized("it multiplies matrices that are made of the rows")
    weights = right.tensor.numpy()
    weights = weights.T if product.attribute("transB", 0) else weights
    weights = weights.reshape(len(weights), -1) * product.attribute("alpha", 1.0)
    addend = product.inputs[2] if product.op_type == "Gemm" and len(product.inputs) > 2 else None
    bias = np.zeros(weights.shape[1], weights.dtype)
    if addend is not None:
        if addend.tensor is None:
            raise Unrecognized("it adds numbers that are made of the rows")
        bias = bias + addend.tensor.numpy().reshape(-1) * product.attribute("beta", 1.0)
    return weights.astype(right.tensor.numpy().dtype), bias.astype(right.tensor.numpy().dtype)
