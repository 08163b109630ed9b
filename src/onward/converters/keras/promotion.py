"""The data type that Keras gives what it computes of tensors of several types: JAX's rule, without numbers of 64 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

NARROWED = {"int64": "int32", "uint64": "uint32", "float64": "float32"}
KINDS = (bool, int, float)


def result_type(floatx: str, *kinds: Any) -> str:
    """Floats win over integers, and those over booleans; of the types of one kind the narrowest that holds them all. Python's numbers
    (`bool`, `int`, `float` instead of a name) have a kind alone."""
    strongest = max(_kind(item) for item in kinds)
    named = {item for item in kinds if isinstance(item, str) and _kind(item) == strongest}
    if not named:
        return ("bool", f"int{floatx[-2:]}", floatx)[strongest]
    if strongest == 2:
        found = named.pop() if len(named) == 1 else "float64" if "float64" in named else "float32"
    else:
        found = np.result_type(*named).name
    return NARROWED.get(found, found)


def _kind(item: Any) -> int:
    if not isinstance(item, str):
        return KINDS.index(item)
    return 0 if item == "bool" else 2 if "float" in item else 1
