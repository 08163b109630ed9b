"""The file of a program of torch.export."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from onward import operators
from onward.converters.targets.proof import REFUSALS, example_arrays
from onward.errors import ConversionError, InvalidArgument
from onward.ir import Model
from onward.ir.expressions import Expression

ENDING = ".pt2"

SIZES = (2, 3, 8, 16, 32, 64, 224)
"""What open extents are in the example: the first at which the model runs, and the next for the next symbol."""


def write_program(module: Any, model: Model, constants: Mapping[str, Any], path: Path) -> None:
    """Exports a module with the open sizes of the model, and writes the program as a whole or not at all.

    Raises InvalidArgument for another ending than .pt2, ConversionError where PyTorch does not export it.
    """
    from onward.converters.targets.torch import tensor

    if path.suffix != ENDING:
        raise InvalidArgument(
            f"programs of PyTorch are written to files that end in {ENDING}, not '{path.name}'; for a folder of source take the target torch-source"
        )
    inputs = operators.lower(model, constants=constants).inputs
    symbols = list(dict.fromkeys(name for item in inputs for extent in item.shape if isinstance(extent, Expression) for name in sorted(extent.symbols)))
    shapes = tuple({axis: torch.export.Dim.AUTO for axis, extent in enumerate(item.shape) if isinstance(extent, Expression)} for item in inputs)
    for size in SIZES:
        # neighbouring sizes, so that no two open extents are taken for one
        sizes = {name: size + place for place, name in enumerate(symbols)}
        arguments = tuple(tensor(array) for array in example_arrays(inputs, sizes))
        if _runs(module, arguments):
            break
    else:
        raise ConversionError("no sizes were found at which the module runs, so that torch.export could follow it")
    part = path.with_name(f".{path.name}{ENDING}")
    try:
        program = torch.export.export(module, arguments, dynamic_shapes=shapes)
        buffer = io.BytesIO()  # PyTorch ends the process where a file has no more room
        torch.export.save(program, buffer)
        part.write_bytes(buffer.getbuffer())
        os.replace(part, path)
    except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as problem:
        raise ConversionError(f"torch.export does not follow the module: {str(problem).splitlines()[0][:300]}") from problem
    finally:
        part.unlink(missing_ok=True)


def _runs(module: Any, arguments: Sequence[Any]) -> bool:
    try:
        with torch.no_grad():
            module(*arguments)
    except REFUSALS:
        return False
    return True
