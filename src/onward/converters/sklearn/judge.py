"""scikit-learn as the judge of a conversion, and of its own results: without cancellation in distances, and for distances that differ by rounding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.impute import KNNImputer
from sklearn.neighbors._base import KNeighborsMixin, RadiusNeighborsMixin

from onward.converters.certificate import EXAMPLE, Reference
from onward.converters.comparison import difference, exceeds
from onward.converters.sklearn.inputs import Inputs, Matrix, Table
from onward.converters.sklearn.parts import parts_of
from onward.converters.sklearn.places import Call, Results, observed
from onward.converters.sklearn.tracer import euclidean
from onward.converters.tracing import replaced
from onward.converters.tracing.frame import NoInput
from onward.errors import InvalidArgument
from onward.ir import Value

TOLERANCES = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-5}
NAMES = {
    "predict_proba": "probabilities", "decision_function": "scores", "score_samples": "sample_scores", "transform": "transformed",
    "predict": "prediction",
}  # fmt: skip
NEIGHBOURS = (KNeighborsMixin, RadiusNeighborsMixin, KNNImputer)
"""Whose results may hang on which of equally near rows is the nearer; all others are compared as they are, at limits, too."""
NOISE = 1e-9
"""By how much numbers and distances are changed, relative to themselves."""


@contextmanager
def exact_distances() -> Iterator[None]:
    """Within the block, scikit-learn computes distances from differences, where it would lose digits to cancellation."""
    from sklearn.metrics import pairwise

    with replaced({pairwise.euclidean_distances: euclidean}, ("sklearn",)):
        yield


@contextmanager
def noisy_distances(random: np.random.Generator) -> Iterator[None]:
    """Within the block, each distance of scikit-learn is changed at random, so that no two rows are equally far from a third; neighbours are
    looked for among all rows."""
    from sklearn.metrics import pairwise
    from sklearn.neighbors import _base, _classification

    def noisy(found: np.ndarray) -> np.ndarray:
        return found * (1 + NOISE * random.uniform(-1, 1, found.shape))

    def distances(X: Any, Y: Any = None, *, squared: bool = False, **_: Any) -> Any:  # noqa: N803 (scikit-learn's names)
        return noisy(euclidean(X, Y, squared=squared))

    def neighbours(self: Any, X: Any = None, n_neighbors: Any = None, return_distance: bool = True) -> Any:  # noqa: N803
        if X is None or self.effective_metric_ == "precomputed":
            return usual(self, X, n_neighbors, return_distance)
        found = noisy(pairwise.pairwise_distances(X, self._fit_X, metric=self.effective_metric_, **(self.effective_metric_params_ or {})))
        near = np.argsort(found, axis=1)[:, : n_neighbors or self.n_neighbors]
        return (np.take_along_axis(found, near, axis=1), near) if return_distance else near

    usual = _base.KNeighborsMixin.kneighbors
    by_class = _classification.ArgKminClassMode
    with ExitStack() as stack:
        stack.enter_context(replaced({pairwise.euclidean_distances: distances}, ("sklearn",)))
        for owner, name, made in ((_base.KNeighborsMixin, "kneighbors", neighbours), (by_class, "is_usable_for", classmethod(lambda *_: False))):
            before = vars(owner).get(name)
            stack.callback(setattr, owner, name, before) if before is not None else stack.callback(delattr, owner, name)
            setattr(owner, name, made)
        yield


def changed(given: Any, random: np.random.Generator) -> Any:
    """Data, by input or one matrix, of which each number is changed at random."""
    if isinstance(given, dict):
        return {name: changed(array, random) for name, array in given.items()}
    if given.dtype.kind != "f":
        return given
    return (given * (1 + NOISE * random.uniform(-1, 1, given.shape))).astype(given.dtype)


def _in_double(given: Any) -> Any:
    """Data, by input or one matrix, whose numbers are not in single but in double precision; None where there are no such numbers."""
    if isinstance(given, dict):
        wide = {name: _in_double(array) for name, array in given.items()}
        return {name: given[name] if array is None else array for name, array in wide.items()} if any(array is not None for array in wide.values()) else None
    return given.astype(np.float64) if given.dtype == np.float32 else None


def label_of(source: Any, method: str) -> str:
    labelled = hasattr(source, "classes_") or getattr(source, "_estimator_type", "") == "outlier_detector" or hasattr(source, "offset_")
    return "label" if method == "predict" and labelled else NAMES.get(method, method)


def named_results(label: str, result: Any) -> dict[str, Any]:
    """One output, or one for each array of a list, as several targets have."""
    if isinstance(result, list):
        return {f"{label}_{place}": item for place, item in enumerate(result)}
    return {label: result}


class Judge:
    """What an estimator gives for data; `names` are those of the outputs by what they are, `kinds` their data types."""

    def __init__(self, source: Any, methods: list[str], inputs: Inputs) -> None:
        self.source, self.methods, self.inputs = source, methods, inputs
        self.data = inputs.data(source)
        self.names: dict[str, str] = {}
        self.kinds: dict[str, np.dtype] = {}

    def first_results(self, given: bool) -> dict[Call, np.ndarray]:
        """What the estimator and its parts give for the first data that it takes.

        Raises InvalidArgument where it refuses a row of the example, or of what was made up in its place for a DataFrame; NoInput
        where the example has columns that are no inputs, too.
        """
        required = given or not isinstance(self.inputs, Matrix)
        for what in ["a row of it", EXAMPLE, *self.data]:
            if what not in self.data:
                continue
            seen = Results(self.source)
            try:
                with observed(list(parts_of(self.source)), seen.observe):
                    found = self._results(self.data[what])
            except NotFittedError:
                raise
            except Exception as problem:
                if required:
                    said = f"{type(self.source).__name__} refuses {'the example inputs' if given else 'columns of numbers'}: {str(problem)[:300]}"
                    if isinstance(self.inputs, Table) and self.inputs.unusable:
                        raise NoInput("; ".join([said, *self.inputs.unusable.values()])) from problem
                    raise InvalidArgument(said if given else f"{said}; pass example_inputs, some rows of the DataFrame") from problem
                continue
            self.kinds = {label: array.dtype for label, array in found.items()}
            return seen.arrays()
        return {}

    def _results(self, given: Any) -> dict[str, np.ndarray]:
        """The results by what they are. Raises what the estimator raises for data that it does not take."""
        found = {}
        rows = self.inputs.rows(given)
        for method in self.methods:
            with np.errstate(all="ignore"):
                result = getattr(self.source, method)(rows)
            for label, item in named_results(label_of(self.source, method), result).items():
                array = np.asarray(item.toarray() if hasattr(item, "toarray") else item)
                if method == "transform" and array.ndim == 1 and len(array) != len(rows):
                    array = array.reshape(1, -1)  # SparsePCA drops the axis of rows where there is one
                found[label] = array.astype(object) if array.dtype.kind in "US" else array
        return found

    def outputs(self, given: Any) -> dict[str, np.ndarray] | None:
        """The outputs, or None for data that the estimator does not take."""
        try:
            return {self.names[label]: self._typed(label, array) for label, array in self._results(given).items()}
        except (ValueError, IndexError, TypeError):
            return None

    def _typed(self, label: str, array: np.ndarray) -> np.ndarray:
        """In the output's type: of whole numbers RadiusNeighborsRegressor gives whole numbers where no row has neighbours."""
        kind = self.kinds.get(label, array.dtype)
        return array.astype(kind) if kind.kind == "f" and array.dtype.kind in "iu" else array

    def exactly(self, given: Any) -> dict[str, np.ndarray] | None:
        with exact_distances():
            return self.outputs(given)

    def nearby(self, given: Any, seed: int) -> dict[str, np.ndarray] | None:
        random = np.random.default_rng(seed)
        with noisy_distances(random):
            return self.outputs(changed(given, random))

    def _is_single(self) -> bool:
        """Whether the estimator computes with rows in single precision as they are, so that results in double precision are no more exact:
        then they differ from those for the same rows in double precision."""
        for given in self.data.values():
            wide = _in_double(given)
            if wide is None:
                return False
            found, exact = self.outputs(given) or {}, self.outputs(wide) or {}
            for label in set(found) & set(exact):
                ours, theirs = found[label], exact[label]
                if ours.dtype == np.float64 and ours.shape == theirs.shape and exceeds(difference(ours, theirs, label), TOLERANCES[ours.dtype]):
                    return True
        return False

    def values(self, given: Any, known: Mapping[Call, Value]) -> Iterator[tuple[str, np.ndarray]]:
        """What the parts give, by the names of the model's values."""
        seen = Results(self.source)
        with observed(list(parts_of(self.source)), seen.observe):
            if self.outputs(given) is None:
                return
        for call, array in seen.arrays().items():
            if call in known and seen.times(call) == sum(other[:2] == call[:2] for other in known):
                yield known[call].name, array.astype(object) if array.dtype.kind in "US" else array

    def reference(self, known: Mapping[Call, Value]) -> Reference:
        """The judge as a certificate asks it; `known` are the model's values that are results of parts."""
        title = f"scikit-learn {version('scikit-learn')}"
        rows = isinstance(next(iter(self.data.values())), np.ndarray)

        def values(feeds: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
            return self.values(next(iter(feeds.values())) if rows and isinstance(feeds, Mapping) else feeds, known)

        nearby = self.nearby if any(isinstance(part, NEIGHBOURS) for part in parts_of(self.source)) else None
        tolerances = dict.fromkeys(TOLERANCES, TOLERANCES[np.dtype(np.float32)]) if self._is_single() else TOLERANCES
        return Reference(title, self.data, self.outputs, self.exactly, tolerances, self.inputs.notes, nearby=nearby, values=values)
