"""Categories as small numbers, and the statistics that CatBoost makes of them as tables over those numbers.

The model knows categories by hashes alone. So the texts must be known: those of the example, and what whole numbers and missing
values look like as text. A hash of the model that no known text has is a reason to refuse, so that nothing is ever taken for
unknown that the library knows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.catboost.city_hash import category_hash
from onward.converters.catboost.document import Document, Statistic
from onward.errors import InvalidArgument, UnsupportedOperator
from onward.ir import Value

MULTIPLIER = np.uint64(0x4906BA494954CB65)
LARGEST_TABLE = 1 << 22
"""Combinations of categories that a table may hold."""
USUAL = ("nan", "None", "", "True", "False", *map(str, range(-1, 1000)))
"""Texts that are tried without having been seen: missing values, truth values, small whole numbers."""


class Categories:
    """For each categorical feature the known texts with their codes 1, 2, ...; 0 is any other text."""

    def __init__(self, document: Document, examples: Sequence[Sequence[str]]) -> None:
        self.document = document
        self.codes: list[dict[str, int]] = []
        self.hashes: list[np.ndarray] = []
        """By feature and code, the hash; that of code 0 is never looked up."""
        for place in range(len(document.categories)):
            own = examples[place] if place < len(examples) else ()
            code_of: dict[int, int] = {}
            texts = dict.fromkeys([*own, *USUAL])
            self.codes.append({text: code_of.setdefault(category_hash(text), len(code_of) + 1) for text in texts})
            self.hashes.append(np.array([0, *code_of], np.int64))
        self._check()

    def _check(self) -> None:
        """Raises InvalidArgument where the model knows categories that no known text has."""
        unknown = [self._name(place) for place in range(len(self.codes)) if self._values(place) - set(self.hashes[place][1:].tolist())]
        for statistic in self.document.statistics:
            keys, known = self._keys(statistic)
            if not np.isin(statistic.keys, keys[known]).all():
                unknown += [self._name(place) for place in statistic.categories]
        if unknown:
            raise InvalidArgument(
                f"the model knows categories of {', '.join(dict.fromkeys(unknown))} only by their hashes: pass example inputs that have all of "
                "the categories of the training data"
            )

    def _name(self, place: int) -> str:
        feature = self.document.categories[place]
        return f"'{feature.get('feature_id') or feature['flat_feature_index']}'"

    def _values(self, place: int) -> set[int]:
        exact = {value for statistic in self.document.statistics for other, value in statistic.exact if other == place}
        return exact | set(self.document.categories[place].get("values") or [])

    def code(self, place: int, value: int) -> int:
        """The code of a feature's category with that hash."""
        return int(np.flatnonzero(self.hashes[place][1:] == value)[0]) + 1

    # -- tables -----------------------------------------------------------------------------------------------------------
    def _keys(self, statistic: Statistic) -> tuple[np.ndarray, np.ndarray]:
        """For every combination of codes and answers the key that CatBoost makes of it, and whether all its categories are known."""
        extents = [*(len(self.hashes[place]) for place in statistic.categories), *[2] * (len(statistic.floats) + len(statistic.exact))]
        if np.prod(extents, dtype=np.float64) > LARGEST_TABLE:
            names = ", ".join(self._name(place) for place in statistic.categories)
            raise UnsupportedOperator(f"a statistic of CatBoost over {names} has more than {LARGEST_TABLE} combinations")
        keys, known = np.zeros(extents, np.uint64), np.ones(extents, bool)
        for axis, extent in enumerate(extents):
            spread = [1] * len(extents)
            spread[axis] = extent
            categorical = axis < len(statistic.categories)
            numbers = self.hashes[statistic.categories[axis]] if categorical else np.arange(extent)
            with np.errstate(over="ignore"):
                keys = MULTIPLIER * (keys + MULTIPLIER * numbers.astype(np.uint64).reshape(spread))
            if categorical:
                known = known & (np.arange(extent) > 0).reshape(spread)
        return keys, known

    def table(self, statistic: Statistic) -> np.ndarray:
        """The statistic, in single precision, for every combination of codes and answers."""
        keys, known = self._keys(statistic)
        order = np.argsort(statistic.keys)
        place = np.minimum(np.searchsorted(statistic.keys[order], keys), len(order) - 1) if len(order) else np.zeros(keys.shape, np.int64)
        found = known & (statistic.keys[order][place] == keys) if len(order) else np.zeros(keys.shape, bool)
        rows = np.where(found[..., None], statistic.rows[order][place], 0) if len(order) else np.zeros((*keys.shape, statistic.rows.shape[1]))
        good, total = _counts(statistic, rows)
        numerator, denominator = (np.float32(number) for number in statistic.prior)
        ratio = (good.astype(np.float32) + numerator) / (total.astype(np.float32) + denominator)
        return (ratio + np.float32(statistic.shift)) * np.float32(statistic.scale)

    # -- the graph ----------------------------------------------------------------------------------------------------------
    def columns(self, b: ModelBuilder, x: Value, text: Value) -> list[Value]:
        """(rows, 1) of float64 each: the codes of all features, and all statistics."""
        codes = [self._encoded(b, text, place) for place in range(len(self.codes))]
        statistics = [self._looked_up(b, x, codes, statistic) for statistic in self.document.statistics]
        return [*(b.op("Cast", code, to=11) for code in codes), *statistics]

    def _encoded(self, b: ModelBuilder, text: Value, place: int) -> Value:
        column = b.op("Gather", text, b.constant(np.array([place])), axis=1)
        texts, codes = list(self.codes[place]), list(self.codes[place].values())
        return b.op("LabelEncoder", column, domain="ai.onnx.ml", keys_strings=texts, values_int64s=codes, default_int64=0)

    def _looked_up(self, b: ModelBuilder, x: Value, codes: Sequence[Value], statistic: Statistic) -> Value:
        table = self.table(statistic)
        parts = [codes[place] for place in statistic.categories]
        for place, border in statistic.floats:
            column = b.op("Gather", x, b.constant(np.array([place])), axis=1)
            parts.append(b.op("Cast", b.op("Greater", column, b.constant(np.array(border, np.float32))), to=7))
        for place, value in statistic.exact:
            parts.append(b.op("Cast", b.op("Equal", codes[place], b.constant(np.array(self.code(place, value)))), to=7))
        index: Value | None = None
        for part, extent in zip(parts, table.shape):
            index = part if index is None else b.op("Add", b.op("Mul", index, b.constant(np.array(extent))), part)
        return b.op("Cast", b.op("Gather", b.constant(table.reshape(-1), "statistic"), index), to=11)


def _counts(statistic: Statistic, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is divided by what, before the priors."""
    if statistic.kind in ("Counter", "FeatureFreq"):
        return rows[..., 0], np.full(rows.shape[:-1], statistic.denominator)
    if statistic.kind in ("BinarizedTargetMeanValue", "FloatTargetMeanValue"):
        return rows[..., 0], rows[..., 1]
    if statistic.kind == "Buckets":
        return rows[..., statistic.class_index], rows.sum(-1)
    if statistic.kind == "Borders":
        return rows[..., statistic.class_index + 1 :].sum(-1), rows.sum(-1)
    raise UnsupportedOperator(f"CatBoost statistics of kind '{statistic.kind}'")
