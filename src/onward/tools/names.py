"""Values by their names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from onward.ir import Graph, Value


def values_by_name(graph: Graph) -> dict[str, Value]:
    """The values of a graph, those of graphs inside it left out."""
    return {value.name: value for value in graph.values() if value.name}


def closest(name: str, names: Iterable[str]) -> str:
    """A hint at what may have been meant, or nothing."""
    found = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean '{found[0]}'?" if found else ""
