"""What a caller of `onward.convert` asks for, as every framework's page gets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


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
