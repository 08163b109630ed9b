"""What compilation gives: object code, weights and everything a runtime must know, and nothing of the compiler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.program.guards import Guard


@dataclass(frozen=True)
class PortSpec:
    """An input or output: its name, dtype, and shape in terms of the artifact's symbols."""

    name: str
    dtype: DataType
    shape: tuple[Dimension, ...]


@dataclass(frozen=True)
class KernelInfo:
    """One launch of a kernel, for profiles and error messages, in the order of execution.

    `origins` are the graph nodes it computes; `flops` and `bytes` are estimates in terms of the symbols.
    """

    name: str
    kind: str
    origins: tuple[str, ...]
    flops: Dimension = 0
    bytes: Dimension = 0


@dataclass
class Artifact:
    """A compiled model.

    - `objects`: object code; together they define `entry`, the function
      `i32 run(ptr context, ptr inputs, ptr outputs, ptr sizes)`.
    - `symbols`: the meaning of each slot of `sizes` (int64); the first `bound_symbols` are taken from the inputs' shapes,
      the others are written by the entry.
    - `arena_bytes`: memory for intermediate values, in terms of the bound symbols.
    - `weights`: (offset, array) pieces of the read-only weight memory of `weights_bytes`; 64-byte aligned.
    - `guards`: what the sizes of a run must fulfil for the code to be valid.
    """

    objects: list[bytes]
    entry: str
    inputs: list[PortSpec]
    outputs: list[PortSpec]
    symbols: list[str]
    bound_symbols: int
    arena_bytes: Dimension
    weights: list[tuple[int, np.ndarray]]
    weights_bytes: int
    kernels: list[KernelInfo]
    target: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    guards: Sequence[Guard] = ()


PRECISIONS = ("float32", "bfloat16")
"""What operands of products may be rounded to; the first is the default."""


@dataclass(frozen=True)
class CompileOptions:
    """How to compile.

    - `target`: the name of a target as `Target.parse` reads it; None for this machine (or ONWARD_CPU).
    - `profile`: emit a timestamp around every kernel.
    - `optimize`: run the graph passes first.
    - `disabled_passes`: names of rules and passes to leave out.
    - `processes`: how many processes may compile at once; 0 for as many as there are cores.
    - `precision`: what operands of products of float32 may be rounded to, where that makes them faster: one of PRECISIONS.
    """

    target: str | None = None
    profile: bool = False
    optimize: bool = True
    disabled_passes: Sequence[str] = ()
    processes: int = 0
    precision: str = PRECISIONS[0]
