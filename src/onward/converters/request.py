"""What a caller of `onward.convert` asks for, as every framework's page gets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from onward.errors import InvalidArgument


@dataclass
class Request:
    """The arguments of `onward.convert`; `source` is loaded already."""

    source: Any
    example_inputs: Any = None
    opset: int | None = None
    dynamic_shapes: Any = None
    input_names: Sequence[str] = field(default_factory=list)
    output_names: Sequence[str] | None = None
    methods: Sequence[str] = ()

    def name_of_input(self) -> str:
        """The name of the only input. Raises InvalidArgument for several."""
        if len(self.input_names) > 1:
            raise InvalidArgument(f"the model has 1 input, {len(self.input_names)} names were given")
        return self.input_names[0] if self.input_names else "x"

    def names_of_outputs(self, usual: Sequence[str]) -> list[str]:
        """The caller's names, or else the usual ones. Raises InvalidArgument for too few or too many."""
        if self.output_names and len(self.output_names) != len(usual):
            raise InvalidArgument(f"the model has {len(usual)} outputs, {', '.join(usual)}; {len(self.output_names)} names were given")
        return list(self.output_names or usual)
