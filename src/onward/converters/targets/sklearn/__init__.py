"""scikit-learn: what is recognised (scalers, linear models, perceptrons, trees) or remembered as fitted estimators of the library; any other model
of rows as an estimator that is generated for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import make_pipeline

from onward.converters.comparison import difference
from onward.converters.estimators import noted_estimator
from onward.converters.sklearn import load
from onward.converters.targets.proof import TOLERANCES, Subject
from onward.converters.targets.recognition.data import by_input, rows_at
from onward.converters.targets.recognition.forests import forest_of
from onward.converters.targets.recognition.heads import Head
from onward.converters.targets.recognition.layers import chain_of, network_of, transformer_of
from onward.converters.targets.recognition.rows import RowModel, Unrecognized, feature_names
from onward.converters.targets.recognition.support_vectors import support_vectors_of
from onward.converters.targets.recognition.ties import without_ties
from onward.converters.targets.sklearn import linear, trees, vectors
from onward.converters.targets.sklearn.fitting import REFUSALS
from onward.converters.targets.sklearn.generated import generated
from onward.converters.targets.sklearn.linear import Built
from onward.converters.targets.sklearn.neighbours import comparing
from onward.converters.targets.sklearn.noted import noted_subject, subject_of
from onward.converters.targets.sklearn.original_classes import named
from onward.errors import ConversionMismatch, InvalidArgument
from onward.ir import Model

ENDINGS = (".joblib", ".pkl", ".skops")


def native(model: Model, constants: Mapping[str, Any] | None = None) -> Subject:
    """A fitted estimator whose methods give the model's outputs: one of the library's own where it is noted or recognised, else a generated one.

    Raises UnsupportedModel for a model of anything but rows, and UnsupportedOperator for what cannot be said in NumPy.
    """
    if constants:
        raise InvalidArgument("estimators have rows as their only input: there is nothing to be constant")
    reasons = []
    noted = noted_estimator(model)
    for reader in (noted_subject, recognised):
        try:
            return reader(model, noted)
        except Unrecognized as problem:
            reasons.append(str(problem))
    return generated(model, "; ".join(reason for reason in reasons if reason))


def recognised(model: Model, noted: Mapping[str, Any]) -> Subject:
    """An estimator of the library itself by what the model computes. Raises Unrecognized, with the reasons, where there is none."""
    rows = RowModel(model)
    reasons = []
    readers = [_trees, _transformer, _network, _vectors, _comparing]
    if str(noted.get("class")).endswith(("SVC", "SVR")):  # a linear kernel is two matrix products
        readers = [_vectors, *readers]
    for reader in readers:
        try:
            subject = reader(model, rows)
            _try(subject, rows)
            return subject
        except Unrecognized as problem:
            reasons.append(str(problem))
    raise Unrecognized("; ".join(dict.fromkeys(reasons)))


def _try(subject: Subject, rows: RowModel) -> None:
    """Raises Unrecognized where an estimator does not give what the model does for some rows."""
    count = rows.fixed_rows or 20
    random = list(rows.feeds(np.random.default_rng(0).standard_normal((count, rows.columns))).values())
    inputs = [array[:count] for array in next(iter(subject.data.values())).values()] if subject.data else random
    try:
        found = subject.function(*inputs)
    except REFUSALS as problem:
        raise Unrecognized(f"the estimator refuses rows: {str(problem)[:80]}") from problem
    for ours, theirs in zip(rows.called(*inputs), found, strict=True):
        allowed = TOLERANCES.get(ours.dtype, 0.0)
        numbers = ours.dtype.kind == "f"
        if ours.shape != theirs.shape or not numbers and not np.array_equal(ours, theirs) or numbers and difference(ours, theirs, "rows")["relative"] > allowed:
            raise Unrecognized("what was recognised gives other numbers")


def _trees(model: Model, rows: RowModel) -> Subject:
    """Trees, and the transformers before them."""
    chain = chain_of(rows)
    start = rows.array_of(chain.values[-1]) if chain.steps else None
    found = forest_of(rows, start)
    scalers = linear.transformers(chain.steps, rows.columns)
    built = trees.forest(found, rows.dtype == np.float64)
    data = None if scalers else by_input(rows, rows_at(found.limits(), set()))
    return _subject(model, rows, _pipeline(scalers, built.estimator), built, found.head, data)


def _network(model: Model, rows: RowModel) -> Subject:
    found = network_of(rows)
    scalers, built = linear.network(found)
    return _subject(model, rows, _pipeline(linear.transformers(scalers, rows.columns), built.estimator), built, found.head, None)


def _vectors(model: Model, rows: RowModel) -> Subject:
    """Support vectors; an operator's signs are those with which labels are the model's."""
    found = support_vectors_of(rows)
    places = [place for place, value in enumerate(rows.outputs) if value.dtype is not None and value.dtype.is_float]
    labels = next((place for place in range(len(rows.outputs)) if place not in places), None)
    if len(places) > 1 or len(rows.outputs) > len(places) + 1:
        raise Unrecognized("support vectors with outputs other than labels and scores")
    head = Head("identity", places[0] if places else None, 2, None if found.classes is None else list(found.classes), labels)
    built = vectors.machine(found)
    return _subject(model, rows, built.estimator, built, head, None)


def _comparing(model: Model, rows: RowModel) -> Subject:
    """Centres of clusters, and neighbours."""
    try:
        for built, head, near in comparing(rows):
            data = None if near is None else by_input(rows, {"near the means": near, "one row": near[:1]})
            subject = _subject(model, rows, built.estimator, built, head, data)
            if _gives_the_same(subject, rows):
                return subject
    except REFUSALS as problem:
        raise Unrecognized(f"it holds rows that make no neighbours ({str(problem)[:80]})") from problem
    raise Unrecognized("it compares rows with none that it holds")


def _gives_the_same(subject: Subject, rows: RowModel) -> bool:
    try:
        _try(subject, rows)
    except Unrecognized:
        return False
    return True


def _transformer(model: Model, rows: RowModel) -> Subject:
    steps = linear.transformers(transformer_of(rows), rows.columns)
    estimator = _pipeline(steps[:-1], steps[-1])
    return _subject(model, rows, estimator, Built(estimator, "transform"), Head("identity", 0, 2, None, None), None)


def _pipeline(scalers: list[Any], last: Any) -> Any:
    return make_pipeline(*scalers, last) if scalers else last


def _subject(model: Model, rows: RowModel, estimator: Any, built: Built, head: Head, data: Any) -> Subject:
    """How an estimator is compared: its labels and scores with the model's, in their types and shapes."""
    estimator = named(estimator, noted_estimator(model), model)
    names = feature_names(model, rows.columns)
    if names:
        (estimator[0] if hasattr(estimator, "steps") else estimator).feature_names_in_ = np.array(names, object)
    arrays = list(rows.program.outputs.values())

    def outputs(*inputs: np.ndarray) -> list[np.ndarray]:
        matrix = np.concatenate(inputs, axis=1)
        found: dict[int, np.ndarray] = {}
        if head.labels is not None:
            labels = np.asarray(estimator.predict(matrix))
            found[head.labels] = labels.astype(object) if labels.dtype.kind in "US" else labels
        if head.scores is not None:
            scores = getattr(estimator, built.method)(matrix)
            scores = np.asarray(scores.toarray() if hasattr(scores, "toarray") else scores)
            scores = scores if built.column is None else scores[:, built.column]
            if head.link == "opposites":
                scores = np.stack([-scores, scores], axis=1)
            found[head.scores] = scores.reshape(len(matrix), *(int(extent) for extent in arrays[head.scores].shape[1:])).astype(arrays[head.scores].dtype.numpy)
        return [found[place] for place in sorted(found)]

    return Subject(estimator, rows.judge, without_ties(rows.called, head.labels, head.scores, outputs), data, TOLERANCES)


def save(subject: Subject, path: Path, constants: Mapping[str, Any]) -> None:
    """Writes an estimator with joblib or skops. Raises InvalidArgument for another ending."""
    if path.suffix not in ENDINGS:
        raise InvalidArgument(f"estimators are written to files that end in {', '.join(ENDINGS)}, not '{path.name}'")
    if path.suffix == ".skops" and hasattr(subject.result, "_source"):
        raise InvalidArgument("a generated estimator cannot be a .skops file, which holds no code: use .joblib")
    _writer(path.suffix)(subject.result, path)


def opened(path: Path, trust: bool, model: Model, constants: Mapping[str, Any]) -> Subject:
    """The estimator of a file, whose methods are tried for the model's outputs. Raises ConversionMismatch where none gives what the model does."""
    estimator = load(path, trust)
    try:
        return subject_of(model, estimator)
    except Unrecognized as problem:
        raise ConversionMismatch(f"'{path}' does not compute what the model does: {problem}") from problem


def _writer(ending: str) -> Callable[[Any, Path], Any]:
    if ending == ".skops":
        import skops.io

        return skops.io.dump  # type: ignore[no-any-return]
    import joblib

    return joblib.dump  # type: ignore[no-any-return]
