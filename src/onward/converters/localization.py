"""The first operator of a model whose result is not what it should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from onward.converters.comparison import Statistics, difference, exceeds, rounded, tolerance_of
from onward.errors import ConversionMismatch
from onward.ir import Model, Value

TOLERANCES = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-11, np.dtype(np.float16): 5e-3}
AT_ONCE = 256
"""Values that are computed in one run."""

Values = Iterable[tuple[str, np.ndarray]]
"""Names of values, and what they should be, in the order of computation."""


@dataclass(frozen=True)
class Divergence:
    """The first value that differs: its name, the node that computes it and where that comes from (module path, and
    file:line of the source, "" where the model does not say), both sides' statistics, and how far they are apart."""

    value: str
    node: str
    operator: str
    module: str
    source: str
    ours: Statistics
    theirs: Statistics
    apart: str
    round: str = ""
    """Of trees, from which round on they differ."""

    def __str__(self) -> str:
        module = f" in module '{self.module}'" if self.module else ""
        source = f" at {self.source}" if self.source else ""
        trees = f"\n  {self.round}" if self.round else ""
        return (
            f"the first value that differs is '{self.value}', computed by {self.operator} '{self.node}'{module}{source}: {self.apart}{trees}\n"
            f"  this model: {self.ours}\n  the other:  {self.theirs}"
        )


def first_divergence(
    model: Model,
    theirs: Values,
    feeds: Mapping[str, np.ndarray],
    tolerances: Mapping[Any, float] = TOLERANCES,
    tolerance: float | None = None,
) -> Divergence | None:
    """The first of some values that the model computes differently for these feeds, or None.

    Names that the main graph of the model does not have are passed over.
    """
    known = {value.name: value for value in model.graph.values() if value.producer is not None}
    pairs = ((name, array) for name, array in theirs if name in known)
    while batch := list(islice(pairs, AT_ONCE)):
        ours = dict(values_of(model, [name for name, _ in batch], feeds))
        for name, array in batch:
            apart = _apart(ours[name], array, tolerances, tolerance)
            if apart:
                return _divergence(known[name], ours[name], array, apart)
    return None


def values_of(model: Model, names: Sequence[str], feeds: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """What a model computes for the named values of its main graph, some at a time, in the given order."""
    from onward.runtime import InferenceSession
    from onward.tools import extract

    each = list(dict.fromkeys(names))
    for begin in range(0, len(each), AT_ONCE):
        some = each[begin : begin + AT_ONCE]
        part = extract(model, None, some)
        needed = {value.name for value in part.graph.inputs}
        results = InferenceSession(part).run(None, {name: array for name, array in feeds.items() if name in needed})
        yield from zip(some, results, strict=True)


def common_values(first: Model, second: Model) -> list[str]:
    """Names of the values that both models compute with the same type, in the order of the second."""
    left = {value.name for value in first.graph.values() if value.producer is not None}
    return [value.name for node in second.graph.nodes for value in node.outputs if value.name in left and value.name]


def _apart(ours: Any, theirs: np.ndarray, tolerances: Mapping[Any, float], tolerance: float | None) -> str:
    """How two values differ, "" where they do not."""
    if not isinstance(ours, np.ndarray):
        return ""
    if ours.dtype.kind == "f" and theirs.dtype.kind == "c":  # a last axis of pairs
        theirs = np.stack([theirs.real, theirs.imag], -1)
    try:
        found = difference(ours, theirs, "it")
    except ConversionMismatch as problem:
        return str(problem)
    allowed = tolerance if tolerance is not None else tolerance_of(theirs.dtype, tolerances)
    return f"{rounded(found)}, allowed is {allowed:g}" if exceeds(found, allowed) else ""


def _divergence(value: Value, ours: np.ndarray, theirs: np.ndarray, apart: str) -> Divergence:
    node = value.producer
    assert node is not None
    origin = {**node.metadata}
    module = origin.get("onward.module", "")
    return Divergence(value.name, node.name, node.op_type, module, origin.get("onward.source", ""), Statistics.of(ours), Statistics.of(theirs), apart)
