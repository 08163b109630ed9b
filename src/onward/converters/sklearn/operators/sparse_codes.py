"""Sparse codes: rows as sums of few atoms of a dictionary."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array, as_array, repeat
from onward.errors import UnsupportedOperator


@method("_transform", "_BaseSparseCoding")
def sparse_codes(estimator: Any, x: Array, dictionary: Any) -> Any:
    """(rows, atoms): few atoms of a dictionary that add up to each row."""
    atoms = np.asarray(dictionary, x.dtype)
    alpha = estimator.transform_alpha
    alpha = getattr(estimator, "alpha", None) if alpha is None else alpha
    alpha = 1.0 if alpha is None else float(alpha)
    algorithm = estimator.transform_algorithm
    if algorithm == "threshold":
        products = x @ atoms.T
        codes = np.sign(products) * np.maximum(np.abs(products) - alpha, 0)
        codes = np.maximum(codes, 0) if estimator.positive_code else codes
    elif algorithm == "omp":
        codes = pursued(x, atoms, _count(estimator, atoms))
    elif algorithm == "lasso_lars":
        codes = least_angles(x, atoms, alpha, estimator.transform_max_iter, drops=True, positive=estimator.positive_code)
    elif algorithm == "lars":
        codes = least_angles(x, atoms, 0.0, _count(estimator, atoms), drops=False)
    elif alpha > 0:
        codes = shrunk(x, atoms, alpha, estimator.transform_max_iter, estimator.positive_code)
    else:
        raise UnsupportedOperator("transform_algorithm='lasso_cd' without a penalty: transform_alpha=0")
    return np.concatenate([np.maximum(codes, 0), -np.minimum(codes, 0)], axis=1) if estimator.split_sign else codes


def _count(estimator: Any, atoms: np.ndarray) -> int:
    """How many atoms a row may take."""
    count = estimator.transform_n_nonzero_coefs
    return int(min(max(atoms.shape[1] / 10, 1), len(atoms)) if count is None else count)


def pursued(x: Array, atoms: np.ndarray, count: int) -> Any:
    """Orthogonal matching pursuit: the atom that has most to do with what is left of a row is taken, and all weights fitted again.

    Of equal atoms the first in `order` is taken, where scikit-learn swaps each that it takes with the first of the others.
    Source: Rubinstein, Zibulevsky and Elad, Batch orthogonal matching pursuit, 2008.
    """
    gram, products = atoms @ atoms.T, x @ atoms.T
    least = np.finfo(gram.dtype).eps
    names = np.arange(len(atoms))

    def turn(codes: Any, spread: Any, order: Any, taken: Any, going: Any) -> Any:
        left = products - codes @ gram
        place = np.expand_dims(np.argmax(np.abs(np.take_along_axis(left, order, axis=1)), axis=1), 1)
        best = np.take_along_axis(order, place, axis=1)
        one = (best == names).astype(x.dtype)
        direction, size = _conjugate(x, gram, spread, one, best[:, 0])
        going = going & (place >= taken) & (np.sum(one * left, axis=1, keepdims=True) ** 2 >= least) & (size > least)
        size = np.where(going, size, 1.0)
        codes = np.where(going, codes + direction * (np.sum(direction * products, axis=1, keepdims=True) / size), codes)
        swapped = np.where(names == place, np.take_along_axis(order, taken, axis=1), np.where(names == taken, best, order))
        return [
            codes,
            np.where(np.expand_dims(going, 2), spread + _outer(direction, size), spread),
            swapped,
            np.minimum(taken + 1, len(atoms) - 1),
            going,
        ], np.any(going)

    nothing = products * 0
    order = nothing.astype(np.int64) + names
    start = [nothing, np.expand_dims(nothing, 2) * np.zeros((1, len(atoms)), x.dtype), order, order[:, :1] * 0, x[:, :1] * 0 == 0]
    return repeat(count, start, turn)[0]


def _conjugate(x: Array, gram: np.ndarray, spread: Any, one: Any, best: Any) -> tuple[Any, Any]:
    """The direction from an atom that is orthogonal to the atoms taken, in the inner product of the Gram matrix, and its square.

    `spread`, the sum of the outer products of such directions by their squares, is the inverse of the Gram matrix of the atoms taken.
    """
    column = as_array(x.trace, gram)[best]
    direction = one - np.squeeze(spread @ np.expand_dims(column, 2), 2)
    return direction, np.sum(direction * column, axis=1, keepdims=True)


def _outer(direction: Any, size: Any) -> Any:
    return np.expand_dims(direction, 2) * np.expand_dims(direction / size, 1)


DEGENERATE = 1e-14
"""An atom of which less is new beside the atoms taken is left out."""


def least_angles(x: Array, atoms: np.ndarray, penalty: float, limit: int, drops: bool, positive: bool = False) -> Any:
    """Least angle regression of each row on the atoms, down to a penalty; the Lasso where weights that come to zero are dropped.

    Source: Efron, Hastie, Johnstone and Tibshirani, Least angle regression, 2004.
    """
    gram, products = atoms @ atoms.T, x @ atoms.T
    names = np.arange(len(atoms))

    def first_above(found: Any, which: Any) -> Any:
        return np.min(np.where(which & (found > 0), found, np.inf), axis=1, keepdims=True)

    def turn(codes: Any, spread: Any, signs: Any, able: Any, dropped: Any, going: Any, before: Any, most_before: Any) -> Any:
        slopes = products - codes @ gram
        waiting = able & (signs == 0)
        sizes = np.where(waiting, slopes if positive else np.abs(slopes), -np.inf)
        best = np.argmax(sizes, axis=1)
        most = np.max(sizes, axis=1, keepdims=True)
        most = np.where(most == -np.inf, 0.0, most)
        over = going & (most <= penalty)
        share = (most_before - penalty) / _beside_zero(most_before - most)
        codes = np.where(over & (most < penalty) & (most_before < np.inf), before + share * (codes - before), codes)
        going = going & ~over
        one = (np.expand_dims(best, 1) == names).astype(x.dtype)
        direction, size = _conjugate(x, gram, spread, one, best)
        wanted = going & ~dropped
        joins = wanted & (size > DEGENERATE)
        able = able & ~(wanted & ~joins & (one > 0))
        spread = np.where(np.expand_dims(joins, 2), spread + _outer(direction, np.where(joins, size, 1.0)), spread)
        signs = np.where(joins, signs + one * (1.0 if positive else np.sign(slopes)), signs)
        moves = going & (joins | dropped)

        waiting, taken = able & (signs == 0), signs != 0
        course = np.where(taken, np.squeeze(spread @ np.expand_dims(signs, 2), 2), 0.0)
        turned = course @ gram
        step = np.minimum(first_above((most - slopes) / _beside_zero(1 - turned), waiting), most)
        step = step if positive else np.minimum(step, first_above((most + slopes) / _beside_zero(1 + turned), waiting))
        zero = -codes / _beside_zero(course)
        shortest = first_above(zero, taken)
        dropped = moves & (shortest < step)
        gone = dropped & taken & (zero == shortest)
        before, most_before = np.where(moves, codes, before), np.where(moves, most, most_before)
        if not drops:  # the sign turns, and no atom is taken next
            made = np.where(moves, codes + step * course, codes)
            return [made, spread, np.where(gone, -signs, signs), able, dropped, going, before, most_before], np.any(going)
        codes = np.where(gone, 0.0, np.where(moves, codes + np.minimum(step, shortest) * course, codes))
        out = gone.astype(x.dtype)
        column = np.squeeze(spread @ np.expand_dims(out, 2), 2)
        pivot = np.where(dropped, np.sum(column * out, axis=1, keepdims=True), 1.0)
        spread = np.where(np.expand_dims(dropped, 2), spread - _outer(column, pivot), spread)
        return [codes, spread, np.where(gone, 0.0, signs), able, dropped, going, before, most_before], np.any(going)

    nothing = products * 0
    none = x[:, :1] * 0 != 0
    start = [nothing, np.expand_dims(nothing, 2) * np.zeros((1, len(atoms)), x.dtype), nothing, nothing == 0, none, ~none, nothing, x[:, :1] * 0 + np.inf]
    return repeat(limit, start, turn)[0]


def _beside_zero(x: Any) -> Any:
    return np.where(x == 0, np.finfo(np.float32).tiny, x)


def shrunk(x: Array, atoms: np.ndarray, alpha: float, limit: int, positive: bool) -> Any:
    """The Lasso by coordinate descent, each row until its duality gap is small; weights that the gap rules out are left out.

    Source: Fercoq, Gramfort and Salmon, Mind the duality gap: safer rules for the Lasso, 2015.
    """
    gram, products = atoms @ atoms.T, x @ atoms.T
    size = np.sum(x * x, axis=1, keepdims=True)
    tolerance = 1e-8

    def gap_of(codes: Any) -> tuple[Any, Any]:
        reach = codes @ gram
        slopes = products - reach
        largest = np.max(slopes if positive else np.abs(slopes), axis=1, keepdims=True)
        rest = size + np.sum(codes * reach, axis=1, keepdims=True) - 2 * np.sum(codes * products, axis=1, keepdims=True)
        along = size - np.sum(codes * products, axis=1, keepdims=True)
        share = np.where(largest > alpha, alpha / np.where(largest > alpha, largest, 1.0), 1.0)
        penalty = alpha * np.sum(np.abs(codes), axis=1, keepdims=True)
        gap = np.where(largest > alpha, 0.5 * rest * (1 + share * share), rest) + penalty - share * along
        bound = np.abs(slopes / np.maximum(alpha, largest))
        return gap, (1 - bound) / np.sqrt(np.diag(gram)) <= np.sqrt(2 * np.abs(gap)) / alpha

    def swept(codes: Any, able: Any) -> Any:
        columns = [codes[:, place] for place in range(len(atoms))]
        for place in range(len(atoms)):
            if gram[place, place] == 0:
                continue
            other = sum(gram[place, number] * item for number, item in enumerate(columns) if number != place)
            slope = products[:, place] - other
            made = np.sign(slope) * np.maximum(np.abs(slope) - alpha, 0) / gram[place, place]
            made = np.where(slope < 0, 0.0, made) if positive else made
            columns[place] = np.where(able[:, place], made, columns[place])
        return np.stack(columns, axis=1)

    def turn(codes: Any, able: Any, going: Any) -> Any:
        made = swept(codes, able)
        greatest = np.max(np.abs(made), axis=1, keepdims=True)
        change = np.max(np.abs(made - codes), axis=1, keepdims=True)
        looks = (greatest == 0) | (change <= tolerance * greatest)
        gap, allowed = gap_of(made)
        still = going & ~(looks & (gap <= tolerance * size))
        kept = np.where(looks & still, able & allowed, able)
        return [np.where(still & ~kept, 0.0, np.where(going, made, codes)), kept, still], np.any(still)

    start = products * 0
    gap, able = gap_of(start)
    return repeat(limit, [start, able, (gap < 0) | (gap > tolerance * size)], turn)[0]
