"""From other frameworks to ONNX: `onward.convert(model)`. Every conversion proves that it computes the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onward.errors import ConversionMismatch

if TYPE_CHECKING:
    from onward.converters.certificate import Certificate
    from onward.ir import Model

__all__ = ["Certificate", "ConversionMismatch", "convert", "verify"]


def convert(
    source: Any,
    example_inputs: Any = None,
    *,
    opset: int | None = None,
    dynamic_shapes: Any = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    methods: Sequence[str] = (),
    verify: bool = True,
    tolerance: float | None = None,
    trust: bool = False,
    framework: str | None = None,
) -> Model:
    """The ONNX model that computes what `source` computes.

    `source` is a module or exported program of PyTorch, a fitted estimator or pipeline of scikit-learn, a Booster of XGBoost
    or LightGBM, an estimator of their scikit-learn interfaces, or the path of a model file (.pt2 of PyTorch, .json and .ubj of XGBoost, .txt of LightGBM,
    .pkl, .pickle, .joblib and .skops of scikit-learn). Reading a pickle runs the code in it: `trust` says that it is from a
    source that may do that. `framework` names the source's framework ("torch", "xgboost" ...) where its type or its file's ending
    does not say it.

    `example_inputs` are the arguments of a module: a tuple, or a dictionary of keywords; for trees a matrix of rows that
    is tried besides generated data. `dynamic_shapes` says which sizes of a module's inputs stay open, in PyTorch's
    form, where text stands for an open dimension; {} leaves none open. By default all stay open that can; the
    certificate notes those that cannot. `methods` are those of an estimator that become outputs, by default `predict` and
    `predict_proba`, or `transform`.

    `tolerance` is the greatest difference allowed, relative to the largest value of an output (by default that of the
    source's data type). The certificate of the comparison is kept in the model's metadata.

    Raises UnsupportedModel for a source that nobody reads here, UnsupportedOperator for parts of it without an
    equivalent, ConversionError for a module that PyTorch cannot capture, and ConversionMismatch when the result does not
    compute the same.
    """
    from onward.converters import certificate
    from onward.converters.frameworks import recognized
    from onward.converters.request import Request

    owner, loaded = recognized(source, trust, framework)
    names = list(output_names) if output_names else None
    model, reference = owner.page().convert(Request(loaded, example_inputs, opset, dynamic_shapes, list(input_names or []), names, list(methods)))
    if verify:
        certificate.certify(model, reference, example_inputs, tolerance)
    return model


def verify(
    model: Any,
    source: Any,
    example_inputs: Any = None,
    *,
    methods: Sequence[str] = (),
    tolerance: float | None = None,
    trust: bool = False,
    framework: str | None = None,
) -> Certificate:
    """Compares a model (anything that `onward.load` takes, or a Model) with the source that it was made of, and gives a new
    certificate. Inputs and outputs must have the names that `convert` gave them.

    Raises ConversionMismatch where they differ, and what `convert` raises for the source.
    """
    from onward.converters import certificate
    from onward.converters.frameworks import recognized
    from onward.converters.request import Request
    from onward.ir import Model, load

    loaded = model if isinstance(model, Model) else load(model)
    owner, original = recognized(source, trust, framework)
    inputs, outputs = ([value.name for value in values] for values in (loaded.graph.inputs, loaded.graph.outputs))
    _, reference = owner.page().convert(Request(original, example_inputs, None, None, inputs, outputs, list(methods)))
    return certificate.certify(loaded, reference, example_inputs, tolerance)


def __getattr__(name: str) -> Any:
    if name == "Certificate":
        from onward.converters.certificate import Certificate

        return Certificate
    raise AttributeError(f"module 'onward.converters' has no attribute '{name}'")
