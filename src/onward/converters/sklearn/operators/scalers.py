"""Scalers, imputers and expansions whose own code works through masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array, Frame, as_array, series
from onward.converters.tracing.array import TEXT
from onward.converters.tracing.categories import is_missing
from onward.converters.tracing.ufuncs import boxcox, isnan, log1p
from onward.errors import UnsupportedOperator


@method("transform", "SimpleImputer", tables=True)
def simple_imputer(estimator: Any, x: Any) -> Any:
    if x.dtype == TEXT:
        return _text_imputed(estimator, series(x))
    x = x.matrix() if isinstance(x, Frame) else x
    statistics = np.asarray(estimator.statistics_, np.float64)
    gaps = _gaps(x, estimator.missing_values)
    kept = np.arange(len(statistics))
    if not estimator.keep_empty_features and estimator.strategy != "constant":
        kept = np.flatnonzero(~np.isnan(statistics))
    filled = np.where(gaps, statistics.astype(x.dtype), x)[:, kept]
    if estimator.indicator_ is None:
        return filled
    return np.concatenate([filled, gaps[:, np.asarray(estimator.indicator_.features_)].astype(x.dtype)], axis=1)


def _text_imputed(estimator: Any, columns: list[Array]) -> Frame:
    """Columns of text, or of text and numbers, each filled with its own statistic."""
    made: list[Array] = []
    for values, statistic in zip(columns, estimator.statistics_):
        if not is_missing(statistic):
            filling = np.array(statistic, values.dtype)
            made.append(np.where(_gaps(values, estimator.missing_values), filling, values))
    if estimator.indicator_ is not None:
        made += [_gaps(columns[place], estimator.missing_values).astype(np.float64) for place in estimator.indicator_.features_]
    return Frame(dict(enumerate(made)))


def _gaps(x: Array, mark: Any) -> Array:
    """Where values are missing: NaN and None, of which text has one mark for both, or what stands for it."""
    if is_missing(mark):
        return isnan(x)
    if isinstance(mark, str) != (x.dtype == TEXT):
        return x != x
    return x == mark


@method("transform", "IterativeImputer")
def chained(estimator: Any, x: Array) -> Any:
    """Columns filled in turn by regressions on the others, as often as in training (van Buuren and Groothuis-Oudshoorn, 2011)."""
    if estimator.sample_posterior:
        raise UnsupportedOperator("IterativeImputer with sample_posterior=True draws random numbers")
    gaps = _gaps(x, estimator.missing_values)
    empty = np.asarray(estimator._is_empty_feature)
    kept = np.flatnonzero(~empty | estimator.keep_empty_features)
    start = estimator.initial_imputer_.transform(x)
    missing = [gaps[:, place] & (not empty[place]) for place in kept]
    columns = [start[:, place] for place in range(len(kept))]
    for step in estimator.imputation_sequence_:
        place = int(step.feat_idx)
        others = np.stack([columns[other] for other in step.neighbor_feat_idx], axis=1)
        found = np.clip(step.estimator.predict(others), estimator._min_value[place], estimator._max_value[place])
        columns[place] = np.where(missing[place], found.astype(x.dtype, copy=False), columns[place])
    result = np.where(np.all(np.stack(missing, axis=1)), start, np.stack(columns, axis=1))  # rows without any number stay as they began
    if estimator.indicator_ is None:
        return result
    return np.concatenate([result, gaps[:, np.asarray(estimator.indicator_.features_)].astype(x.dtype)], axis=1)


@method("transform", "MissingIndicator", tables=True)
def missing_indicator(estimator: Any, x: Any) -> Any:
    gaps = np.stack([_gaps(values, estimator.missing_values) for values in series(x)], axis=1)
    return gaps[:, np.asarray(estimator.features_)] if estimator.features == "missing-only" else gaps


@method("transform", "PolynomialFeatures")
def polynomial(estimator: Any, x: Array) -> Any:
    """The products that `powers_` names, each from its column and one shorter product."""
    made: dict[tuple[int, ...], Any] = {(): np.ones_like(x[:, 0])}

    def product(columns: tuple[int, ...]) -> Any:
        if columns not in made:
            last = x[:, columns[-1]]
            made[columns] = last if len(columns) == 1 else product(columns[:-1]) * last
        return made[columns]

    terms = [tuple(np.repeat(np.arange(len(powers)), powers).tolist()) for powers in estimator.powers_]
    return np.stack([product(term) for term in terms], axis=1)


@method("transform", "PowerTransformer")
def power(estimator: Any, x: Array) -> Any:
    """Yeo-Johnson (2000) or Box-Cox (1964), then the scaler."""
    exponents = np.asarray(estimator.lambdas_)
    if estimator.method == "box-cox":
        x = boxcox(x, as_array(x.trace, exponents))
    else:
        above, below = log1p(np.maximum(x, 0.0)), log1p(np.maximum(-x, 0.0))
        rest = 2 - exponents
        safe, safe_rest = np.where(exponents == 0, 1.0, exponents), np.where(rest == 0, 1.0, rest)
        high = np.where(exponents == 0, above, np.expm1(above * safe) / safe)
        low = np.where(rest == 0, -below, -np.expm1(below * safe_rest) / safe_rest)
        x = np.where(x >= 0, high, np.where(isnan(x), x, low))
    return estimator._scaler.transform(x) if estimator.standardize else x


@method("inverse_transform", "PowerTransformer")
def unpowered(estimator: Any, x: Array) -> Any:
    """Back to the numbers that the transformation was of."""
    exponents = np.asarray(estimator.lambdas_)
    x = estimator._scaler.inverse_transform(x) if estimator.standardize else x
    safe = np.where(exponents == 0, 1.0, exponents)
    if estimator.method == "box-cox":
        return np.where(exponents == 0, np.exp(x), np.exp(log1p(x * exponents) / safe))
    rest = 2 - exponents
    safe_rest = np.where(rest == 0, 1.0, rest)
    high = np.where(exponents == 0, np.exp(x), np.power(x * exponents + 1, 1 / safe)) - 1
    low = 1 - np.where(rest == 0, np.exp(-x), np.power(1 - rest * x, 1 / safe_rest))
    return np.where(x >= 0, high, low)


@method("transform", "QuantileTransformer")
def quantile(estimator: Any, x: Array) -> Any:
    """The mean of the interpolations from both sides, at the quantiles seen in training."""
    from scipy import stats

    references, columns = np.asarray(estimator.references_), []
    for column in range(x.shape[1]):
        seen, values = np.asarray(estimator.quantiles_[:, column]), x[:, column]
        forward = np.interp(values, seen, references)
        backward = np.interp(-values, -seen[::-1], -references[::-1])
        found = 0.5 * (forward - backward)
        low, high = seen[0], seen[-1]
        if estimator.output_distribution == "normal":
            at_low, at_high = values - 1e-7 < low, values + 1e-7 > high
        else:
            at_low, at_high = values == low, values == high
        found = np.where(at_high, 1.0, np.where(at_low, 0.0, found))
        columns.append(np.where(isnan(values), values, found))
    made = np.stack(columns, axis=1)
    if estimator.output_distribution == "uniform":
        return made
    edge = float(stats.norm.ppf(1e-7 - np.spacing(1)))
    edge = max(min(-edge, float(stats.norm.ppf(1 - (1e-7 - np.spacing(1))))), 0)
    return np.where(isnan(made), made, np.clip(_normal_quantile(made), -edge, edge))


@method("inverse_transform", "QuantileTransformer")
def unranked(estimator: Any, x: Array) -> Any:
    """The interpolation between the quantiles seen in training."""
    from scipy.special import ndtr

    normal = estimator.output_distribution == "normal"
    shares, margin = (ndtr(x), 1e-7) if normal else (x, 0.0)
    seen, references = np.asarray(estimator.quantiles_), np.asarray(estimator.references_)
    columns = []
    for column in range(x.shape[1]):
        share = shares[:, column]
        found = np.interp(share, references, seen[:, column])
        found = np.where(share - margin < 0, seen[0, column], np.where(share + margin > 1, seen[-1, column], found))
        columns.append(np.where(isnan(share), share, found))
    return np.stack(columns, axis=1)


def _normal_quantile(p: Any) -> Any:
    """The inverse of the normal distribution (Wichura 1988, algorithm AS 241, PPND16)."""
    q = p - 0.5
    inner = 0.180625 - q * q
    centre = q * _ratio(inner, (
        2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457, 13731.693765509461125,
        1971.5909503065514427, 133.14166789178437745, 3.387132872796366608,
    ), (
        5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867, 5394.1960214247511077,
        687.1870074920579083, 42.313330701600911252, 1.0,
    ))  # fmt: skip
    tail = np.minimum(p, 1 - p)
    r = np.sqrt(-np.log(np.where(tail > 0, tail, 1.0)))
    near = _ratio(r - 1.6, (
        7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258, 3.64784832476320460504,
        5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734,
    ), (
        1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459, 0.68976733498510000455,
        1.6763848301838038494, 2.05319162663775882187, 1.0,
    ))  # fmt: skip
    far = _ratio(r - 5.0, (
        2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
        0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772,
    ), (
        2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
        0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0,
    ))  # fmt: skip
    outer = np.where(r <= 5, near, far)
    outer = np.where(tail > 0, outer, np.inf)
    return np.where(np.abs(q) <= 0.425, centre, np.where(q < 0, -outer, outer))


def _ratio(x: Any, above: tuple[float, ...], below: tuple[float, ...]) -> Any:
    top, bottom = x * 0 + above[0], x * 0 + below[0]
    for high, low in zip(above[1:], below[1:]):
        top, bottom = top * x + high, bottom * x + low
    return top / bottom


@method("transform", "SplineTransformer")
def spline(estimator: Any, x: Array) -> Any:
    """B-splines by the recursion of de Boor over the knots; outside of them, as the estimator extrapolates."""
    made = []
    for column in range(x.shape[1]):
        basis = _basis(estimator, estimator.bsplines_[column], x[:, column])
        made += basis if estimator.include_bias else basis[:-1]
    return np.stack(made, axis=1)


def _basis(estimator: Any, curve: Any, x: Array) -> list[Any]:
    knots, degree = np.asarray(curve.t), curve.k
    low, high = knots[degree], knots[-degree - 1]
    if estimator.extrapolation == "periodic":
        inside = low + (x - low) - np.floor((x - low) / (high - low)) * (high - low)
    elif estimator.extrapolation in ("constant", "linear"):
        inside = np.clip(x, low, high)
    else:
        raise UnsupportedOperator(f"SplineTransformer with extrapolation='{estimator.extrapolation}'")
    values = _recursion(inside, knots, degree)
    coefficients = np.asarray(curve.c)
    whole = np.stack(values, axis=1) @ coefficients
    if estimator.extrapolation == "linear":
        slope = curve.derivative()
        for edge, beyond in ((low, np.minimum(x - low, 0.0)), (high, np.maximum(x - high, 0.0))):
            whole = whole + np.expand_dims(beyond, 1) * np.asarray(slope(edge))
    return [whole[:, place] for place in range(coefficients.shape[1])]


def _recursion(x: Any, knots: np.ndarray, degree: int) -> list[Any]:
    """The values of all basis functions; the last interval is closed."""
    values: list[Any] = []
    for place in range(len(knots) - 1):
        inside = (x >= knots[place]) & ((x <= knots[place + 1]) if place == len(knots) - 2 else (x < knots[place + 1]))
        values.append(np.where(inside, 1.0, 0.0))
    for order in range(1, degree + 1):
        following = []
        for place in range(len(knots) - order - 1):
            total: Any = 0.0
            rise, fall = knots[place + order] - knots[place], knots[place + order + 1] - knots[place + 1]
            if rise > 0:
                total = total + values[place] * (x - knots[place]) / rise
            if fall > 0:
                total = total + values[place + 1] * (knots[place + order + 1] - x) / fall
            following.append(total)
        values = following
    return values


@method("transform", "IsotonicRegression")
@method("predict", "IsotonicRegression")
def isotonic(estimator: Any, x: Array) -> Any:
    xs, ys = np.asarray(estimator.X_thresholds_), np.asarray(estimator.y_thresholds_)
    column = x.reshape(-1)
    if len(xs) == 1:
        return column * 0 + ys[0]
    outside = {"left": np.nan, "right": np.nan} if estimator.out_of_bounds == "nan" else {}
    return np.interp(column, xs, ys, **outside)
