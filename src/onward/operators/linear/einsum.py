"""Einsum."""

from __future__ import annotations

import re
from collections.abc import Sequence

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.expressions import Dimension
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator

_TERM = re.compile(r"\.\.\.|[A-Za-z]")


@operator("Einsum", since=12)
@computed_wide
def einsum(*inputs: P.Array, equation: str) -> P.Array:
    """Einstein's sum of products, two factors at a time from the left. ONNX Einsum-12."""
    terms, result = _parsed(equation, inputs)
    array, labels = inputs[0], terms[0]
    for position in range(1, len(inputs)):
        needed = {label for term in terms[position + 1 :] for label in term} | set(result)
        kept = [label for label in dict.fromkeys([*labels, *terms[position]]) if label in needed]
        wanted = list(result) if position == len(inputs) - 1 else kept
        array, labels = _product([array, inputs[position]], [labels, terms[position]], wanted), wanted
    return _product([array], [labels], result) if len(inputs) == 1 else array


def _parsed(equation: str, inputs: Sequence[P.Array]) -> tuple[list[list[str]], list[str]]:
    """The labels of each input's axes and of the result's. The axes of an ellipsis are labelled by their position."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = [_TERM.findall(part) for part in left.split(",")]
    if len(parts) != len(inputs) or any("".join(p) != text for p, text in zip(parts, left.split(","))):
        raise InvalidArgument(f"the equation '{equation}' does not fit {len(inputs)} inputs")
    terms = []
    for part, item in zip(parts, inputs):
        extra = item.rank - sum(label != "..." for label in part)
        if extra < 0 or (extra and "..." not in part):
            raise InvalidArgument(f"'{''.join(part)}' of the equation '{equation}' does not fit {item}")
        dots = [f"...{position}" for position in range(-extra, 0)]
        terms.append([label for term in part for label in (dots if term == "..." else [term])])
    used = dict.fromkeys(label for term in terms for label in term)
    dots = sorted((label for label in used if label.startswith("...")), key=lambda label: int(label[3:]))
    if arrow:
        return terms, [label for term in _TERM.findall(right) for label in (dots if term == "..." else [term])]
    count = [label for term in terms for label in term]
    return terms, [*dots, *sorted(label for label in used if not label.startswith("...") and count.count(label) == 1)]


def _product(factors: Sequence[P.Array], terms: Sequence[Sequence[str]], result: Sequence[str]) -> P.Array:
    """The product of one or two arrays, summed over the labels that the result does not have."""
    extents: dict[str, Dimension] = {}
    for factor, term in zip(factors, terms):
        for label, extent in zip(term, factor.shape):
            if label not in extents or (isinstance(extents[label], int) and extents[label] == 1):
                extents[label] = extent
    summed = [label for label in extents if label not in result]

    def element(*position: Dimension) -> P.Scalar:
        places = dict(zip([*result, *summed], position))
        reads = [
            factor[tuple(0 if isinstance(e, int) and e == 1 else places[label] for label, e in zip(term, factor.shape))] for factor, term in zip(factors, terms)
        ]
        return reads[0] * reads[1] if len(reads) == 2 else reads[0]

    shape = [extents[label] for label in result]
    if not summed:
        return P.compute(shape, element)
    return P.reduce("sum", shape, [extents[label] for label in summed], element)
