"""An estimator that is generated for a model: its NumPy source, and a class around it.

The text is all that there is: it needs NumPy and scikit-learn, and a pickle of the estimator carries it along.
"""

from __future__ import annotations

import pprint
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward import operators
from onward import program as P
from onward.converters.targets.numpy import PRELUDE
from onward.converters.targets.numpy.words import NumpyWords
from onward.converters.targets.printing.module import Function, execute, module_text, reserved
from onward.converters.targets.proof import Subject
from onward.converters.targets.recognition.rows import feature_names, without_maps
from onward.converters.targets.recognition.ties import without_ties
from onward.errors import OnwardError, UnsupportedModel
from onward.ir import Model
from onward.ir.expressions import Expression
from onward.runtime import InferenceSession

CLASS = '''
from sklearn.base import {imports}
from sklearn.utils.validation import validate_data


class {name}({bases}):
    """A fitted model that was read from ONNX: {about}. `fit` learns nothing."""

    n_features_in_ = {columns}
{attributes}    _source, _weights = "", None

    def fit(self, X, y=None):
        """Nothing is learned; raises ValueError for rows of another number of columns."""
        self._rows(X)
        return self

    def _rows(self, X):
        return validate_data(self, X, reset=False, dtype={accepted}, ensure_all_finite=False)

    def _called(self, rows):
        inputs = [
            rows[:, begin:end].reshape(rows.shape[0], *shape).astype(dtype) for begin, end, shape, dtype in {inputs}
        ]
        with np.errstate(all="ignore"):
            found = model(self._weights, *inputs)
        return found if isinstance(found, tuple) else (found,)
{outputs}{methods}
    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_clone__(self):
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.allow_nan = True
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = {preserved}
        return tags

    def __reduce__(self):
        return eval, (_RESTORE, {{"source": self._source, "weights": self._weights, "state": self.__dict__}})


_RESTORE = "(scope := {{'__name__': 'onnx_model'}}, exec(source, scope), scope['restore'](source, weights, state))[2]"


def restore(source, weights, state):
    """The estimator of this module with its text, its weights and its attributes."""
    {name}._source, {name}._weights = source, weights
    result = {name}.__new__({name})
    result.__dict__.update(state)
    return result
'''

OUTPUTS = """
    def _outputs(self, X):
        return self._called(self._rows(X))
"""
"""For any number of rows."""

OUTPUTS_OF_SOME = """
    def _outputs(self, X):
        rows = self._rows(X)
        starts = range(0, len(rows), {rows})
        parts = [self._called(rows[np.minimum(np.arange(start, start + {rows}), len(rows) - 1)]) for start in starts]
        return [np.concatenate(items)[: len(rows)] for items in zip(*parts)]
"""
"""For a model of a fixed number of rows."""

METHOD = '''
    def {name}(self, X):
        """{about}"""
        return {result}
'''


@dataclass(frozen=True)
class Kind:
    """What an estimator is: the name and bases of its class, its methods (name, what it gives, expression) and its classes.

    `calls` are, for each output of the model, the name of the method that gives it."""

    name: str
    bases: tuple[str, ...]
    methods: tuple[tuple[str, str, str], ...]
    calls: tuple[str, ...]
    classes: list[Any] | None = None


def generated(model: Model, reason: str) -> Subject:
    """An estimator for a model whose inputs and outputs have a row for each row of a matrix. `reason` is why it is none of the library's own.

    Raises UnsupportedModel for a model of other inputs or outputs, and UnsupportedOperator for what cannot be said in NumPy.
    """
    judge = without_maps(model)
    program = operators.lower(judge)
    shapes = _shapes(program.inputs)
    fixed = next((int(item.shape[0]) for item in program.inputs if isinstance(item.shape[0], int)), None)
    widths = [int(np.prod(shape)) for shape in shapes]
    ends = np.cumsum(widths).tolist()
    session = InferenceSession(judge.to_bytes())
    kind = _kind(session, judge, program.inputs, shapes, fixed)
    types = [str(np.dtype(item.dtype.numpy)) for item in program.inputs]
    slices = [(end - width, end, shape, dtype) for end, width, shape, dtype in zip(ends, widths, shapes, types)]
    names = feature_names(model, ends[-1])
    attributes = "".join(
        f"    {name} = np.array({pprint.pformat(values, width=120, compact=True)}{dtype})\n"
        for name, values, dtype in (("classes_", kind.classes, ""), ("feature_names_in_", names, ", dtype=object")) if values
    )  # fmt: skip
    function = Function(judge, NumpyWords(), reserved(PRELUDE, "weights", "model", "restore", kind.name))
    text = module_text(judge, "NumPy and scikit-learn", PRELUDE, function.text("weights") + CLASS.format(
        imports=", ".join(sorted({*kind.bases})), name=kind.name, bases=", ".join(kind.bases), about=f"it gives {', '.join(name for name, _, _ in kind.methods)}",
        columns=ends[-1], attributes=attributes, outputs=OUTPUTS if fixed is None else OUTPUTS_OF_SOME.format(rows=fixed), inputs=slices, methods="".join(METHOD.format(name=name, about=about, result=result) for name, about, result in kind.methods),
        preserved=sorted({item.dtype.numpy.name for item in program.outputs.values()} & set(types)),
        accepted="[np.float64, np.float32]" if all(np.dtype(dtype).kind == "f" for dtype in types) else '"numeric"',
    ))  # fmt: skip
    estimator = execute(text).restore(text, function.weights, {})

    def outputs(*inputs: np.ndarray) -> list[np.ndarray]:
        matrix = np.concatenate([item.reshape(len(item), -1) for item in inputs], axis=1)
        shapes = [array.shape for array in program.outputs.values()]
        found = [np.asarray(getattr(estimator, call)(matrix)) for call in kind.calls]
        return [item.reshape(len(matrix), *(int(extent) for extent in shape[1:])) for item, shape in zip(found, shapes, strict=True)]  # type: ignore[call-overload]

    places = {call: place for place, call in enumerate(kind.calls)} if len(kind.calls) == 2 else {}
    labels = places.pop("predict", None)
    names_of_inputs = [item.label for item in program.inputs]
    settled = without_ties(lambda *inputs: session.run(None, dict(zip(names_of_inputs, inputs))), labels, next(iter(places.values()), None), outputs)
    return Subject(estimator, judge, settled, notes=(f"a generated estimator, none of the library's own: {reason}",))


def _shapes(inputs: Sequence[P.Input]) -> list[tuple[int, ...]]:
    """The shape of one row of each input. Raises UnsupportedModel where it is not known."""
    found = []
    for item in inputs:
        if item.rank < 1 or any(isinstance(extent, Expression) for extent in item.shape[1:]) or item.dtype.numpy.kind not in "fiub":
            raise UnsupportedModel(f"estimators take rows of numbers, but input '{item.label}' is {item}")
        found.append(tuple(int(extent) for extent in item.shape[1:]))  # type: ignore[arg-type]
    if not found:
        raise UnsupportedModel("estimators take rows, but the model has no inputs")
    return found


def _kind(session: InferenceSession, model: Model, inputs: Sequence[P.Input], shapes: Sequence[tuple[int, ...]], fixed: int | None) -> Kind:
    """What the outputs of a model make it, by their shapes and by what they are for some rows."""
    random = np.random.default_rng(0)
    count = fixed or 40
    results: list[np.ndarray] = []
    for _ in range(1 if fixed is None else 10):
        feeds = {item.label: (random.standard_normal((count, *shape)) * 2).astype(item.dtype.numpy) for item, shape in zip(inputs, shapes)}
        try:
            found = session.run(None, feeds)
        except OnwardError as problem:
            raise UnsupportedModel(f"estimators take any rows of numbers, but the model refused random ones: {problem}") from problem
        if any(not isinstance(item, np.ndarray) or item.ndim not in (1, 2) or len(item) != count for item in found):
            raise UnsupportedModel("estimators give a number or a row for each row; outputs of the model have other shapes")
        results = [np.concatenate(pair) for pair in zip(results, found)] if results else list(found)
    labels = [place for place, item in enumerate(results) if item.dtype.kind in "iubOUS" and item.size == len(item)]
    scores = [place for place in range(len(results)) if place not in labels]
    if len(results) > 2 or len(labels) > 1 or len(scores) > 1:
        raise UnsupportedModel(
            f"estimators give labels and scores, the model has {len(results)} outputs: {', '.join(value.name for value in model.graph.outputs)}"
        )
    if not labels:
        return _numbers(model.graph.outputs[0].name, results[0])
    if not scores:
        return Kind("OnnxEstimator", ("BaseEstimator",), (("predict", "The label of each row.", _column(0, results[0])),), ("predict",))
    return _classifier(model, results, labels[0], scores[0])


def _numbers(name: str, result: np.ndarray) -> Kind:
    """One output of numbers: probabilities, transformed rows, or predictions."""
    if result.ndim == 2 and result.shape[1] > 1 and _are_probabilities(result):
        probabilities = ("predict_proba", "The probability of each class.", "self._outputs(X)[0]")
        label = ("predict", "The class with the greatest probability.", "self.classes_[np.argmax(self._outputs(X)[0], axis=1)]")
        return Kind("OnnxClassifier", ("ClassifierMixin", "BaseEstimator"), (label, probabilities), ("predict_proba",), list(range(result.shape[1])))
    if name == "transformed":
        return Kind("OnnxTransformer", ("TransformerMixin", "BaseEstimator"), (("transform", "The rows transformed.", "self._outputs(X)[0]"),), ("transform",))
    method = ("predict", "The prediction for each row.", _column(0, result))
    return Kind("OnnxRegressor", ("RegressorMixin", "BaseEstimator"), (method,), ("predict",))


def _classifier(model: Model, results: Sequence[np.ndarray], labels: int, scores: int) -> Kind:
    """Labels and scores. Classes are those numbers or texts of the model of which the label is that of the greatest score."""
    label = ("predict", "The label of each row.", _column(labels, results[labels]))
    probable = results[scores].ndim == 2 and _are_probabilities(results[scores])
    name = "predict_proba" if probable else "decision_function"
    score = (name, "The probability of each class." if probable else "The score of each class.", _column(scores, results[scores]))
    calls = ("predict", name) if labels < scores else (name, "predict")
    classes = _classes(model, results[labels].reshape(-1), results[scores])
    if classes is None:
        return Kind("OnnxEstimator", ("BaseEstimator",), (label, score), calls)
    return Kind("OnnxClassifier", ("ClassifierMixin", "BaseEstimator"), (label, score), calls, classes)


def _column(place: int, result: np.ndarray) -> str:
    """An output, as a vector where it is one column."""
    return f"self._outputs(X)[{place}]" + ("[:, 0]" if result.ndim == 2 and result.shape[1] == 1 else "")


def _classes(model: Model, labels: np.ndarray, scores: np.ndarray) -> list[Any] | None:
    """The classes in the order of the scores; None where they are not to be found."""
    count = max(2, scores.shape[1] if scores.ndim == 2 else 1)
    known: list[list[Any]] = [list(range(count)), sorted(set(labels.tolist()))]
    for value in model.graph.values():
        if value.tensor is not None and value.tensor.shape == (count,):
            known.insert(0, value.tensor.numpy().tolist())
    for node in model.graph.nodes:
        for attribute in ("classlabels_int64s", "classlabels_strings", "classlabels_ints"):
            known.insert(0, [item.decode() if isinstance(item, bytes) else item for item in node.attribute(attribute, None) or []])
    places = scores.argmax(axis=1) if scores.ndim == 2 and scores.shape[1] > 1 else (scores.reshape(-1) > 0).astype(int)
    for classes in known:
        if len(classes) == count and np.mean([classes[place] == label for place, label in zip(places, labels.tolist())]) > 0.97:
            return classes
    return None


def _are_probabilities(result: np.ndarray) -> bool:
    return bool((result >= 0).all() and (result <= 1 + 1e-6).all() and np.allclose(result.sum(axis=1), 1, atol=1e-3))
