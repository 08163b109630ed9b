"""Transpositions: merged, moved together, and turned into reshapes where nothing moves."""

from __future__ import annotations

from onward.ir import Value
from onward.passes.match import Match
from onward.passes.pattern import any_of, bind, constant, op, rest, wildcards
from onward.passes.rewrite import Builder, Rule
from onward.passes.rules.targets import reshape

x, y = wildcards("x y")
c = constant("c")

UNARY = (
    "Abs", "Cast", "Ceil", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu",
    "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Sqrt",
    "Swish", "Tanh",
)  # fmt: skip
BINARY = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "And", "Or", "Equal", "Less", "Greater")


def _permutation(match: Match, name: str) -> list[int] | None:
    permutation = match.bound[name]
    if permutation is not None:
        return list(permutation)
    rank = match.rank("x")
    return None if rank is None else list(reversed(range(rank)))


def _is_identity(match: Match) -> bool:
    permutation = _permutation(match, "perm")
    return permutation is not None and permutation == list(range(len(permutation)))


def _composed(match: Match) -> list[int] | None:
    first, second = _permutation(match, "first"), _permutation(match, "second")
    if first is None or second is None or len(first) != len(second):  # broadcast in between to more axes
        return None
    return [first[axis] for axis in second]


def _merged(builder: Builder, match: Match) -> Value | None:
    permutation = _composed(match)
    if permutation is None:
        return None
    return match.x if permutation == sorted(permutation) else builder.Transpose(match.x, perm=permutation)


def _as_reshape(builder: Builder, match: Match) -> Value | None:
    """Only axes of extent 1 move: the elements stay where they are."""
    shape, permutation = match.shape("x"), _permutation(match, "perm")
    if shape is None or permutation is None:
        return None
    moved = [axis for axis in permutation if shape[axis] != 1]
    return reshape(builder, match, match.x, [shape[axis] for axis in permutation]) if moved == sorted(moved) else None


def _through_unary(builder: Builder, match: Match) -> Value | None:
    """T2(f(T1(x))) = f(T2 T1 x)."""
    inner = _merged(builder, match)
    middle = match.root.inputs[0].producer  # type: ignore[union-attr]
    if inner is None or middle is None:
        return None
    attributes = {name: item.value for name, item in middle.attributes.items()}
    return builder.node(middle.op_type, (inner, *middle.inputs[1:]), attributes)


def _through_binary(builder: Builder, match: Match) -> Value | None:
    """T2(T1(x) o T1(y)) = (T2 T1 x) o (T2 T1 y)."""
    permutation = _composed(match)
    middle = match.root.inputs[0].producer  # type: ignore[union-attr]
    if permutation is None or middle is None or match.rank("x") != match.rank("y"):
        return None
    pair = []
    for value in middle.inputs:
        source = value.producer.inputs[0]  # type: ignore[union-attr]
        pair.append(source if permutation == sorted(permutation) else builder.Transpose(source, perm=permutation))
    return builder.node(middle.op_type, tuple(pair), {})


def _through_scaling(builder: Builder, match: Match) -> Value | None:
    """T2(T1(x) o c) = (T2 T1 x) o (T2 c) for a constant that has all axes, or one element."""
    permutation, second = _composed(match), _permutation(match, "second")
    middle = match.root.inputs[0].producer  # type: ignore[union-attr]
    data = match.data("c")
    if permutation is None or second is None or middle is None:
        return None
    if data.ndim not in (0, len(permutation)) and data.size != 1:
        return None
    inputs = []
    for value in middle.inputs:
        if value is match.c:
            inputs.append(value if data.size == 1 else builder.constant(data.transpose(second)))
        else:
            inputs.append(match.x if permutation == sorted(permutation) else builder.Transpose(match.x, perm=permutation))
    return builder.node(middle.op_type, tuple(inputs), {})


inner = op.Transpose(x, perm=bind("first"))
both = (inner, op.Transpose(y, perm=bind("first")))
either = [getattr(op, name)(*pair) for name in BINARY for pair in ((inner, c), (c, inner))]

RULES = (
    Rule("transpose nothing", op.Transpose(x, perm=bind("perm")), x, when=_is_identity),
    Rule("transpose of a transpose", op.Transpose(op.Transpose(x, perm=bind("first")), perm=bind("second")), _merged),
    Rule("transpose of axes of extent one", op.Transpose(x, perm=bind("perm")), _as_reshape),
    Rule(
        "transpose around a function",
        op.Transpose(any_of(*(getattr(op, name)(inner, rest("how")) for name in UNARY)), perm=bind("second")),
        _through_unary,
    ),
    Rule(
        "transpose around an operation",
        op.Transpose(any_of(*(getattr(op, name)(*both) for name in BINARY)), perm=bind("second")),
        _through_binary,
    ),
    Rule("transpose around a scaling", op.Transpose(any_of(*either), perm=bind("second")), _through_scaling),
)
