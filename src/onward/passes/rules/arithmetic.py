"""Arithmetic that does nothing, or twice what could be done once."""

from __future__ import annotations

from onward.ir import DataType, Value
from onward.passes.match import Match
from onward.passes.pattern import bind, constant, op, rest, wildcards
from onward.passes.rewrite import Builder, Rule

x, y = wildcards("x y")
c, d = constant("c"), constant("d")
anything = rest("anything")

MANTISSA = {
    DataType.BFLOAT16: (8, 8), DataType.FLOAT16: (5, 11), DataType.FLOAT: (8, 24), DataType.DOUBLE: (11, 53),
    DataType.FLOAT8E5M2: (5, 3), DataType.FLOAT8E4M3FN: (4, 4),
}  # fmt: skip
"""Bits of the exponent and of the significand."""

LARGEST_COMBINED = 1 << 16
"""Elements of constants that are combined: larger ones would be computed over and over in vain."""


def is_exact_cast(source: DataType | None, target: DataType | None) -> bool:
    """Whether every number of one data type is a number of the other."""
    if source is None or target is None:
        return False
    if source == target:
        return True
    if source == DataType.BOOL:
        return target.is_integer or target in MANTISSA
    if source.is_integer and target.is_integer:
        return (source.is_signed <= target.is_signed) and (target.bits > source.bits or (target.bits == source.bits and source.is_signed == target.is_signed))
    if source.is_integer and target in MANTISSA:
        return source.bits <= MANTISSA[target][1] and target not in (DataType.FLOAT8E5M2, DataType.FLOAT8E4M3FN)
    if source in MANTISSA and target in MANTISSA:
        return MANTISSA[source][0] <= MANTISSA[target][0] and MANTISSA[source][1] <= MANTISSA[target][1]
    return False


def _inner_cast_is_exact(match: Match) -> bool:
    return is_exact_cast(match.dtype("x"), DataType(match.between))


def _cast_to_type_of(builder: Builder, match: Match) -> Value | None:
    dtype = match.dtype("y")
    if dtype is None:
        return None
    # Newer versions say how float8 treats what is too large.
    options = {name: item.value for name, item in match.root.attributes.items()}
    return builder.Cast(match.x, to=int(dtype), **options)


def _is_inference(match: Match) -> bool:
    schema = match.facts.schema(match.root)
    if schema is None or schema.since < 7:
        return bool(match.option(match.root, "is_test", 0))
    inputs = match.root.inputs
    if len(inputs) < 3 or inputs[2] is None:
        return True
    training = match.facts.constant(inputs[2])
    return training is not None and not training.any()


def _small(match: Match) -> bool:
    """Whether constants may be combined. In double precision the last place counts: it may decide on which side of a tree's threshold a row is."""
    return match.dtype("x") != DataType.DOUBLE and match.data("c").size <= LARGEST_COMBINED and match.data("d").size <= LARGEST_COMBINED


def _is_float(match: Match) -> bool:
    dtype = match.dtype("x")
    return dtype is not None and dtype.is_float and _small(match)


casts = op.Cast(op.Cast(x, to=bind("between")), to=bind("to"))

RULES = (
    Rule("identity", op.Identity(x), x, untyped=True),
    Rule("dropout at inference", op.Dropout(x, anything), x, when=_is_inference, untyped=True),
    Rule("cast to the same type", op.Cast(x, to=bind("to")), x),
    Rule("cast like", op.CastLike(x, y), _cast_to_type_of),
    Rule("cast of an exact cast", casts, op.Cast(x, to=bind("to")), when=_inner_cast_is_exact),
    Rule("add zero", x + 0, x),
    Rule("subtract zero", x - 0, x),
    Rule("multiply by one", x * 1, x),
    Rule("divide by one", x / 1, x),
    Rule("to the power of one", x**1, x),
    Rule("double negation", op.Neg(op.Neg(x)), x),
    Rule("add the negative", x + -y, x - y),
    Rule("subtract the negative", x - -y, x + y),
    Rule("sum of one", op.Sum(x), x),
    Rule("sum of two", op.Sum(x, y), x + y),
    Rule("maximum of one", op.Max(x), x),
    Rule("minimum of one", op.Min(x), x),
    Rule("mean of one", op.Mean(x), x),
    Rule("add constants", (x + c) + d, x + (c + d), when=_small),
    Rule("multiply constants", (x * c) * d, x * (c * d), when=_is_float),
    Rule("divide by constants", (x / c) / d, x / (c * d), when=_is_float),
    Rule("absolute value twice", op.Abs(op.Abs(x)), op.Abs(x)),
    Rule("relu twice", op.Relu(op.Relu(x)), op.Relu(x)),
)  # fmt: skip
