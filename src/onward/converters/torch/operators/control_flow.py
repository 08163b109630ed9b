"""Branches and loops of the source."""

from __future__ import annotations

from typing import Any

import torch

from onward.converters.torch.emitter import DATA_TYPES, Emitter, Scalar, Tensor, is_static
from onward.converters.torch.registry import complex_operator, operator
from onward.ir import TensorType, Value
from onward.ir.datatypes import DataType


def _walked(c: Emitter, module: Any, inputs: list[Any]) -> list[Any]:
    from onward.converters.torch.graph import Walker

    result, name = c.result, c.operator
    made = Walker(c, module).run(inputs)
    c.result, c.operator = result, name
    return list(made) if isinstance(made, (list, tuple)) else [made]


def _port(c: Emitter, like: Any, name: str, leading: int = 0) -> Any:
    """An input of an inner graph for a tensor."""
    extents = tuple(extent if is_static(extent) else None for extent in getattr(like, "shape", ()))[leading:]
    pair = (2,) if like.dtype.is_complex else ()
    value = c.graph.new_value(TensorType(DATA_TYPES[like.dtype], (*extents, *pair)), name)
    c.graph.inputs.append(value)
    return Tensor(value, like.dtype, like.shape[leading:]) if isinstance(like, Tensor) else Scalar(value, like.dtype)


def _as_value(c: Emitter, item: Any) -> Any:
    if isinstance(item, (Tensor, Scalar)):
        return item
    kind = torch.bool if isinstance(item, bool) else torch.int64 if isinstance(item, int) else torch.float64
    return Scalar(c.number(item, kind), kind)


@complex_operator("higher_order::cond")
@operator("higher_order::cond")
def cond(c: Emitter, condition: Any, when_true: Any, when_false: Any, operands: Any = ()) -> Any:
    from onward.converters.torch.graph import give_back

    branches = []
    for name, module in (("then_branch", when_true), ("else_branch", when_false)):
        with c.inner_graph(name) as inner:
            give_back(c, [_as_value(c, item).value for item in _walked(c, module, list(operands))])
        branches.append(inner)
    test = c.number(condition, torch.bool)
    if isinstance(condition, Tensor) and condition.rank:
        test = c.reshape(test, [])
    count = len(branches[0].outputs)
    made = c.op("If", test, then_branch=branches[0], else_branch=branches[1], outputs=count)
    return [made] if count == 1 else made


@complex_operator("higher_order::while_loop")
@operator("higher_order::while_loop")
def while_loop(c: Emitter, condition: Any, body: Any, states: Any, extra: Any = ()) -> Any:
    from onward.converters.torch.graph import give_back

    carried = [_as_value(c, item) for item in states]
    others = [_as_value(c, item) for item in extra]
    (first,) = _walked(c, condition, [*carried, *others])
    with c.inner_graph("body") as inner:
        for name, kind in (("turn", DataType.INT64), ("condition", DataType.BOOL)):
            inner.inputs.append(inner.new_value(TensorType(kind, ()), name))
        ports = [_port(c, item, "state") for item in carried]
        after = [_as_value(c, item) for item in _walked(c, body, [*ports, *others])]
        (again,) = _walked(c, condition, [*after, *others])
        give_back(c, [_truth(c, again), *[item.value for item in after]])
    made = c.op("Loop", None, _truth(c, first), *carried, body=inner, outputs=len(carried))
    return [made] if len(carried) == 1 else made


def _truth(c: Emitter, item: Any) -> Value:
    value = c.number(item, torch.bool)
    return c.reshape(value, []) if isinstance(item, Tensor) and item.rank else value


@complex_operator("higher_order::scan")
@operator("higher_order::scan")
def scan(c: Emitter, combine: Any, initial: Any, sequences: Any, extra: Any = ()) -> Any:
    from onward.converters.torch.graph import give_back

    with c.inner_graph("body") as inner:
        states = [_port(c, item, "state") for item in initial]
        slices = [_port(c, item, "slice", 1) for item in sequences]
        made = _walked(c, combine, [*states, *slices, *extra])
        give_back(c, [_as_value(c, item).value for item in made])
    count = len(inner.outputs)
    found = c.op("Scan", *initial, *sequences, body=inner, num_scan_inputs=len(sequences), outputs=count)
    return [found] if count == 1 else found


@complex_operator("higher_order::map_impl")
@operator("higher_order::map_impl")
def map_(c: Emitter, function: Any, sequences: Any, extra: Any = ()) -> Any:
    return scan(c, function, [], sequences, extra)
