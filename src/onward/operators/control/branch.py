"""If."""

from __future__ import annotations

from typing import Any

from onward import program as P
from onward.errors import UnsupportedOperator
from onward.ir import Graph
from onward.operators.registry import Context, operator


@operator("If")
def if_(condition: P.Array, *, then_branch: Graph, else_branch: Graph, context: Context) -> tuple[Any, ...]:
    """The outputs of one of two sub-graphs. ONNX If-1 to If-25.

    A condition that is known before the run picks its branch. Otherwise both are computed and elements selected, which
    asks that the outputs agree in shape.
    """
    if condition.known is not None:
        taken = bool(condition.known.reshape(-1)[0])
        return context.inline(then_branch if taken else else_branch, [])
    then, otherwise = context.inline(then_branch, []), context.inline(else_branch, [])
    flag = P.reshape(condition, ())
    return tuple(_selected(flag, *pair) for pair in zip(then, otherwise))


def _selected(flag: P.Array, then: Any, otherwise: Any) -> P.Array:
    arrays = isinstance(then, P.Array) and isinstance(otherwise, P.Array)
    if not arrays or then.shape != otherwise.shape or then.dtype != otherwise.dtype:
        raise UnsupportedOperator(f"branches chosen during the run with different outputs, {then} and {otherwise}")
    return P.where(flag, then, otherwise)
