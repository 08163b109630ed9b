"""Sizes that the run knows: expressions of JAX's symbolic dimensions as ONNX values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax import lax

from onward.ir import Value

Extent = Any  # int or a symbolic dimension of jax.export


def is_static(extent: Any) -> bool:
    """Whether an extent is known."""
    return isinstance(extent, (int, np.integer)) and not isinstance(extent, bool)


def same_padding(extents: Sequence[Extent], windows: Sequence[int], strides: Sequence[int], amounts: Sequence[Any]) -> str | None:
    """ONNX's word for padding that depends on open sizes, "SAME_UPPER" or "SAME_LOWER"; None where it is neither, or all is known."""
    if all(is_static(item) for pair in amounts for item in pair):
        return None
    for word, jax_word in (("SAME_UPPER", "SAME"), ("SAME_LOWER", "SAME_LOWER")):
        if [tuple(pair) for pair in lax.padtype_to_pads(extents, windows, strides, jax_word)] == [tuple(pair) for pair in amounts]:
            return word
    return None


class SizeWriter:
    """The part of the emitter that writes sizes."""

    symbols: dict[str, tuple[Value, int]]
    op: Any
    array: Any

    def sizes(self, items: Sequence[Any]) -> Value:
        """A vector of int64 of sizes known and open, and of values of rank 0 or 1."""
        parts: list[Value] = []
        known: list[int] = []
        for item in items:
            if is_static(item):
                known.append(int(item))
                continue
            if known:
                parts.append(self.array(np.array(known, np.int64)))
                known = []
            parts.append(self.op("Reshape", self.size(item), np.array([1])))
        if known or not items:
            parts.append(self.array(np.array(known, np.int64)))
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=0)

    def size(self, extent: Any) -> Value:
        """An extent as an int64 of rank 0."""
        if isinstance(extent, Value):
            return extent
        if is_static(extent):
            return self.array(np.array(extent, np.int64))
        total: Value | None = None
        for term, coefficient in extent._sorted_terms:
            factors = [self._power(factor, exponent) for factor, exponent in term._factors]
            if coefficient != 1 or not factors:
                factors.append(self.array(np.array(coefficient, np.int64)))
            product = factors[0]
            for factor in factors[1:]:
                product = self.op("Mul", product, factor)
            total = product if total is None else self.op("Add", total, product)
        assert total is not None
        return total

    def _power(self, factor: Any, exponent: int) -> Value:
        value = self._factor(factor)
        product = value
        for _ in range(exponent - 1):
            product = self.op("Mul", product, value)
        return product

    def _factor(self, factor: Any) -> Value:
        if factor.var is not None:
            holder, axis = self.symbols[factor.var]
            taken = self.op("Shape", holder, start=axis, end=axis + 1)
            return self.op("Squeeze", taken, np.array([0]))
        left, right = (self.size(operand) for operand in factor.operands)
        if factor.operation in ("max", "min"):
            return self.op(factor.operation.capitalize(), left, right)
        rest = self.op("Mod", left, right)
        return rest if factor.operation == "mod" else self.op("Div", self.op("Sub", left, rest), right)
