"""scikit-learn: an estimator or a pipeline.

An estimator's methods are NumPy code, which is traced (`onward.converters.tracing`); for compiled code (trees, neighbours,
support vectors ...) `operators/` says what a method becomes, one function each. A transformer, scaler or regressor of the
user's own is traced like any other. Everything is computed in the data type that scikit-learn computes in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sklearn
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from onward.converters.builder import ModelBuilder
from onward.converters.certificate import Reference
from onward.converters.estimators import note_estimator
from onward.converters.request import Request
from onward.converters.sklearn import operators  # noqa: F401 (registers the translations)
from onward.converters.sklearn.inputs import inputs_of
from onward.converters.sklearn.judge import Judge, label_of, named_results
from onward.converters.sklearn.parts import parts_of
from onward.converters.sklearn.places import Traced, observed
from onward.converters.sklearn.tracer import tracing
from onward.converters.tracing import Array, Frame, as_array
from onward.errors import (
    ConversionError,
    FormatError,
    InvalidArgument,
    OnwardError,
    UnsupportedModel,
    UnsupportedOperator,
)
from onward.ir import Model
from onward.passes.duplicates import merge_duplicates
from onward.passes.facts import Facts


def load(path: Path, trust: bool = False) -> Any:
    """The estimator of a file of pickle, joblib or skops. Raises InvalidArgument for one that would run code and is not
    trusted, and FormatError for one that cannot be read."""
    try:
        if path.suffix == ".skops":
            import skops.io

            unknown = skops.io.get_untrusted_types(file=path)
            if unknown and not trust:
                raise InvalidArgument(f"'{path}' holds types that skops does not know: {', '.join(unknown)}; pass trust=True (--trust) to load them")
            return skops.io.load(path, trusted=unknown)
        if not trust:
            raise InvalidArgument(f"'{path}' is a pickle, and reading it runs the code in it; pass trust=True (--trust) if you trust its source")
        import joblib

        return joblib.load(path)
    except OnwardError:
        raise
    except ImportError as problem:
        raise FormatError(f"'{path}' needs a package that is not installed: {problem}") from problem
    except Exception as problem:
        raise FormatError(f"'{path}' cannot be read: {type(problem).__name__}: {str(problem)[:200]}") from problem


def convert(request: Request) -> tuple[Model, Reference]:
    """The model of a fitted estimator, and what it is to reproduce.

    A classifier gives `label`, and `probabilities` or else `scores`; a regressor or clustering `prediction`; a
    transformer `transformed`; an outlier detector `label` and `scores`; a density `sample_scores`. `request.methods` chooses others.

    Raises ConversionError for an estimator that is not fitted.
    """
    source = request.source
    _check_parameters(source)
    b = ModelBuilder("sklearn", request.opset)
    try:
        inputs = inputs_of(source, request.example_inputs)
        x = inputs.traced(b, request.input_names)  # before anything is judged: columns learn their names here
        judge = Judge(source, list(request.methods or _methods(source)), inputs)
        shown = judge.first_results(request.example_inputs is not None)
    except NotFittedError as problem:
        raise ConversionError(str(problem)) from problem
    results: dict[str, Array] = {}
    with tracing(source) as traceable:
        traced = Traced(traceable, shown)
        with observed(list(parts_of(traceable)), traced.observe):
            for method in judge.methods:
                results |= named_results(label_of(source, method), _called(traceable, method, x))
    if traced.problems:
        raise UnsupportedOperator(traced.said())
    judge.names = dict(zip(results, request.names_of_outputs(list(results)), strict=True))
    for label, result in results.items():
        b.output(result.astype(judge.kinds.get(label, result.dtype), copy=False).value, judge.names[label])
    known = traced.values()
    model = b.model()
    merge_duplicates(Facts(model))  # labels and probabilities begin alike
    note_estimator(model, source)
    return model, judge.reference(known)


def _check_parameters(source: Any) -> None:
    """Raises ConversionError for an estimator of the library without one of its class's parameters: its file is of another version, or damaged."""
    for part in parts_of(source):
        names = type(part)._get_param_names() if type(part).__module__.startswith("sklearn.") and isinstance(part, BaseEstimator) else []
        missing = [name for name in names if not hasattr(part, name)]
        if missing:
            raise ConversionError(
                f"{type(part).__name__} lacks {', '.join(missing)}, which scikit-learn {sklearn.__version__} gives it: its file was written by another version or "
                "is damaged; convert it with the version that wrote it"
            )


def _methods(source: Any) -> list[str]:
    """The methods that are outputs when the caller does not say."""
    has = lambda name: callable(getattr(source, name, None))  # noqa: E731
    if has("predict"):
        extra = "predict_proba" if has("predict_proba") else "decision_function" if has("decision_function") else ""
        return ["predict", *([extra] if extra else [])]
    for name in ("transform", "score_samples"):
        if has(name):
            return [name]
    raise UnsupportedModel(f"{type(source).__name__} has no predict, transform or score_samples that works on new data")


def _called(source: Any, method: str, x: Array | Frame) -> Any:
    """The traced result of a method."""
    result = getattr(source, method)(x.copy())
    return [_array(x, item) for item in result] if isinstance(result, list) else _array(x, result)


def _array(x: Array | Frame, result: Any) -> Array:
    return result.matrix() if isinstance(result, Frame) else as_array(x.trace, result)
