"""SequenceMap."""

from __future__ import annotations

from typing import Any

from onward.errors import InvalidArgument
from onward.ir import Graph
from onward.operators.registry import Context, operator


@operator("SequenceMap", since=17)
def sequence_map(sequence: list[Any], *others: Any, body: Graph, context: Context) -> tuple[list[Any], ...]:
    """The body applied to each element; other sequences go along, tensors stay the same. ONNX SequenceMap-17."""
    if any(isinstance(other, list) and len(other) != len(sequence) for other in others):
        raise InvalidArgument("the sequences of SequenceMap have different lengths")
    results: list[list[Any]] = [[] for _ in body.outputs]
    for place, element in enumerate(sequence):
        along = [other[place] if isinstance(other, list) else other for other in others]
        for collected, item in zip(results, context.inline(body, [element, *along])):
            collected.append(item)
    return tuple(results)
