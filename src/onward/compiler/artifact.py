"""What compilation gives: object code, weights and everything a runtime must know, and nothing of the compiler."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.program.guards import Guard

MakeParts = Callable[[], Iterable[np.ndarray]]
"""Gives arrays that follow each other in memory, one at a time."""


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

    - `code`: object code, or what is to give it; together the pieces define `entry`, the function
      `i32 run(ptr context, ptr inputs, ptr outputs, ptr sizes)`.
    - `symbols`: the meaning of each slot of `sizes` (int64); the first `bound_symbols` are taken from the inputs' shapes,
      the others are written by the entry.
    - `arena_bytes`: memory for intermediate values, in terms of the bound symbols.
    - `weights`: pieces of the read-only weight memory of `weights_bytes`: offsets (multiples of 64) and what makes the arrays that follow each other there.
    - `guards`: what the sizes of a run must fulfil for the code to be valid.
    - `in_place`: inputs and outputs (by number) that may be one memory: the output is the input with some elements written anew.
    """

    code: list[bytes] | Future[list[bytes]]
    entry: str
    inputs: list[PortSpec]
    outputs: list[PortSpec]
    symbols: list[str]
    bound_symbols: int
    arena_bytes: Dimension
    weights: list[tuple[int, MakeParts]]
    weights_bytes: int
    kernels: list[KernelInfo]
    target: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    guards: Sequence[Guard] = ()
    in_place: Sequence[tuple[int, int]] = ()

    @property
    def objects(self) -> list[bytes]:
        """The object code, as soon as it is there. Raises CompileError."""
        return self.code if isinstance(self.code, list) else self.code.result()

    def pack(self, write: Callable[[int, np.ndarray], None]) -> None:
        """Makes the pieces of the weights, several at once, and hands their parts, as bytes, to `write` with their offsets; none is kept."""

        def piece(item: tuple[int, MakeParts]) -> None:
            position, parts = item[0], item[1]()
            for part in map(as_bytes, parts):
                write(position, part)
                position += part.nbytes

        if self.weights_bytes < WORTH_THREADS:
            for item in self.weights:
                piece(item)
            return
        with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
            for _ in pool.map(piece, self.weights):
                pass


WORTH_THREADS = 1 << 22
"""Bytes of weights that are packed sooner by several threads."""
MOST_THREADS = 8


def as_bytes(array: np.ndarray) -> np.ndarray:
    """The bytes of an array in row-major order."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


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
