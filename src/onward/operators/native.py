"""Operators that somebody has a form of his own for: a target that prints `F.relu`, where the definition is a selection.

A node is lowered as always, so that data types and shapes are known; then a `Form` decides whether the results are those of a
routine named `native` instead, which is opaque to everybody but who asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from onward import program as P
from onward.ir import Node
from onward.program.content import Constancy


@dataclass(frozen=True)
class Call:
    """An operator applied to arrays.

    `version` is that of the signature that holds (Softmax is in version 13 from operator set 13 on). `inputs` are as many as
    the definition takes, None where an optional one is absent; `attributes` are those that the definition takes, with the
    schema's defaults. `results` are what the definition made of them: the results of a claim have these data types and shapes.
    """

    node: Node
    version: int
    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any]
    results: tuple[P.Array, ...]


@dataclass(frozen=True)
class Native:
    """How a claimed call is said: `write` is for who claimed it; `sources` are the arrays that it is computed from.

    By default those are the inputs but for constants, what is made of parameters, and what is known of sizes: what becomes of these is
    up to `write`.
    """

    write: Callable[..., Any]
    sources: tuple[P.Array, ...] | None = None


Form = Callable[[Call], Native | None]
"""Claims a call, or leaves it to its definition."""


@dataclass
class Claims:
    """Offers calls to a form. `of_weights` are the operators that it has words for even where they are applied to weights alone."""

    form: Form
    of_weights: Set[str] = frozenset()
    is_weight: Constancy = field(default_factory=lambda: Constancy(parameters=True))

    def results(self, call: Call) -> tuple[P.Array, ...]:
        """What the definition made, or the results of a routine `native` with the attributes `call` and `write`.

        Nothing is offered that is known before the run, sizes and what is made of them above all: shapes depend on it. What is made of
        parameters alone is not offered, so that forms can see what a weight is made of, but for operators that training changes.
        Sequences, optional values and nodes with graphs are not offered either.
        """
        inputs = [item for item in call.inputs if item is not None]
        if not all(isinstance(item, P.Array) for item in (*inputs, *call.results)) or any(True for _ in call.node.subgraphs()):
            return call.results
        is_weight = any(self.is_weight(item) for item in call.results)
        if any(item.content is not None for item in call.results) or is_weight and call.node.op_type not in self.of_weights:
            return call.results
        native = self.form(call)
        if native is None:
            return call.results
        sources = native.sources if native.sources is not None else inputs
        outputs = [(item.shape, item.dtype) for item in call.results]
        changing = [item for item in dict.fromkeys(sources) if item.content is None and (is_weight or not self.is_weight(item))]
        defined = dict.fromkeys(symbol for item in call.results if isinstance(item, P.RoutineOutput) for symbol in item.routine.symbols)
        return P.routine("native", changing, outputs, list(defined), call=call, write=native.write)


def call_of(array: P.Array) -> Call | None:
    """The call that a claimed result comes from: a form may look beyond one node."""
    if not isinstance(array, P.RoutineOutput) or array.routine.name != "native":
        return None
    return array.routine.attributes["call"]
