"""From other frameworks to ONNX: `onward.convert(model)`. Every conversion proves that it computes the same."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onward.errors import ConversionMismatch, NoSuchFile, UnsupportedModel

if TYPE_CHECKING:
    from onward.converters.certificate import Certificate
    from onward.ir import Model

__all__ = ["Certificate", "ConversionMismatch", "convert"]


ENDINGS = {".json": "xgboost", ".ubj": "xgboost", ".txt": "lightgbm"}
"""Endings of model files -> the framework's page."""


def convert(
    source: Any,
    example_inputs: Any = None,
    *,
    opset: int | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    verify: bool = True,
    tolerance: float | None = None,
) -> Model:
    """The ONNX model that computes what `source` computes.

    `source` is a Booster of XGBoost or LightGBM, an estimator of their scikit-learn interfaces, or the path of a model
    file (.json and .ubj of XGBoost, .txt of LightGBM). `example_inputs` (a matrix of rows) is tried besides generated data when the result is verified;
    `tolerance` is the greatest difference allowed, relative to the largest value of an output (by default that of the
    source's data type). The certificate of the comparison is kept in the model's metadata.

    Raises UnsupportedModel for a source that nobody reads here, UnsupportedOperator for a part of it without an
    equivalent, and ConversionMismatch when the result does not compute the same.
    """
    from onward.converters import certificate

    converter, loaded = _converter_of(source)
    model, reference = converter(loaded, opset, list(input_names or []), list(output_names) if output_names else None)
    if verify:
        certificate.certify(model, reference, example_inputs, tolerance)
    return model


def _converter_of(source: Any) -> tuple[Callable[..., Any], Any]:
    if isinstance(source, (str, os.PathLike)):
        return _of_file(Path(source))
    for kind in type(source).__mro__:
        framework = kind.__module__.partition(".")[0]
        if framework in ENDINGS.values():
            page = importlib.import_module(f"onward.converters.{framework}")
            return page.convert_booster, source
    raise UnsupportedModel(
        f"there is no converter for {type(source).__module__}.{type(source).__name__}; known are models of XGBoost and LightGBM"
    )


def _of_file(path: Path) -> tuple[Callable[..., Any], Any]:
    if not path.exists():
        raise NoSuchFile(f"there is no file '{path}'")
    if path.suffix not in ENDINGS:
        known = ", ".join(f"{ending} ({framework})" for ending, framework in ENDINGS.items())
        raise UnsupportedModel(f"'{path}' is no model file that is known here; known are {known}")
    page = importlib.import_module(f"onward.converters.{ENDINGS[path.suffix]}")
    return page.convert_booster, page.load_booster(path)


def __getattr__(name: str) -> Any:
    if name == "Certificate":
        from onward.converters.certificate import Certificate

        return Certificate
    raise AttributeError(f"module 'onward.converters' has no attribute '{name}'")
