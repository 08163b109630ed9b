"""Trees that training added round by round: the first round of a model that adds something else than the source's does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onward.converters.certificate import Reference
from onward.converters.comparison import difference, exceeds
from onward.converters.localization import Values, values_of
from onward.ir import Model, Node

ENDS = "onward.rounds"
"""Metadata of a TreeEnsemble: how many of its trees there are after each round; a JSON list."""

SUMS = "trees"
"""The name of what the trees add up to."""


@dataclass(frozen=True)
class Rounds:
    """`sums(feeds, count)` is what the source's first rounds add up to, (rows, targets)."""

    count: int
    sums: Callable[[Mapping[str, np.ndarray], int], np.ndarray]

    def first_different(self, model: Model, feeds: Mapping[str, np.ndarray], allowed: float) -> str:
        """By bisection, the round whose trees are the first that change the sums by more than is allowed; "" where the model notes none."""
        node = ensemble_of(model)
        ends = _ends_of(node) if node is not None else []
        if len(ends) != self.count:
            return ""
        same, other = 0, self.count
        while other - same > 1:
            middle = (same + other) // 2
            same, other = (same, middle) if self._differs(model, feeds, ends, middle, allowed) else (middle, other)
        roots = f"{ends[other - 2] if other > 1 else 0} to {ends[other - 1] - 1}"
        return f"the sums of its trees differ from round {other} of {self.count} on (trees {roots} of the node)"

    def _differs(self, model: Model, feeds: Mapping[str, np.ndarray], ends: Sequence[int], count: int, allowed: float) -> bool:
        shorter = model.copy()
        node = ensemble_of(shorter)
        assert node is not None
        roots = node.attributes["tree_roots"]
        node.attributes["tree_roots"] = replace(roots, value=list(roots.value)[: ends[count - 1]], message=None)
        ((_, ours),) = values_of(shorter, [node.outputs[0].name], feeds)
        return exceeds(difference(ours, self.sums(feeds, count), "the sums of trees"), allowed)


def _ends_of(node: Node) -> list[int]:
    """What a node notes of its rounds; nothing where that is no list of numbers."""
    try:
        return [int(end) for end in json.loads(node.metadata.get(ENDS, "[]"))]
    except (TypeError, ValueError):
        return []


def ensemble_of(model: Model) -> Node | None:
    """The only TreeEnsemble of a model."""
    found = [node for node in model.graph.nodes if node.op_type == "TreeEnsemble"]
    return found[0] if len(found) == 1 else None


def told(model: Model, reference: Reference, ends: Sequence[int], sums: Callable[[Mapping[str, np.ndarray], int], np.ndarray]) -> Reference:
    """A reference that also tells what the trees and the outputs are, where the source can be run; `ends` is noted in the model."""
    judge, node = reference.outputs, ensemble_of(model)
    names = [value.name for value in model.graph.outputs]
    if node is not None:
        node.metadata[ENDS] = json.dumps([int(end) for end in ends])
        node.outputs[0].name = model.graph.fresh_name(SUMS)
    if judge is None:
        return reference
    matrices = isinstance(next(iter(reference.data.values())), np.ndarray)

    def values(feeds: Any) -> Iterator[tuple[str, np.ndarray]]:
        if node is not None and ends:
            yield node.outputs[0].name, sums(feeds, len(ends))
        found = judge(next(iter(feeds.values())) if matrices else feeds)
        yield from zip(names, (found or {}).values())

    given: Callable[[Any], Values] = values
    return replace(reference, values=given, rounds_of_trees=Rounds(len(ends), sums) if node is not None and ends else None)
