"""NumPy: a module with one function, and its weights."""

from __future__ import annotations

import functools
import inspect
import os
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onward import operators
from onward.converters.targets import helpers
from onward.converters.targets.naming import Names, comment
from onward.converters.targets.printer import Printer
from onward.converters.targets.routines import refuse_unknown
from onward.converters.targets.words import Words
from onward.ir import Model, Value
from onward.operators.arguments import ABSENT

RESERVED = ("np", "ml_dtypes", "math", "functools", "Path", "weights", "model", "load", *(name for name, item in vars(helpers).items() if inspect.isfunction(item)))


def source_of(model: Model, constants: Mapping[str, Any] | None = None) -> tuple[str, dict[str, np.ndarray]]:
    """The text of a NumPy module that computes what the model does, and the weights that it reads.

    Raises UnsupportedOperator with all operators that cannot be said in NumPy.
    """
    program = operators.lower(model, constants=constants)
    words = Words()
    printer = Printer(words, Names(RESERVED))
    arguments = []
    for item in program.inputs:
        name = printer.names.fresh(item.label)
        arguments.append(name)
        printer.input(item, name)
    refuse_unknown(list(program.outputs.values()))
    results = [_result(printer, output) for output in program.outputs.values()]
    return _module(model, printer, arguments, results), printer.weights


def _result(printer: Printer, output: Any) -> str:
    if isinstance(output, list):
        return f"[{', '.join(_result(printer, item) for item in output)}]"
    if output is ABSENT:
        return "None"
    return printer.array(output)


def _module(model: Model, printer: Printer, arguments: list[str], results: list[str]) -> str:
    signature = ", ".join(["weights", *arguments])
    about = comment(f"Computes the model {model.graph.name or 'without a name'} with NumPy.")
    lines = [f'"""{about}"""', "", "import functools", *(["import math"] if "erf" in printer.words.helpers else []), "from pathlib import Path", ""]
    lines += ["import ml_dtypes"] if printer.words.needs_small_types else []
    lines += ["import numpy as np", ""]
    for name in printer.words.helpers:
        text = inspect.getsource(getattr(helpers, name)).replace("  # type: ignore[no-untyped-def]", "").replace("  # type: ignore[var-annotated]", "")
        lines += ["", *text.rstrip().splitlines(), ""]
    lines += ["", f"def model({signature}):"]
    for value, name in zip([value for value in model.graph.inputs if value.tensor is None], arguments):
        if value.type is not None and len(arguments) < 20:
            lines.append(f"    # {name}: {comment(_described(value))}")
    lines += [*printer.lines, f"    return {', '.join(results)}", "", ""]
    lines += [
        'def load(path=Path(__file__).with_name("weights.npz")):',
        '    """The function of the inputs, with the weights of a file."""',
        "    return functools.partial(model, dict(np.load(path)))",
        "",
    ]
    return "\n".join(lines)


def _described(value: Value) -> str:
    if value.dtype is None:
        return str(value.type)
    shape = "of any shape" if value.shape is None else str([str(extent) if extent is not None else "?" for extent in value.shape]).replace("'", "")
    return f"{value.dtype.name.lower()} {shape}"


def convert(model: Model, constants: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """A function of NumPy arrays, in the order of the model's inputs."""
    text, weights = source_of(model, constants)
    module = types.ModuleType("model")
    module.__file__ = "model.py"
    exec(compile(text, "model.py", "exec"), vars(module))
    return functools.partial(module.model, weights)


def arrays(results: Any) -> list[np.ndarray]:
    """What the function returned, as a list."""
    return [np.asarray(item) for item in (results if isinstance(results, tuple) else (results,))]


def write(model: Model, folder: Path, constants: Mapping[str, Any] | None = None) -> None:
    """Writes `model.py` and `weights.npz` into a folder, each as a whole or not at all."""
    text, weights = source_of(model, constants)
    folder.mkdir(parents=True, exist_ok=True)
    parts = {folder / "weights.npz": folder / ".weights.npz", folder / "model.py": folder / ".model.py"}
    try:
        np.savez(folder / ".weights.npz", **weights)  # type: ignore[arg-type]
        (folder / ".model.py").write_text(text, encoding="ascii")
        for final, part in parts.items():
            os.replace(part, final)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
