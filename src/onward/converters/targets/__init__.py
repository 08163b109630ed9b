"""From ONNX to other frameworks: a target prints Python source in its own language, or recognises what a model is and builds that.

`TARGETS` lists them: the page is the folder of that name beside this file. `printing` is what those share that print; their pages have `source_of(model, constants)`, the text of a
module and its weights; `convert(model, constants)`, the native object that the text defines; `write(model, folder, constants)`,
which leaves both in a folder; and `run(result, inputs)`, what the object makes of arrays, as NumPy arrays. `recognition` is what those share that have no language (`NATIVE`): their
pages have `native(model, constants)`, the object and how it is compared with the model (`proof.Subject`). A page with `save(subject, path, constants)` writes the native file,
and reads it again: `opened(path, trust)` gives the object, or with `NATIVE` `opened(path, trust, model, constants)` the `Subject`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onward import operators
from onward.converters.certificate import place_beside
from onward.converters.targets.between_bytes import steps_of, with_float_operators
from onward.converters.targets.placing import placed, require_place
from onward.converters.targets.printing.storage import SMALL, restored
from onward.converters.targets.proof import Subject, prove
from onward.errors import InvalidArgument, UnsupportedModel
from onward.ir import Model
from onward.ir.datatypes import DataType

if TYPE_CHECKING:
    from onward.converters.certificate import Progress

TARGETS = {
    "numpy": "NumPy", "jax": "JAX", "torch": "PyTorch", "tensorflow": "TensorFlow", "tflite": "TensorFlow Lite", "keras": "Keras", "sklearn": "scikit-learn", "xgboost": "XGBoost",
}  # fmt: skip
"""name -> title"""

NATIVE = ("sklearn", "tflite", "xgboost")
"""Targets without a language of their own."""

LAYERED = ("jax", "keras", "tensorflow", "torch")
"""Targets that have words of their own for operators on floats."""

SOURCE = "-source"
"""`numpy-source` is the text where `numpy` is the object."""


def produce(
    model: Model,
    to: str,
    output: Any = None,
    *,
    constants: Mapping[str, Any] | None = None,
    examples: Any = None,
    verify: bool = True,
    tolerance: float | None = None,
    source: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Any:
    """The native object of a target that computes what an ONNX model computes, or its source as text for `...-source`.

    With `output` the native file, or the source and its weights in a folder, are written too, and the certificate of the comparison with the
    model, which has in it that of the conversion before where the model carries one, and the `source` that the caller named. `constants` are values of inputs that the result shall not have any more: axes, for instance, which give a result its rank.

    Raises InvalidArgument for an unknown target or a value that is not one of a model's inputs, UnsupportedOperator with everything
    that has no equivalent, NotConstant where inputs have to be constants, and ConversionMismatch when the result computes
    something else; nothing is written then.
    """
    name = to.removesuffix(SOURCE)
    if name not in TARGETS or name in NATIVE and to != name:
        known = ", ".join(item for target in TARGETS for item in ((target,) if target in NATIVE else (target, target + SOURCE)))
        raise InvalidArgument(f"there is no target '{to}'; known are {known}")
    given = dict(constants or {})
    unknown = given.keys() - {value.name for value in model.graph.inputs}
    if unknown:
        raise InvalidArgument(f"the model has no inputs {', '.join(sorted(unknown))}")
    operators.check(model, shapes=False)
    page = page_of(name)
    native_file = to == name and hasattr(page, "save")
    if output is not None:
        require_place(Path(output), native_file)
    subject = subject_of(model, name, given)
    said = said_by(model, name)
    certificate = prove(subject, TARGETS[name], given, examples, tolerance, progress, source) if verify else None
    if output is not None:
        with placed(Path(output), native_file, _weights_of(model)) as path:
            page.save(subject, path, given) if native_file else page.write(said, path, given)
            if certificate is not None:
                place_beside(path).write_text(json.dumps(certificate) + "\n", encoding="utf-8")
        if certificate is None:
            place_beside(Path(output)).unlink(missing_ok=True)  # of what was there before
    return page.source_of(said, given)[0] if to.endswith(SOURCE) else subject.result


def _weights_of(model: Model) -> int:
    """How many bytes the weights have."""
    return sum(value.tensor.nbytes for value in model.graph.initializers.values() if value.tensor is not None)


def page_of(name: str) -> Any:
    """The page of a target. Raises UnsupportedModel where its framework is not installed."""
    try:
        return importlib.import_module(f"onward.converters.targets.{name}")
    except ModuleNotFoundError as problem:
        if (problem.name or "").startswith("onward"):
            raise
        raise UnsupportedModel(f"{TARGETS[name]} needs the package '{problem.name}': pip install onward[{name}]") from problem


def subject_of(model: Model, name: str, constants: Mapping[str, Any]) -> Subject:
    """A target's object for a model, and how it is compared."""
    page = page_of(name)
    if name in NATIVE:
        return page.native(model, constants)  # type: ignore[no-any-return]
    said = said_by(model, name)
    return called(model, name, page.convert(said, constants))


def called(model: Model, name: str, result: Any) -> Subject:
    """The object of a target that has a language, and how it is compared with a model."""
    page, said = page_of(name), said_by(model, name)
    types = storage_of(page)

    def function(*inputs: Any) -> list[np.ndarray]:
        return [restored(found, value.dtype, types) for found, value in zip(page.run(result, inputs), model.graph.outputs)]

    return Subject(result, model, function, steps={} if said is model else steps_of(said))


def said_by(model: Model, name: str) -> Model:
    """The model in the form that a target is given: those that have layers say what operators on bytes stand for."""
    return with_float_operators(model) if name in LAYERED else model


def storage_of(page: Any) -> Mapping[DataType, DataType]:
    """Types of elements that a target lacks, and those in which it keeps them."""
    return page.storage() if hasattr(page, "storage") else SMALL
