"""TensorFlow: a `tf.Module` whose variables are the weights, and a SavedModel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onward.converters.targets.channels_last import moments_of, with_channels_last
from onward.converters.targets.printing.module import (
    Function,
    execute,
    module_text,
    reserved,
    weights_of,
    write_files,
    write_weights,
)
from onward.converters.targets.printing.naming import Names
from onward.converters.targets.printing.storage import kept
from onward.converters.targets.proof import Subject
from onward.converters.targets.tensorflow.text import RULES
from onward.converters.targets.tensorflow.words import TensorflowWords
from onward.errors import FormatError
from onward.ir import Model

PRELUDE = Path(__file__).with_name("prelude.py")

MODULE = '''
class Model(tf.Module):
    """A function of tensors or NumPy arrays; the weights are its variables. It is traced once, for all sizes."""

    def __init__(self, weights):
        super().__init__("model")
        self.weights = variables(weights, {statistics})

    @tf.function(autograph=False, input_signature=[{signature}])
    def __call__(self, {arguments}):
        return model(self.weights, {arguments})

    @tf.function(autograph=False, input_signature=[{signature}])
    def named(self, {arguments}):
        """The results by their names."""
        return {named}


def load(path=Path(__file__).with_name("weights.npz")):
    """The model with the weights of a file."""
    return Model({weights})
'''


def source_of(model: Model, constants: Mapping[str, Any] | None = None) -> tuple[str, dict[str, np.ndarray]]:
    """The text of a TensorFlow module that computes what the model does, and the weights that it reads.

    Raises UnsupportedOperator with all operators that cannot be said in TensorFlow.
    """
    words = TensorflowWords()
    turned = with_channels_last(model)
    names = reserved(PRELUDE, "weights", "model", "Model", "self", "load")
    function = Function(turned, words, names, constants, RULES, weights_of(turned))
    arguments = ", ".join(function.arguments)
    signature = ", ".join(_specification(words, item, name) for item, name in zip(function.inputs, function.arguments))
    fresh = Names().fresh
    results = [fresh(value.name) for value in model.graph.outputs]
    named = f"{{{results[0]!r}: self({arguments})}}" if len(results) == 1 else f"dict(zip({results}, self({arguments})))"
    small = {name: array.dtype.name for name, array in function.weights.items() if array.dtype.type.__module__ != "numpy"}
    weights = f"unpacked(dict(np.load(path)), {small})" if small else "dict(np.load(path))"
    statistics = sorted(name for name, array in function.weights.items() if any(array is other for other in moments_of(model)))
    rest = MODULE.format(statistics=statistics, signature=signature, arguments=arguments, named=named, weights=weights)
    return module_text(model, "TensorFlow", PRELUDE, f"{function.text('weights')}\n{rest}"), function.weights


def _specification(words: TensorflowWords, item: Any, name: str) -> str:
    shape = [extent if isinstance(extent, int) else None for extent in item.shape]
    return f"tf.TensorSpec({shape}, {words.dtype(item.dtype)}, {name!r})"


def convert(model: Model, constants: Mapping[str, Any] | None = None) -> Any:
    """A `tf.Module`, to be called with tensors or NumPy arrays in the order of the model's inputs."""
    text, weights = source_of(model, constants)
    return execute(text).Model(weights)


def run(result: Any, inputs: list[Any]) -> list[np.ndarray]:
    """Calls the module and gives what it returned as a list of NumPy arrays."""
    import tensorflow as tf

    results = result(*(tf.convert_to_tensor(kept(item, TensorflowWords.kept_in)) for item in inputs))
    return [_array(item) for item in (results if isinstance(results, tuple) else (results,))]


def _array(item: Any) -> Any:
    if isinstance(item, list):
        return [_array(part) for part in item]
    array = np.asarray(item)
    return np.array([text.decode() for text in array.flat], object).reshape(array.shape) if array.dtype == object else array


def save(subject: Subject, path: Path, constants: Mapping[str, Any]) -> None:
    """Writes a SavedModel, whose signature has the names and open sizes of the model."""
    import tensorflow as tf

    tf.saved_model.save(subject.result, path, signatures=subject.result.named)


def opened(path: Path, trust: bool) -> Any:
    """The module of a SavedModel. Raises FormatError for a damaged one."""
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(path))
    except Exception as problem:  # errors of its own and of its libraries
        raise FormatError(f"TensorFlow does not read '{path}': {str(problem)[:300]}") from problem


def write(model: Model, folder: Path, constants: Mapping[str, Any] | None = None) -> None:
    """Writes `model.py` and `weights.npz` into a folder, each as a whole or not at all."""
    text, weights = source_of(model, constants)
    write_files(folder, {"weights.npz": write_weights(weights), "model.py": lambda path: path.write_text(text, encoding="ascii")})
