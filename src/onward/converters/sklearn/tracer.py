"""Estimators as NumPy code: their methods are called with traced arrays, those of compiled code are translated by hand."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from onward.converters.sklearn.parts import parts_of
from onward.converters.sklearn.registry import METHODS, TABLES
from onward.converters.tracing import Array, Frame, as_array, replaced, series
from onward.errors import UnsupportedOperator


def _validated(
    _estimator: Any,
    /,
    X: Any = "no_validation",
    y: Any = "no_validation",
    skip_check_array: bool = False,
    **options: Any,  # noqa: N803
) -> Any:
    return X if skip_check_array else _checked(X, **options)


def _checked(x: Any, *_: Any, dtype: Any = "numeric", copy: bool = False, ensure_2d: bool = True, **__: Any) -> Any:
    if isinstance(x, Frame):
        x = x.matrix()
    if not isinstance(x, Array):
        return x
    wanted = dtype[0] if isinstance(dtype, (list, tuple)) and x.dtype not in [np.dtype(item) for item in dtype] else dtype
    if wanted is not None and wanted != "numeric" and not isinstance(wanted, (list, tuple)):
        x = x.astype(wanted, copy=False)
    return x.copy()


def _dot(a: Any, b: Any, *, dense_output: bool = False) -> Any:
    return a @ (b.toarray() if hasattr(b, "toarray") and not isinstance(b, Array) else b)


def squared_distances(x: Any, y: Any) -> Any:
    """Squared Euclidean distances between the rows in double precision, from differences, so that none is lost to cancellation."""
    if isinstance(x, Array) or isinstance(y, Array):
        x, y = _traced(x, y)
    gap = np.expand_dims(x.astype(np.float64, copy=False), 1) - np.expand_dims(y.astype(np.float64, copy=False), 0)
    return np.sum(gap * gap, axis=2)


def _traced(x: Any, y: Any) -> tuple[Array, Array]:
    trace = (x if isinstance(x, Array) else y).trace
    return as_array(trace, x), as_array(trace, y)


def euclidean(X: Any, Y: Any = None, *, squared: bool = False, **_: Any) -> Any:  # noqa: N803
    """As scikit-learn gives them: distances of rows in single precision are rounded to that in the end."""
    other = X if Y is None else Y
    found = squared_distances(X, other)
    return (found if squared else np.sqrt(found)).astype(np.result_type(X.dtype, other.dtype, np.float32), copy=False)


def distances(x: Any, y: Any, metric: str = "euclidean", **options: Any) -> Array:
    """Distances between the rows of two matrices in double precision, as scipy.spatial.distance.cdist gives them."""
    x, y = (item.astype(np.float64, copy=False) for item in _traced(x, y))
    if metric == "sqeuclidean":
        return squared_distances(x, y)  # type: ignore[no-any-return]
    if metric in ("euclidean", "l2"):
        return np.sqrt(squared_distances(x, y))  # type: ignore[no-any-return]
    if metric == "cosine":
        return np.clip(1 - _normalized(x) @ _normalized(y).T, 0.0, 2.0)  # type: ignore[no-any-return]
    gap = np.abs(np.expand_dims(x, 1) - np.expand_dims(y, 0))
    if metric in ("manhattan", "cityblock", "l1"):
        return np.sum(gap, axis=2)  # type: ignore[no-any-return]
    if metric in ("chebyshev", "infinity"):
        return np.max(gap, axis=2)  # type: ignore[no-any-return]
    if metric in ("minkowski", "p"):
        power = options.get("p", 2)
        if power == 2:
            return np.sqrt(np.sum(gap * gap, axis=2))  # type: ignore[no-any-return]
        if power == 1:
            return np.sum(gap, axis=2)  # type: ignore[no-any-return]
        return np.sum(gap**power, axis=2) ** (1 / power)  # type: ignore[no-any-return]
    if metric == "mahalanobis":
        between = np.expand_dims(x, 1) - np.expand_dims(y, 0)
        return np.sqrt(np.sum((between @ np.asarray(options["VI"])) * between, axis=2))  # type: ignore[no-any-return]
    if metric == "hamming":
        return np.mean(gap != 0, axis=2)  # type: ignore[no-any-return]
    if metric == "canberra":
        return np.nansum(gap / (np.abs(np.expand_dims(x, 1)) + np.abs(np.expand_dims(y, 0))), axis=2)  # type: ignore[no-any-return]
    raise UnsupportedOperator(f"distances of metric '{metric}'")


def _pair(X: Any, Y: Any = None, **_: Any) -> tuple[Any, Any]:  # noqa: N803
    """Both in a data type of real numbers."""
    x, y = (item.astype(np.float64) if item.dtype.kind in "iub" else item for item in (X, X if Y is None else Y))
    return x, y


def _pairwise(X: Any, Y: Any = None, metric: Any = "euclidean", **options: Any) -> Any:  # noqa: N803
    if metric == "euclidean":
        return euclidean(X, Y)
    options = {key: item for key, item in options.items() if key in ("p", "VI")}
    return distances(X, X if Y is None else Y, metric, **options)


def _logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, **_: Any) -> Any:
    if not isinstance(a, Array):
        from scipy.special import logsumexp

        return logsumexp(a, axis=axis, b=b, keepdims=keepdims)
    top = np.max(a, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    total = np.log(np.sum(np.exp(a - top) if b is None else b * np.exp(a - top), axis=axis, keepdims=True)) + top
    return total if keepdims else np.squeeze(total, axis=axis)


def _softmax(x: Any, *_: Any, axis: int = 1, **__: Any) -> Any:
    powers = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return powers / np.sum(powers, axis=axis, keepdims=True)


def _normalized(X: Any, norm: str = "l2", *, axis: int = 1, copy: bool = True, return_norm: bool = False) -> Any:  # noqa: N803
    if norm == "l2":
        sizes = np.sqrt(np.sum(X * X, axis=axis, keepdims=True))
    else:
        sizes = (np.sum if norm == "l1" else np.max)(np.abs(X), axis=axis, keepdims=True)
    sizes = np.where(sizes == 0, 1.0, sizes)
    return (X / sizes, np.squeeze(sizes, axis=axis)) if return_norm else X / sizes


def _clipped(x: Any, least: Any = None, greatest: Any = None, *, out: Any = None) -> Any:
    found = np.clip(x, least, greatest)
    if out is None:
        return found
    out[:] = found
    return out


def _row_norms(X: Any, squared: bool = False) -> Any:  # noqa: N803
    found = np.sum(X * X, axis=1)
    return found if squared else np.sqrt(found)


def _argmin(X: Any, Y: Any, *, axis: int = 1, metric: str = "euclidean", metric_kwargs: Any = None, **_: Any) -> Any:  # noqa: N803
    return np.argmin(distances(X, Y, metric, **(metric_kwargs or {})), axis=axis)


def _in_turn(*_: Any, **__: Any) -> Callable[[Any], list[Any]]:
    return lambda tasks: [function(*arguments, **options) for function, arguments, options in tasks]


def _task(function: Any, **_: Any) -> Any:
    return lambda *arguments, **options: (function, arguments, options)


class _NoRandomNumbers:
    """Stands for a generator, which would take a traced array for memory."""

    def __getattr__(self, name: str) -> Any:
        raise UnsupportedOperator("random numbers are drawn")


def _random(_seed: Any) -> Any:
    return _NoRandomNumbers()


def _samples(x: Any) -> Any:
    return x.shape[0] if hasattr(x, "shape") else len(x)


def _ridge_solution(X: Any, y: Any, alpha: Any, **_: Any) -> Any:  # noqa: N803
    """(targets, features): the solution of the normal equations of a matrix that is known and targets that are traced."""
    matrix = np.asarray(X)
    return y.T @ (np.linalg.inv(matrix.T @ matrix + float(np.ravel(alpha)[0]) * np.eye(matrix.shape[1])) @ matrix.T).T


def _thresholded(y_score: Any, threshold: float, classes: Any, pos_label: Any) -> Any:
    """The class on the other side of a threshold."""
    known = np.asarray(classes)
    positive = 1 if pos_label is None else int(np.flatnonzero(known == pos_label)[0])
    order = known[[1 - positive, positive]]
    return as_array(y_score.trace, order)[(y_score >= threshold).astype(np.int64)]


def _votes_of_pairs(predictions: Any, confidences: Any, n_classes: int) -> Any:
    """One score for each class from those of pairs: its votes, and its confidence squeezed between them."""
    pairs = [(first, second) for first in range(n_classes) for second in range(first + 1, n_classes)]
    first, second = np.zeros((len(pairs), n_classes)), np.zeros((len(pairs), n_classes))
    for number, (left, right) in enumerate(pairs):
        first[number, left] = second[number, right] = 1
    total = confidences @ (second - first)
    lost = (predictions == 0).astype(np.float64)
    votes = lost @ first + (predictions == 1).astype(np.float64) @ second
    return votes + total / (3 * (np.abs(total) + 1))


def _logits(decision_values: Any, eps: float = 1e-12, xp: Any = None) -> Any:
    """Scores as they are, and logarithms where all rows are probabilities; those of two classes are one column."""
    x = decision_values if decision_values.ndim == 2 else np.reshape(decision_values, (-1, 1))
    if x.shape[1] == 1:
        return np.concatenate([-x, x], axis=1)
    probable = np.all((x >= 0) & (x <= 1)) & np.all(np.abs(np.sum(x, axis=1) - 1) <= 1e-5 + 1e-8)
    return np.where(probable, np.log(x + eps), x)


def _replacements() -> dict[Any, Any]:
    """Functions of scikit-learn, SciPy and joblib that look at the data or are compiled, and what stands for them."""
    import joblib
    import scipy.linalg
    import scipy.sparse
    import scipy.spatial.distance
    import scipy.special
    import scipy.stats
    import sklearn.metrics.pairwise as pairwise
    import sklearn.preprocessing
    from sklearn.externals.array_api_compat import numpy as namespace
    from sklearn.utils import _array_api as api
    from sklearn.utils import _safe_indexing, _set_output, extmath, multiclass, parallel, validation

    nothing: Callable[..., Any] = lambda *_, **__: None
    found = {
        validation.validate_data: _validated, validation.check_array: _checked, validation.check_is_fitted: nothing,
        validation._check_feature_names: nothing, validation._check_n_features: nothing, validation.check_non_negative: nothing,
        validation._assert_all_finite: nothing, validation.assert_all_finite: nothing, validation._num_samples: _samples, validation.check_random_state: _random,
        extmath.safe_sparse_dot: _dot, extmath.row_norms: _row_norms, extmath.softmax: _softmax,
        pairwise.euclidean_distances: euclidean, pairwise.pairwise_distances: _pairwise, pairwise.pairwise_distances_argmin: _argmin,
        pairwise.check_pairwise_arrays: _pair,
        pairwise.manhattan_distances: lambda X, Y: distances(X, Y, "manhattan"),
        sklearn.preprocessing.normalize: _normalized, namespace.clip: _clipped,
        scipy.special.logsumexp: _logsumexp, scipy.special.softmax: lambda x, axis=None: _softmax(x, axis=axis),
        scipy.spatial.distance.cdist: lambda XA, XB, metric="euclidean", **options: distances(XA, XB, metric, **options),
        scipy.linalg.solve_triangular: _triangular, scipy.linalg.cho_solve: lambda factor, b, **_: np.linalg.inv(factor[0] @ factor[0].T) @ b,
        scipy.stats.gmean: lambda a, axis=0, **_: np.exp(np.mean(np.log(a), axis=axis)),
        parallel.Parallel: _in_turn, parallel.delayed: _task, joblib.Parallel: _in_turn, joblib.delayed: _task,
        multiclass.check_classification_targets: nothing, _set_output._wrap_data_with_container: _contained,
    }  # fmt: skip
    for name, stand_in in (("_logsumexp", _logsumexp), ("check_same_namespace", nothing), ("_expit", _sigmoid), ("_average", np.average)):
        if hasattr(api, name):
            found[getattr(api, name)] = stand_in
    from sklearn.ensemble import _gradient_boosting

    from onward.converters.sklearn.operators.forests import boosted

    found[_gradient_boosting.predict_stages] = boosted
    import scipy._lib._array_api
    from sklearn.externals.array_api_compat.common import _helpers

    for module in (scipy._lib._array_api, api, _helpers):
        original = getattr(module, "array_namespace", None)
        if original is not None:
            found[original] = lambda *arrays, original=original, **options: (
                namespace if any(isinstance(item, Array) for item in arrays) else original(*arrays, **options)
            )
    from sklearn import calibration
    from sklearn.linear_model import _ridge
    from sklearn.metrics import _scorer

    if hasattr(calibration, "_convert_to_logits"):
        found[calibration._convert_to_logits] = _logits
    found[_ridge.ridge_regression] = _ridge_solution
    found[_scorer._threshold_scores_to_class_labels] = _thresholded
    found[multiclass._ovr_decision_function] = _votes_of_pairs
    found[_safe_indexing] = lambda X, indices, *, axis=0: X[:, indices] if axis == 1 else X[indices]
    return found


def _sigmoid(x: Any, *_: Any, **__: Any) -> Any:
    from scipy.special import expit

    return expit(x)


def _triangular(a: Any, b: Any, lower: bool = False, **_: Any) -> Any:
    import scipy.linalg

    if not isinstance(b, Array):
        return scipy.linalg.solve_triangular(a, b, lower=lower)
    return scipy.linalg.solve_triangular(a, np.eye(len(a)), lower=lower) @ b


class Table(np.ndarray):
    """A fitted array that can be read at traced places."""

    def __getitem__(self, key: Any) -> Any:
        for item in key if isinstance(key, tuple) else (key,):
            if isinstance(item, Array):
                return as_array(item.trace, np.asarray(self))[key]
        return super().__getitem__(key)

    def take(self, indices: Any, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]
        """As numpy.ndarray.take, at traced places too."""
        if isinstance(indices, Array):
            places = indices.astype(np.int64, copy=False)
            return np.take(as_array(indices.trace, np.asarray(self)), places, *arguments, **options)
        return super().take(indices, *arguments, **options)


def prepared(item: Any, done: dict[int, Any], replacements: dict[Any, Any]) -> Any:
    """A copy of an estimator whose fitted arrays and trees take part in a trace. The original is left as it is."""
    from onward.converters.sklearn.operators.forests import TracedTree

    if id(item) in done:
        return done[id(item)][0]
    made = item
    if isinstance(item, np.ndarray):
        if item.dtype == object and any(hasattr(part, "get_params") for part in item.flat):
            made = item.copy()
            for place in np.ndindex(*item.shape):
                made[place] = prepared(item[place], done, replacements)
        else:
            made = item.view(Table) if type(item) is np.ndarray else item
    elif isinstance(item, (list, tuple)):
        parts = [prepared(part, done, replacements) for part in item]
        made = type(item)(*parts) if hasattr(item, "_fields") else type(item)(parts)
    elif isinstance(item, functools.partial):
        made = functools.partial(replacements.get(item.func, item.func), *item.args, **item.keywords)
    elif type(item) is dict:
        made = {key: prepared(part, done, replacements) for key, part in item.items()}
    elif hasattr(item, "children_left") and hasattr(item, "apply"):
        made = TracedTree(item)
    elif (hasattr(item, "get_params") or type(item).__name__ == "_CalibratedClassifier") and hasattr(item, "__dict__") and not inspect.isclass(item):
        made = copy.copy(item)
        done[id(item)] = (made, item)
        of_class = {name: part for kind in reversed(type(item).__mro__) for name, part in vars(kind).items() if isinstance(part, np.ndarray)}
        for name, part in (of_class | vars(item)).items():
            vars(made)[name] = prepared(part, done, replacements)
        if getattr(item, "_sparse", False):  # fitted on sparse rows, support vectors would ask for such again
            made._sparse = False
    done[id(item)] = (made, item)
    return made


@contextmanager
def tracing(estimator: Any) -> Iterator[Any]:
    """Within the block, methods of the estimator that it gives, a copy, may be called with traced arrays."""
    kinds = {kind for part in parts_of(estimator) for kind in type(part).__mro__}
    packages = {"sklearn", "scipy", *(kind.__module__.partition(".")[0] for kind in kinds)} - {"builtins"}
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(import_module("sklearn").config_context(assume_finite=True, transform_output="default", skip_parameter_validation=True))
        replacements = _replacements()
        stack.enter_context(replaced(replacements, tuple(packages)))
        classes = _classes(packages)
        for (name, kind), translation in METHODS.items():
            for owner in classes.get(kind, ()):
                if hasattr(owner, name):
                    _replace(stack, owner, name, _bound(translation, owner, name, (name, kind) in TABLES))
        yield prepared(estimator, {}, replacements)


def _replace(stack: ExitStack, owner: type, name: str, made: Any) -> None:
    """Sets a class's method until the stack unwinds; one that was inherited is inherited again then."""
    if name in vars(owner):
        stack.callback(setattr, owner, name, vars(owner)[name])
    else:
        stack.callback(delattr, owner, name)
    setattr(owner, name, made)


def _bound(translation: Any, owner: type, name: str, tables: bool) -> Any:
    """A method that translates traced input, matrices of whole numbers in double precision, and leaves other input to the original."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def translated(self: Any, x: Any, *arguments: Any, **options: Any) -> Any:
        if not _is_traced(x):
            return original(self, x, *arguments, **options)
        rows = x.matrix() if isinstance(x, Frame) and not tables else x
        if isinstance(rows, Array) and rows.ndim == 2 and rows.dtype.kind in "iub":
            rows = rows.astype(np.float64)
        result = translation(self, rows, *arguments, **options)
        return _contained(name, result, x, self) if name == "transform" else result

    return translated


def _is_traced(x: Any) -> bool:
    return isinstance(x, (Array, Frame)) or isinstance(x, (list, tuple)) and any(map(_is_traced, x))


def _contained(method: str, result: Any, _given: Any, estimator: Any) -> Any:
    """What `set_output` makes of a result: a table whose columns have the names that the estimator gives them."""
    from sklearn.utils import _set_output

    kind = _set_output._get_output_config(method, estimator)["dense"]
    if kind == "default" or not _set_output._auto_wrap_is_configured(estimator):
        return result
    return Frame(dict(zip(estimator.get_feature_names_out(), series(result), strict=True)))


def _classes(packages: set[str]) -> dict[str, list[type]]:
    """The classes of the packages' modules by name."""
    found: dict[str, list[type]] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in packages and module is not None:
            for item in list(vars(module).values()):
                if inspect.isclass(item) and item.__module__ == name:
                    found.setdefault(item.__name__, []).append(item)
    return found
