"""What a conversion with `output=` wrote, read again and compared with its model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onward.converters.certificate import Certificate, Progress
from onward.converters.targets import NATIVE, TARGETS, called, page_of
from onward.converters.targets.printing.module import run_module
from onward.converters.targets.proof import Subject, prove
from onward.errors import InvalidArgument
from onward.ir import Model


def compare(
    path: Path, model: Model, constants: Mapping[str, Any], examples: Any, tolerance: float | None, trust: bool, progress: Progress | None
) -> Certificate:
    """Compares a file or folder that a target wrote with the ONNX model that it was made of, and gives a new certificate. `trust` says that code in it may run.

    Raises InvalidArgument where it has no certificate, or its code is not trusted, ConversionMismatch where it computes something else.
    """
    name = target_of(path)
    found = prove(_opened(path, name, model, constants, trust), TARGETS[name], constants, examples, tolerance, progress)
    found.pop("before", None)
    return Certificate(**found)


def target_of(path: Path) -> str:
    """The target that wrote a file or folder. Raises InvalidArgument where its certificate does not say it."""
    certificate = Certificate.beside(path)
    name = None if certificate is None else next((name for name, title in TARGETS.items() if title == certificate.framework), None)
    if name is None:
        raise InvalidArgument(f"nothing says that '{path}' was written by a conversion: its certificate is not there, or of something else")
    return name


def _opened(path: Path, name: str, model: Model, constants: Mapping[str, Any], trust: bool) -> Subject:
    page = page_of(name)
    if (path / "model.py").is_file():
        module = run_module(path / "model.py", trust)
        return called(model, name, page.loaded(module) if hasattr(page, "loaded") else module.load())
    return page.opened(path, trust, model, constants) if name in NATIVE else called(model, name, page.opened(path, trust))  # type: ignore[no-any-return]
