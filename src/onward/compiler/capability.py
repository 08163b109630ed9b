"""What of a tensor program can become machine code: everything but text and routines that have only an evaluator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from onward.ir.datatypes import DataType
from onward.program.array import Array, Compute, Reduce, RoutineOutput
from onward.program.scalar import Cast, Operation


class Capability:
    """Looks through arrays and remembers what it has seen, so that a program can be checked while it grows."""

    def __init__(self) -> None:
        self._sound: set[Array] = set()

    def refusal(self, arrays: Iterable[Any]) -> str | None:
        """Why the arrays cannot be computed natively; None when they can."""
        from onward.compiler.routines import ROUTINES  # the pages are written with what the compiler exports

        arrays = list(arrays)
        if not all(isinstance(array, Array) for array in arrays):
            return "sequences, maps and optional values are handled outside of compiled code"
        pending = [array for array in arrays if array not in self._sound]
        found: list[Array] = []
        seen = set(pending)
        while pending:
            array = pending.pop()
            found.append(array)
            if array.dtype == DataType.STRING:
                return f"{array} holds text, which is handled outside of compiled code"
            sources = list(array.sources)
            if isinstance(array, RoutineOutput) and array.routine.name == "recurrence":
                body = array.routine.attributes["body"]
                sources += [*body.following, *body.collected]
            elif isinstance(array, RoutineOutput) and array.routine.name not in ROUTINES:
                return f"the routine '{array.routine.name}' has no native code"
            if _computes_with_complex_numbers(array):
                return f"{array} computes with complex numbers, which compiled code only moves"
            new = [source for source in sources if source not in self._sound and source not in seen]
            seen.update(new)
            pending.extend(new)
        self._sound.update(found)
        return None


def _computes_with_complex_numbers(array: Array) -> bool:
    if isinstance(array, RoutineOutput):
        moved = array.routine.attributes.get("reduction", "none") == "none"
        return not moved and any(item.dtype.is_complex for item in array.routine.inputs)
    if not isinstance(array, (Compute, Reduce)):
        return False
    if isinstance(array, Reduce) and array.dtype.is_complex:
        return True
    parts = [item for item in array.body.walk() if isinstance(item, (Operation, Cast))]
    return any(part.dtype.is_complex or any(item.dtype.is_complex for item in part.arguments) for part in parts)
