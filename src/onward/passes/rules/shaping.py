"""Slices, pads, tiles, expansions, concatenations and gathers that do nothing or can be one."""

from __future__ import annotations

import numpy as np

from onward.ir import Node, Value
from onward.passes.match import Match
from onward.passes.pattern import Apply, bind, op, optional, rest, wildcards
from onward.passes.rewrite import Builder, Rule

x, y, anchor, condition = wildcards("x y anchor condition")
how = rest("how")
parts = rest("parts")

BROADCASTING = (
    "Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual",
)  # fmt: skip


def _steps_forward(match: Match) -> bool:
    """A slice that keeps the shape keeps the order as well."""
    try:
        steps = match.option(match.root, "steps")
    except LookupError:
        return False
    return steps is None or all(step > 0 for step in steps)


def _pads_nothing(match: Match) -> bool:
    return match.pads is not None and all(amount == 0 for amount in match.pads)


def _takes_all_in_order(match: Match) -> bool:
    indices = match.constant("y")
    return indices is not None and indices.ndim == 1 and np.array_equal(indices, np.arange(indices.size))


def _is_own_concat(match: Match, node: Node) -> bool:
    """Whether the node is a Concat that only the matched one uses."""
    if (node.op_type, node.domain, node.graph) != ("Concat", match.root.domain, match.root.graph):
        return False
    value = node.outputs[0]
    return len(value.uses) == 1 and value not in match.facts.model.graph.outputs and not match.facts.is_pinned(value)


def _nested(builder: Builder, match: Match) -> Value | None:
    """Concatenations along the same axis are one; empty parts and the only part need none."""
    axis = match.option(match.root, "axis")
    rank = match.rank(match.root.outputs[0])
    if rank is None:
        return None
    place = axis % rank
    flat: list[Value] = []
    for part in match.parts:
        node = part.producer
        if node is not None and _is_own_concat(match, node) and match.option(node, "axis") % rank == place:
            flat.extend(value for value in node.inputs if value is not None)
        else:
            flat.append(part)
    filled = [part for part in flat if (shape := match.shape(part)) is None or shape[place] != 0]
    if len(filled) == len(match.parts) or not filled:
        return None
    return filled[0] if len(filled) == 1 else builder.Concat(*filled, axis=axis)


def _without_expansion(operator: str) -> tuple[Rule, ...]:
    left = getattr(op, operator)(op.Expand(x, how).shared(), y)
    right = getattr(op, operator)(y, op.Expand(x, how).shared())
    name = operator.lower()
    return (
        Rule(f"expand before {name}, left", left, getattr(op, operator)(x, y)),
        Rule(f"expand before {name}, right", right, getattr(op, operator)(y, x)),
    )


def _disjoint(match: Match) -> bool:
    rank = match.rank("x")
    options = (match.axes, match.outer_axes, match.starts, match.outer_starts)
    if rank is None or any(item is None for item in options):
        return False
    return not {axis % rank for axis in match.axes} & {axis % rank for axis in match.outer_axes}


def _slice_both(builder: Builder, match: Match) -> Value:
    inner = match.steps or [1] * len(match.axes)
    outer = match.outer_steps or [1] * len(match.outer_axes)
    return builder.Slice(
        match.x,
        starts=match.starts + match.outer_starts,
        ends=match.ends + match.outer_ends,
        axes=match.axes + match.outer_axes,
        steps=inner + outer,
    )


def _slice(source: Apply | object, prefix: str) -> Apply:
    names = ("starts", "ends", "axes", "steps")
    return op.Slice(source, **{name: bind(prefix + name) for name in names})  # type: ignore[arg-type]


def _has_steps(match: Match) -> bool:
    schema = match.facts.schema(match.root)
    return schema is not None and schema.since >= 10 and _disjoint(match)


def _where_without_expansion(place: int) -> Rule:
    inputs = [op.Expand(item, how).shared() if place == index else item for index, item in enumerate((condition, x, y))]
    return Rule(f"expand before where, input {place}", op.Where(*inputs), op.Where(condition, x, y))


def _shape_of_source(builder: Builder, match: Match) -> Value | None:
    """The same sizes from what the value is computed from, so that nothing needs to be computed for its shape."""
    node, content = match.x.producer, match.facts.content(match.root.outputs[0])
    if node is None or node.graph is not match.root.graph or content is None or content.size == 0:
        return None
    wanted = content.tolist()
    for source in node.inputs:
        shape = match.shape(source) if source is not None else None
        for start in range(len(shape or ()) - len(wanted) + 1):
            if shape is not None and list(shape[start : start + len(wanted)]) == wanted:
                return builder.Shape(source, start=start, end=start + len(wanted))
    return None


masked = op.Where(op.Expand(condition, how).shared(), x, y).shared()

RULES = (
    Rule("expand to the same shape", op.Expand(x, how), x),
    Rule("expand of an expand", op.Expand(op.Expand(x, rest("before")), y), op.Expand(x, y)),
    Rule("tile to the same shape", op.Tile(x, how), x),
    Rule("slice everything", op.Slice(x, how), x, when=_steps_forward),
    Rule("slice of a slice", _slice(_slice(x, ""), "outer_"), _slice_both, when=_has_steps),
    Rule("pad nothing", op.Pad(x, optional("value"), pads=bind("pads")), x, when=_pads_nothing),
    Rule("shape of a computed value", op.Shape(x, start=bind("start"), end=bind("end")), _shape_of_source),
    Rule("concatenate", op.Concat(parts), _nested),
    Rule("concatenate one", op.Concat(x, axis=bind("axis")), x),
    Rule("split into one", op.Split(x, how), x, when=lambda match: len(match.root.outputs) == 1),
    Rule("gather everything", op.Gather(x, y, axis=bind("axis")), x, when=_takes_all_in_order),
    Rule("expand before a mask that is added", masked + anchor, op.Where(condition, x, y) + anchor),
    *(_where_without_expansion(place) for place in range(3)),
    *(rule for operator in BROADCASTING for rule in _without_expansion(operator)),
)
