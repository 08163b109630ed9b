"""Rules by which operators are taken apart that PyTorch has no rule for. Importing the package registers them."""

from __future__ import annotations

from onward.converters.torch.rules import (
    attention,
    bessel,
    counting,
    eigenvalues,
    gradients,
    orthogonal,
    placing,
    polynomials,
    products,
    random,
    special,
    systems,
)
from onward.converters.torch.rules.registry import overloads, rule, taking_graphs_apart

__all__ = ["overloads", "rule", "taking_graphs_apart"]
