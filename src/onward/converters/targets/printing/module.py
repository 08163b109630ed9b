"""The module around the statements: the function of the model, and of the target's prelude what it needs."""

from __future__ import annotations

import ast
import functools
import os
import sys
import types
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onward import operators
from onward.converters.targets.printing.naming import Names, comment
from onward.converters.targets.printing.printer import Printer
from onward.converters.targets.printing.routines import refuse_unknown
from onward.converters.targets.printing.words import Words
from onward.errors import FormatError, InvalidArgument
from onward.ir import Model, Value
from onward.ir.datatypes import DataType
from onward.operators.arguments import ABSENT
from onward.operators.native import Form

TARGETS = Path(__file__).parents[1]

MANY_INPUTS = 20
"""So many are not described one by one."""


class Function:
    """The body of a model's function: `inputs` and their `arguments`, `lines`, the texts of `results`, and the `weights` that it reads, by name.
    `body` are the statements alone, `origins` the nodes that each belongs to, and `shapes` those of the variables.

    `reserved` are names that the module uses for something else, `native` the rules of the target for whole operators (`native.py`),
    `parameters` the initialisers that stay weights of their own.
    Raises UnsupportedOperator with all operators that the target lacks.
    """

    def __init__(
        self,
        model: Model,
        words: Words,
        reserved: set[str],
        constants: Mapping[str, Any] | None = None,
        native: Form | None = None,
        parameters: Container[Value] = (),
    ) -> None:
        program = operators.lower(model, constants=constants, native=native, parameters=parameters)
        printer = Printer(words, Names(reserved))
        self.inputs = program.inputs
        self.arguments = []
        for item in program.inputs:
            self.arguments.append(printer.names.fresh(item.label))
            printer.input(item, self.arguments[-1])
        refuse_unknown(words, list(program.outputs.values()))
        self.results = [_result(printer, output) for output in program.outputs.values()]
        self.lines = [*_described(model, self.arguments), *printer.lines, f"    return {', '.join(self.results)}"]
        self.body, self.origins = printer.lines, printer.origins
        self.shapes = {name: array.shape for array, name in printer.known.items()}
        self.weights = printer.weights

    def text(self, first: str) -> str:
        """A function `model` whose arguments are `first` and the inputs."""
        return "\n".join([f"def model({', '.join([first, *self.arguments])}):", *self.lines, ""])


def weights_of(model: Model) -> set[Value]:
    """The initialisers that training changes: those of floats, but for single numbers without axes."""
    found = {value for value in model.graph.initializers.values() if value.tensor is not None and value not in model.graph.inputs}
    return {value for value in found if value.tensor.shape and (value.tensor.dtype.is_float or value.tensor.dtype.is_complex)}  # type: ignore[union-attr]


def _result(printer: Printer, output: Any) -> str:
    if isinstance(output, list):
        return f"[{', '.join(_result(printer, item) for item in output)}]"
    if output is ABSENT:
        return "None"
    return printer.array(output)


def _described(model: Model, arguments: list[str]) -> list[str]:
    inputs = [value for value in model.graph.inputs if value.tensor is None]
    lines = [f"    # {name}: {comment(_type(value))}" for value, name in zip(inputs, arguments) if value.type is not None]
    return lines if len(lines) < MANY_INPUTS else []


def _type(value: Value) -> str:
    if value.dtype is None:
        return str(value.type)
    shape = "of any shape" if value.shape is None else str([str(extent) if extent is not None else "?" for extent in value.shape]).replace("'", "")
    return f"{value.dtype.name.lower()} {shape}"


def reserved(prelude: Path, *others: str) -> set[str]:
    """The names of a prelude, which no name of a model may be, and others."""
    return {*_parts(prelude), *others}


def module_text(model: Model, title: str, prelude: Path, body: str) -> str:
    """A module that has, before `body`, those imports and functions of a target's prelude whose names are used, word for word."""
    parts = _parts(prelude)
    needed: set[str] = set()
    pending = [body]
    while pending:
        new = (_names(pending.pop()) & parts.keys()) - needed
        needed |= new
        pending += [parts[name] for name in new]
    texts = [text for name, text in parts.items() if name in needed]
    imports = [text for text in texts if text.startswith(("import ", "from "))]
    standard = sorted({text for text in imports if _is_standard(text)}, key=lambda text: text.startswith("from "))
    foreign = sorted({text for text in imports if not _is_standard(text)})
    about = comment(f"Computes the model {model.graph.name or 'without a name'} with {title}.")
    header = "\n\n".join("\n".join(group) for group in (standard, foreign) if group)
    blocks = [f'"""{about}"""\n\n{header}\n', *(text + "\n" for text in texts if text not in imports), body]
    return "\n\n".join(blocks)


def _is_standard(text: str) -> bool:
    return text.split()[1].partition(".")[0] in sys.stdlib_module_names


def _names(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


@functools.cache
def _parts(prelude: Path) -> dict[str, str]:
    """name -> text, of each import and each function or class of a prelude, which is read, not imported.

    What it imports of another target's prelude are functions of its own.
    """
    source = prelude.read_text(encoding="utf-8")
    lines = source.splitlines()
    parts: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(".prelude"):
            other = _parts(TARGETS / node.module.split(".")[-2] / "prelude.py")  # type: ignore[union-attr]
            parts.update({item.name: other[item.name] for item in node.names})
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            if getattr(node, "module", "") != "__future__":
                parts.update({item.asname or item.name.partition(".")[0]: ast.unparse(node) for item in node.names})
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            first = min([node.lineno, *(item.lineno for item in node.decorator_list)])
            parts[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return parts


def execute(text: str) -> types.ModuleType:
    """The module that a text defines."""
    module = types.ModuleType("model")
    module.__file__ = "model.py"
    exec(compile(text, "model.py", "exec"), vars(module))
    return module


def run_module(path: Path, trust: bool) -> types.ModuleType:
    """The module of a file. Raises InvalidArgument where nobody said that its code may run, FormatError where it does not."""
    if not trust:
        raise InvalidArgument(f"'{path}' is code, which runs to be compared; pass trust=True (--trust) if you trust its source")
    module = types.ModuleType("model")
    module.__file__ = str(path)
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    except Exception as problem:
        raise FormatError(f"'{path}' cannot be run: {type(problem).__name__}: {str(problem)[:200]}") from problem
    return module


def write_files(folder: Path, writers: Mapping[str, Callable[[Path], Any]]) -> None:
    """Writes files into a folder: each by its function into a file beside it, then all take their names, or none stays."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {folder / name: folder / f".{name}" for name in writers}
    try:
        for part, write in zip(parts.values(), writers.values()):
            write(part)
        for final, part in parts.items():
            os.replace(part, final)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def write_weights(weights: Mapping[str, np.ndarray]) -> Callable[[Path], None]:
    """A writer of weights as a file of NumPy: elements of types that are not NumPy's own as their bits."""

    def storable(data: np.ndarray) -> np.ndarray:
        plain = np.ascontiguousarray(data).reshape(data.shape)
        return plain if data.dtype.type.__module__ == "numpy" else plain.view(f"u{data.dtype.itemsize}")

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **{name: storable(data) for name, data in weights.items()})  # type: ignore[arg-type]

    return write


def needs_double_precision(model: Model) -> bool:
    """Whether float64 goes in or out, or is a weight: languages that shorten it compute something else."""
    graph = model.graph
    values = (*graph.inputs, *graph.outputs, *graph.initializers.values())
    return any(value.dtype in (DataType.DOUBLE, DataType.COMPLEX128) for value in values)
