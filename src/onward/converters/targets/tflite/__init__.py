"""TensorFlow Lite: the file that TensorFlow's own converter makes of the module of the target `tensorflow`."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onward.converters.targets import tensorflow as source
from onward.converters.targets.printing.module import needs_double_precision
from onward.converters.targets.proof import Subject
from onward.converters.tflite import load
from onward.errors import UnsupportedOperator
from onward.ir import Model

UNTYPED = re.compile(r"'tfl\.(\w+)' op (?:operand|result) #\d+ must be [^\n]*?but got 'tensor<(?:[^'\n]*x)?(\w+)>'")
"""How TensorFlow's converter says that an operator of TensorFlow Lite does not take a type of elements."""

TYPES = {
    "f64": "float64",
    "f16": "float16",
    "bf16": "bfloat16",
    "i1": "bool",
    "ui8": "uint8",
    "ui16": "uint16",
    "ui32": "uint32",
    "ui64": "uint64",
    "i8": "int8",
    "i16": "int16",
}


def native(model: Model, constants: Mapping[str, Any]) -> Subject:
    """The bytes of a `.tflite` file whose signature `serving_default` has the model's names.

    Raises UnsupportedOperator with all operators that cannot be said in TensorFlow, and with those of TensorFlow that TensorFlow
    Lite lacks.
    """
    import tensorflow as tf

    module = source.convert(model, constants)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.named)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        try:
            result = converter.convert()
        except Exception as problem:  # the converter's own class is not public
            missing = sorted(set(re.findall(r"\btf\.(\w+)(?= ?[({:])", str(problem))))
            if "TensorList" in str(problem):
                missing.append("loops whose rows have an open size: of a recurrent layer only the number of steps may be open, not the batch")
            missing += sorted({f"'{name}' of {TYPES.get(kind, kind)}" for name, kind in UNTYPED.findall(str(problem))})
            missing = missing or [str(problem)[:300]]
            if needs_double_precision(model):
                missing.append("much that computes in float64, as this model does (one in single precision may be converted)")
            raise UnsupportedOperator(f"TensorFlow Lite has no equivalent of {', '.join(missing)}") from problem
    return _subject(model, module, result)


def _subject(model: Model, module: Any, result: bytes) -> Subject:
    """How a file is compared; the module tells the order of its inputs and outputs."""
    import tensorflow as tf

    names = [argument.name for argument in module.named.input_signature]
    results = list(module.named.get_concrete_function().structured_outputs)

    def run(*inputs: Any) -> list[np.ndarray]:
        runner = tf.lite.Interpreter(model_content=result).get_signature_runner()
        found = runner(**dict(zip(names, inputs)))
        return [found[name] for name in results]

    return Subject(result, model, run)


def save(subject: Subject, path: Path, constants: Mapping[str, Any]) -> None:
    """Writes the file."""
    path.write_bytes(subject.result)


def opened(path: Path, trust: bool, model: Model, constants: Mapping[str, Any]) -> Subject:
    """The bytes of a file. Raises FormatError for what TensorFlow Lite does not run."""
    return _subject(model, source.convert(model, constants), load(path).data)
