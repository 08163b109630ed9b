"""TorchScript: files of older programs, and a second way for modules that torch.export refuses.

PyTorch's own converter turns the TorchScript graph into a graph of its operators, which torch.export then takes. Scripting keeps branches and
loops as they are written; tracing records one call, and everything that Python decided in it is fixed.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch._export.converter import TS2EPConverter
from torch.export import ExportedProgram, export

logger = logging.getLogger("onward.converters")

TRACED = "PyTorch could not export the module: one call was recorded, and every branch and loop of it is fixed"


class _Converter(TS2EPConverter):
    """Exports with open sizes of ours."""

    def __init__(self, module: Any, arguments: tuple[Any, ...], shapes: Any) -> None:
        self.shapes = shapes
        super().__init__(module, arguments)

    def retrace_as_exported_program(self, gm: Any, name_to_constant: Any) -> ExportedProgram:
        return export(gm, self.sample_args, dynamic_shapes=self.shapes, strict=False)


def exported(module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any], dynamic_shapes: Any) -> ExportedProgram:
    """The exported program of a TorchScript module, which takes no keywords. Raises what PyTorch raises for what it cannot convert."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _Converter(module, arguments, dynamic_shapes).convert()


def parameters(module: torch.jit.ScriptModule) -> list[str]:
    """The names of the arguments of a TorchScript module's call."""
    return [argument.name for argument in module.forward.schema.arguments[1:]]


def scripts(module: torch.nn.Module, arguments: tuple[Any, ...]) -> Iterator[tuple[torch.jit.ScriptModule, list[str]]]:
    """The module as TorchScript, first as it is written, then as it is called; and what is to be said of that."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            scripted = torch.jit.script(module)
        except Exception:  # Python that TorchScript does not know
            logger.debug("scripting failed", exc_info=True)
        else:
            yield scripted, []
        said.clear()
        try:
            traced = torch.jit.trace(module, arguments, check_trace=False, strict=False)
        except Exception:
            logger.debug("tracing failed", exc_info=True)
            return
        decided = [f"{item.filename}:{item.lineno}: {_first(str(item.message))}" for item in said if item.category is torch.jit.TracerWarning]
    yield traced, [TRACED, *(f"fixed by the recorded call: {text}" for text in dict.fromkeys(decided))]


def _first(text: str) -> str:
    return text.split(". ")[0].strip()
