"""If."""

from __future__ import annotations

from typing import Any

from onward import program as P
from onward.ir import Graph
from onward.operators.arguments import NotConstant
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
    for left, right in zip(then, otherwise):
        arrays = isinstance(left, P.Array) and isinstance(right, P.Array)
        if not arrays or left.shape != right.shape or left.dtype != right.dtype:
            raise NotConstant(f"its branches give {left} and {right}, so its condition must be a constant", [condition])
    flag = P.reshape(condition, ())
    return tuple(P.where(flag, left, right) for left, right in zip(then, otherwise))
