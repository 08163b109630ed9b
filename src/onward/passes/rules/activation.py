"""Activation functions as exporters spell them out."""

from __future__ import annotations

import math

from onward.ir import Value
from onward.passes.match import Match
from onward.passes.pattern import Choice, Pattern, PatternLike, any_of, as_pattern, constant, op, wildcards
from onward.passes.rewrite import Builder, Rule

(x,) = wildcards("x")


def product(*factors: PatternLike) -> Choice:
    """The product of three factors, whichever two are multiplied first."""
    first, second, third = map(as_pattern, factors)
    return any_of((first * second) * third, (first * third) * second, (second * third) * first)


def halved_product(first: Pattern, second: Pattern) -> Choice:
    """first * second / 2, as a product of three or with a division."""
    return any_of(product(first, second, 0.5), (first * second) / 2, (first / 2) * second, first * (second / 2))


def scaled(pattern: Pattern, factor: float) -> Choice:
    """A multiple, written as a product or as a quotient."""
    return any_of(pattern * factor, pattern / (1 / factor))


cube = any_of(x**3, x * (x * x), x * x**2)
square = any_of(x * x, x**2)
erf_gate = op.Erf(scaled(x, math.sqrt(0.5))) + 1
tanh_argument = any_of(
    scaled(x + cube * 0.044715, math.sqrt(2 / math.pi)),
    product(x, square * 0.044715 + 1, math.sqrt(2 / math.pi)),
)
tanh_gate = op.Tanh(tanh_argument) + 1


def _clips(low: float, high: float) -> Pattern:
    """A value kept between two numbers, by Clip or by Min and Max."""
    inner = x + 3
    return any_of(
        op.Clip(inner, min=low, max=high),
        op.Min(op.Max(inner, low), high),
        op.Max(op.Min(inner, high), low),
    )


clipped = _clips(0.0, 6.0)
hard_gate = any_of(clipped / 6, clipped * (1 / 6))


def _quick_gelu(builder: Builder, match: Match) -> Value | None:
    data = match.data("c")
    if data.size != 1:
        return None
    return builder.Swish(match.x, alpha=float(data.reshape(-1)[0]))


def _hard_sigmoid(builder: Builder, match: Match) -> Value:
    return builder.HardSigmoid(match.x, alpha=1 / 6, beta=0.5)


def _is_sixth(found: float) -> bool:
    return abs(found - 1 / 6) < 1e-6


c = constant("c")
sigmoid = op.Sigmoid(x)

RULES = (
    Rule("gelu by erf", halved_product(x, erf_gate), op.Gelu(x)),
    Rule("gelu by tanh", halved_product(x, tanh_gate), op.Gelu(x, approximate="tanh")),
    Rule("sigmoid", any_of(1 / (op.Exp(-x) + 1), op.Reciprocal(op.Exp(-x) + 1)), op.Sigmoid(x)),
    Rule("silu", x * sigmoid, op.Swish(x)),
    Rule("quick gelu", x * op.Sigmoid(x * c), _quick_gelu),
    Rule("softplus", op.Log(op.Exp(x) + 1), op.Softplus(x)),
    Rule("mish", x * op.Tanh(op.Softplus(x)), op.Mish(x)),
    Rule("hard swish by clip", any_of((x * clipped) / 6, (x * clipped) * (1 / 6), x * hard_gate), op.HardSwish(x)),
    Rule("hard sigmoid by clip", hard_gate, _hard_sigmoid),
    Rule("hard swish", x * op.HardSigmoid(x, alpha=_is_sixth, beta=0.5), op.HardSwish(x)),
    Rule("relu by maximum", op.Max(x, 0), op.Relu(x)),
    Rule("softsign", x / (op.Abs(x) + 1), op.Softsign(x)),
)
