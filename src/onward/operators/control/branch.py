"""If."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir import Graph
from onward.operators.arguments import NotConstant
from onward.operators.registry import Context, operator


@operator("If")
def if_(condition: P.Array, *, then_branch: Graph, else_branch: Graph, context: Context) -> tuple[Any, ...]:
    """The outputs of one of two sub-graphs. ONNX If-1 to If-25.

    A condition that is known before the run picks its branch. Otherwise the outputs must agree in shape. Each branch is a
    recurrence of at most one step, so that only what is taken is computed; branches that compute nothing are selected from.
    """
    if condition.known is not None:
        taken = bool(condition.known.reshape(-1)[0])
        return context.inline(then_branch if taken else else_branch, [])
    flag = P.reshape(condition, ())
    then, otherwise = context.inline(then_branch, []), context.inline(else_branch, [])
    for left, right in zip(then, otherwise):
        arrays = isinstance(left, P.Array) and isinstance(right, P.Array)
        if not arrays or left.shape != right.shape or left.dtype != right.dtype:
            raise NotConstant(f"its branches give {left} and {right}, so its condition must be a constant", [condition])
    if not then_branch.nodes and not else_branch.nodes:
        return tuple(P.where(flag, left, right) for left, right in zip(then, otherwise))
    empty = [P.full(item.shape, 0, item.dtype) for item in then]
    outside = context.captured()
    try:
        first = _when(flag, empty, then, outside)
        return _when(P.logical_not(flag), first, otherwise, outside)
    except InvalidArgument as problem:
        raise NotConstant(f"its branches cannot be compiled ({problem}); its condition must be a constant", [condition]) from problem


def _when(flag: P.Array, before: Sequence[P.Array], after: Sequence[P.Array], outside: Sequence[Any]) -> tuple[P.Array, ...]:
    """`after` where the flag is set, which is computed only then; otherwise `before`."""

    def step(_: P.Scalar, states: Sequence[P.Array], __: Any) -> tuple[Sequence[P.Array], Sequence[P.Array]]:
        return [states[0], *after], []

    return P.recurrence(step, [flag, *before], [], 1, condition=0, outside=outside)[0][1:]
