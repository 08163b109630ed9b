"""NumPy: a module with one function, and its weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onward.converters.targets.numpy.words import NumpyWords
from onward.converters.targets.printing.module import (
    Function,
    execute,
    module_text,
    reserved,
    write_files,
    write_weights,
)
from onward.ir import Model

PRELUDE = Path(__file__).with_name("prelude.py")

LOAD = '''
def load(path=Path(__file__).with_name("weights.npz")):
    """The function of the inputs, with the weights of a file."""
    return functools.partial(model, dict(np.load(path)))
'''


def source_of(model: Model, constants: Mapping[str, Any] | None = None) -> tuple[str, dict[str, np.ndarray]]:
    """The text of a NumPy module that computes what the model does, and the weights that it reads.

    Raises UnsupportedOperator with all operators that cannot be said in NumPy.
    """
    function = Function(model, NumpyWords(), reserved(PRELUDE, "weights", "model", "load"), constants)
    return module_text(model, "NumPy", PRELUDE, f"{function.text('weights')}\n{LOAD}"), function.weights


def convert(model: Model, constants: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """A function of NumPy arrays, in the order of the model's inputs."""
    text, weights = source_of(model, constants)
    return functools.partial(execute(text).model, weights)


def run(result: Callable[..., Any], inputs: Sequence[Any]) -> list[np.ndarray]:
    """Calls the function and gives what it returned as a list."""
    results = result(*inputs)
    return [np.asarray(item) for item in (results if isinstance(results, tuple) else (results,))]


def write(model: Model, folder: Path, constants: Mapping[str, Any] | None = None) -> None:
    """Writes `model.py` and `weights.npz` into a folder, each as a whole or not at all."""
    text, weights = source_of(model, constants)
    write_files(folder, {"weights.npz": write_weights(weights), "model.py": lambda path: path.write_text(text, encoding="ascii")})
