"""Operators that jaxprs dissolve, found again by the rules of the optimiser."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onward.ir import Model
from onward.passes import PASSES, all_rules, optimize

KEPT = frozenset({
    "softmax", "log softmax", "log of softmax", "gelu by erf", "gelu by tanh", "softplus", "softsign", "hard swish by clip", "hard sigmoid by clip",
    "hard swish", "remove dead code",
})  # fmt: skip
"""Rules and passes that make a graph easier to read and change no number beyond rounding."""


def recognised(model: Model) -> Model:
    """The model with such operators whole."""
    left_out = ({rule.name for rule in all_rules()} | set(PASSES)) - KEPT
    return optimize(model, disable=left_out)


def exact_gelus(jaxpr: Any) -> dict[int, Any]:
    """By the identity of the last equation, the x of each x/2 erfc(-x sqrt(1/2)), which is no rule because erfc is no operator."""
    makers = {item: equation for equation in jaxpr.eqns for item in equation.outvars}

    def made_by(item: Any, name: str) -> Any:
        equation = None if hasattr(item, "val") else makers.get(item)
        return equation if equation is not None and equation.primitive.name == name else None

    def scaled(item: Any, factor: float) -> Any:
        """What is multiplied by a number."""
        equation = made_by(item, "mul")
        for number, other in (equation.invars, equation.invars[::-1]) if equation is not None else ():
            known = getattr(number, "val", None)
            if (
                known is not None
                and np.ndim(known) == 0
                and math.isclose(float(known), factor, rel_tol=float(np.finfo(np.float16).eps) if other.aval.dtype.itemsize == 2 else 1e-6)
                and not hasattr(other, "val")
            ):
                return other
        return None

    found = {}
    for equation in jaxpr.eqns:
        if equation.primitive.name != "mul":
            continue
        for half, gate in (equation.invars, equation.invars[::-1]):
            complement, x = made_by(gate, "erfc"), scaled(half, 0.5)
            negative = made_by(scaled(complement.invars[0], math.sqrt(0.5)), "neg") if complement is not None and x is not None else None
            if negative is not None and negative.invars[0] is x:
                found[id(equation)] = x
    return found
