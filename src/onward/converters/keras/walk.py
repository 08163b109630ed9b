"""What all ways through a model share: where the walk stands, and what has no translation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from onward.converters.keras.emitter import Emitter, Tensor
from onward.errors import OnwardError, UnsupportedOperator


class Walk(ABC):
    """A walk through a model. All that has no translation is collected, so that one message names it."""

    def __init__(self, c: Emitter) -> None:
        self.c = c
        self.missing: dict[str, str] = {}

    @abstractmethod
    def layer(self, layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The results of a layer's call, in its structure; None where it has no translation."""

    @abstractmethod
    def activated(self, activation: Any, x: Tensor) -> Any:
        """An activation, as a layer holds it, applied."""

    @contextmanager
    def inside(self, path: str, kind: str, compute_dtype: str | None) -> Iterator[None]:
        """Nodes made inside note this layer, and numbers are of the type that it computes in."""
        c = self.c
        before = (c.origin, c.compute_dtype)
        c.origin = {"onward.module": path, "onward.class": kind}
        c.compute_dtype = compute_dtype or before[1]
        try:
            yield
        finally:
            c.origin, c.compute_dtype = before

    def first_of(self, ways: Sequence[Callable[[], Any]], what: str) -> Any:
        """What the first way gives that has no objection; if all have one, all are remembered and the walk goes on."""
        c, known, objections = self.c, dict(self.missing), {}
        for way in ways:
            before = len(c.graph.nodes)
            try:
                made = way()
                if self.missing.keys() == known.keys():
                    return made
                objections.update({name: why for name, why in self.missing.items() if name not in known})
            except OnwardError as problem:
                objections.update({name: why for name, why in self.missing.items() if name not in known})
                part = self.part(what)
                if not objections.keys() - {part}:  # else the parts of it that have none are named
                    objections[part] = "; ".join(filter(None, (objections.get(part), str(problem))))
            self.missing = dict(known)
            for node in reversed(c.graph.nodes[before:]):
                if not any(value.uses for value in node.outputs):  # a body that was not finished may use it
                    c.graph.remove(node)
        self.missing.update(objections)
        return None

    def place(self) -> str:
        """The layer that is being read."""
        return f"layer '{self.c.origin.get('onward.module', '')}' ({self.c.origin.get('onward.class', '').rpartition('.')[2]})"

    def miss(self, what: str, why: str) -> Any:
        """Remembers what has no translation; the walk goes on."""
        self.missing.setdefault(self.part(what), why)

    def part(self, what: str) -> str:
        """A part of the model as the message names it."""
        return f"{what} in '{self.c.origin.get('onward.module', '')}'"

    def check(self, advice: str) -> None:
        """Raises UnsupportedOperator with all that has no translation."""
        if self.missing:
            listed = "\n".join(f"  {what}{': ' if why else ''}{why}" for what, why in self.missing.items())
            raise UnsupportedOperator(f"{len(self.missing)} parts of the model have no translation:\n{listed}\n{advice}")
