"""scikit-learn: an estimator or a pipeline.

An estimator's methods are NumPy code, which is traced (`onward.converters.tracing`); for compiled code (trees, neighbours,
support vectors ...) `operators/` says what a method becomes, one function each. A transformer, scaler or regressor of the
user's own is traced like any other. Everything is computed in the data type that scikit-learn computes in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.certificate import Reference
from onward.converters.estimators import note_estimator
from onward.converters.request import Request
from onward.converters.sklearn import operators  # noqa: F401 (registers the translations)
from onward.converters.sklearn.inputs import Inputs, inputs_of
from onward.converters.sklearn.tracer import exact_distances, tracing
from onward.converters.tracing import Array, Frame, as_array
from onward.errors import (
    FormatError,
    InvalidArgument,
    OnwardError,
    UnsupportedModel,
    UnsupportedOperator,
)
from onward.ir import Model

TOLERANCES = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-5}
NAMES = {
    "predict_proba": "probabilities", "decision_function": "scores", "score_samples": "sample_scores", "transform": "transformed",
    "predict": "prediction",
}  # fmt: skip


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
    """
    source = request.source
    inputs = inputs_of(source, request.example_inputs)
    b = ModelBuilder("sklearn", request.opset)
    x = inputs.traced(b, request.input_names)
    methods = list(request.methods or _methods(source))
    results: dict[str, Array] = {}
    with tracing(source) as traceable:
        for method in methods:
            results |= _named(_label(source, method), _called(traceable, method, x))
    names = dict(zip(results, request.names_of_outputs(list(results)), strict=True))
    reference, kinds = _reference(source, methods, names, inputs)
    for label, result in results.items():
        b.output(result.astype(kinds.get(names[label], result.dtype), copy=False).value, names[label])
    model = b.model()
    note_estimator(model, source)
    return model, reference


def _label(source: Any, method: str) -> str:
    labelled = hasattr(source, "classes_") or getattr(source, "_estimator_type", "") == "outlier_detector" or hasattr(source, "offset_")
    return "label" if method == "predict" and labelled else NAMES.get(method, method)


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
    try:
        result = getattr(source, method)(x.copy())
    except UnsupportedOperator as problem:
        raise UnsupportedOperator(f"{type(source).__name__}.{method}: {problem}") from problem
    except Exception as problem:
        raise UnsupportedOperator(
            f"{type(source).__name__}.{method} cannot be traced: {type(problem).__name__}: {str(problem)[:300]}; a translation can "
            f"be registered with @onward.converters.sklearn.registry.method('{method}', '{type(source).__name__}')"
        ) from problem
    return [_array(x, item) for item in result] if isinstance(result, list) else _array(x, result)


def _array(x: Array | Frame, result: Any) -> Array:
    return result.matrix() if isinstance(result, Frame) else as_array(x.trace, result)


def _named(label: str, result: Any) -> dict[str, Any]:
    """One output, or one for each array of a list, as several targets have."""
    if isinstance(result, list):
        return {f"{label}_{place}": item for place, item in enumerate(result)}
    return {label: result}


def _reference(source: Any, methods: list[str], names: dict[str, str], inputs: Inputs) -> tuple[Reference, dict[str, np.dtype]]:
    """What the estimator computes, and the data types of that by the names of the outputs."""
    from importlib.metadata import version

    data = inputs.data(source)

    def outputs(given: Any) -> dict[str, np.ndarray] | None:
        found = {}
        rows = inputs.rows(given)
        for method in methods:
            try:
                result = getattr(source, method)(rows)
            except (ValueError, IndexError, TypeError):  # the source does not take these data
                return None
            for label, item in _named(_label(source, method), result).items():
                array = np.asarray(item.toarray() if hasattr(item, "toarray") else item)
                if method == "transform" and array.ndim == 1 and len(array) != len(rows):
                    array = array.reshape(1, -1)  # SparsePCA drops the axis of rows where there is one
                found[names[label]] = array.astype(object) if array.dtype.kind in "US" else array
        return found

    def exactly(given: Any) -> dict[str, np.ndarray] | None:
        with exact_distances():
            return outputs(given)

    kinds: dict[str, np.dtype] = {}
    for rows in data.values():
        kinds = {name: array.dtype for name, array in (outputs(rows) or {}).items()}
        if kinds:
            break
    return Reference(f"scikit-learn {version('scikit-learn')}", data, outputs, exactly, TOLERANCES, inputs.notes), kinds
