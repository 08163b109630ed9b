"""inline: model-local functions in the place of their calls."""

from __future__ import annotations

from typing import Any

from onward.ir import Model, as_model
from onward.passes.inlining import inline_functions


def inline(model: Any) -> Model:
    """A copy of the model without functions that can do without: each call becomes the function's body.

    Functions written in another version of an operator set, in which one of their operators means something else, stay.
    Raises InvalidGraph for functions that call themselves.
    """
    result = as_model(model).copy()
    inline_functions(result)
    return result
