"""From every framework to every framework: a sample of each, through ONNX, compared from end to end."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.converters import certificate
from onward.converters.certificate import Progress, Reference
from onward.converters.comparison import difference
from onward.converters.frameworks import named
from onward.converters.request import Request
from onward.converters.samples import SAMPLES, Sample
from onward.converters.targets import TARGETS, subject_of
from onward.converters.targets.proof import Subject, prove
from onward.errors import ConversionMismatch, OnwardError
from onward.ir import Model

FRAMEWORKS = {"torch": "PyTorch", "tensorflow": "TensorFlow", "keras": "Keras", "sklearn": "scikit-learn", "xgboost": "XGBoost"}
"""name -> title, of what the matrix converts from and to"""


@dataclass(frozen=True)
class Cell:
    """A conversion: `error` is the greatest difference of the result from the source itself, relative to the largest value of an
    output. Without one `reason` says why there is no result; `wrong` that there is one, which computes something else."""

    source: str
    target: str
    error: float | None = None
    reason: str = ""
    wrong: bool = False


def matrix(progress: Progress | None = None) -> list[Cell]:
    """All cells, sample by sample. A framework that is not installed is a reason."""
    report = progress or (lambda *_: None)
    cells = []
    for place, sample in enumerate(SAMPLES):
        report(sample.what, place, len(SAMPLES))
        cells += list(_row(sample))
    return cells


def _row(sample: Sample) -> Iterator[Cell]:
    """The sample as ONNX, with its certificate, and from there to each target."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source, examples = sample.make()
            model, reference = named(sample.framework).page().convert(Request(source, examples, None, None, [], None, []))
            certificate.certify(model, reference, None, None)
    except (ImportError, OnwardError) as problem:
        for target in FRAMEWORKS:
            yield Cell(sample.what, target, None, _first_line(problem), isinstance(problem, ConversionMismatch))
        return
    for target in FRAMEWORKS:
        yield _cell(sample, model, reference, target)


def _cell(sample: Sample, model: Model, reference: Reference, target: str) -> Cell:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            subject = subject_of(model, target, {})
            prove(subject, TARGETS[target], {}, None, None, None)
            return Cell(sample.what, target, _error(subject, reference))
    except (ImportError, OnwardError) as problem:
        return Cell(sample.what, target, None, _first_line(problem), isinstance(problem, ConversionMismatch))


def _error(subject: Subject, reference: Reference) -> float:
    """The greatest relative difference of the result from the source, in the outputs that the result gives, for all data that both take."""
    assert reference.outputs is not None
    (name,) = [value.name for value in subject.model.graph.inputs if value.tensor is None]
    outputs = [value.name for value in subject.model.graph.outputs]
    worst = [_difference(subject.function, reference.outputs(given), given, name, outputs) for given in reference.data.values()]
    return max(error for error in worst if error is not None)


def _difference(
    function: Callable[..., list[np.ndarray]], expected: Mapping[str, np.ndarray] | None, given: Any, name: str, outputs: list[str]
) -> float | None:
    feeds = given[name] if isinstance(given, Mapping) else given
    if expected is None or not np.isfinite(np.asarray(feeds, np.float64)).all():
        return None
    found = dict(zip(outputs, function(feeds), strict=True))
    return max(_relative(found[label], np.asarray(expected[label]), label) for label in outputs if np.asarray(expected[label]).dtype.kind == "f")


def _relative(ours: np.ndarray, theirs: np.ndarray, where: str) -> float:
    return difference(ours, theirs, where)["relative"]


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]
