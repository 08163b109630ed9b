"""Constant folding: what depends on constants alone, and what depends on shapes that are known, is computed now."""

from __future__ import annotations

import numpy as np

from onward import program as P
from onward.ir import DataType, Node, Tensor, Value
from onward.ir.expressions import Expression
from onward.passes.facts import Facts
from onward.passes.rewrite import origins_of, remove_dead

SMALL = 1 << 10
"""Bytes of a result that is always kept as data."""

MODERATE = 1 << 16
"""Bytes of a result that may stand beside inputs that others still need."""

EXPANDERS = frozenset({"ConstantOfShape", "Expand", "Tile", "EyeLike", "OneHot", "Pad", "Range", "Resize", "Upsample"})
"""Operators that make much out of little: the little is what a file should hold."""

RANDOM = frozenset({"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout"})

BYTES = frozenset({DataType.INT8, DataType.UINT8})

FOLDABLE_BY_CONTENT = frozenset({DataType.INT64, DataType.INT32, DataType.BOOL, DataType.FLOAT})


def fold_constants(facts: Facts) -> int:
    """Replaces constant values by initialisers; returns how many."""
    return sum(_fold(node, facts) for node in facts.model.graph.nodes if node.graph is not None)


def _fold(node: Node, facts: Facts) -> int:
    if node.op_type in RANDOM or next(node.subgraphs(), None) is not None or _dequantizes(node, facts):
        return 0
    used = [value for value in node.outputs if _is_used(value, facts)]
    if not used or any(value in facts.model.graph.outputs or facts.is_pinned(value) for value in used):
        return 0
    results = _from_constants(node, used, facts) or _from_shapes(used, facts)
    if results is None:
        return 0
    graph = facts.model.graph
    origins = origins_of(node)
    for value, data in zip(used, results):
        tensor = Tensor.of(np.ascontiguousarray(data).reshape(data.shape))
        new = graph.add_initializer(tensor, f"{value.name}/folded")
        new.provenance = origins
        graph.replace_value(value, new)
    remove_dead(graph, [node], facts)
    return 1


def _dequantizes(node: Node, facts: Facts) -> bool:
    """Whether it makes floats of bytes: those are for the products that they enter to see."""
    return node.op_type == "DequantizeLinear" and node.inputs[0] is not None and facts.dtype(node.inputs[0]) in BYTES


def _is_used(value: Value, facts: Facts) -> bool:
    return bool(value.uses) or value in facts.model.graph.outputs


def _from_constants(node: Node, used: list[Value], facts: Facts) -> list[np.ndarray] | None:
    """The outputs of a node whose inputs are all constants, unless they are too large."""
    inputs = [value for value in node.inputs if value is not None]
    if not all(facts.is_constant(value) for value in inputs):
        return None
    facts.forget(node)
    facts.learn(node)  # against the data of its inputs, not against how these came about
    arrays = [facts.array(value) for value in used]
    if any(array is None or not isinstance(array.size, int) for array in arrays):
        return None
    found = [array for array in arrays if array is not None]
    if any(array.dtype == DataType.STRING for array in found):
        return None
    size = sum(int(array.size) * array.dtype.bits // 8 for array in found)  # type: ignore[call-overload]
    if size > _allowed(node, inputs):
        return None
    return [data.astype(array.dtype.numpy, copy=False) for data, array in zip(P.evaluate(found, {}), found)]


def _allowed(node: Node, inputs: list[Value]) -> int:
    """The number of bytes that the results may take: folding never makes a model much larger."""
    if node.op_type in EXPANDERS:
        return SMALL
    tensors = {value: value.tensor.nbytes for value in inputs if value.tensor is not None}
    own = sum(size for value, size in tensors.items() if all(user is node for user, _ in value.uses))
    return max(SMALL, own, min(sum(tensors.values()), MODERATE))


def _from_shapes(used: list[Value], facts: Facts) -> list[np.ndarray] | None:
    """Small results that follow from shapes and constants."""
    results = []
    for value in used:
        array = facts.array(value)
        if array is None or array.dtype not in FOLDABLE_BY_CONTENT or isinstance(array, P.Input):
            return None
        content = array.content
        if content is None or any(isinstance(item, Expression) for item in content.reshape(-1)):
            return None
        results.append(np.asarray(content.tolist(), array.dtype.numpy).reshape(content.shape))
    return results
