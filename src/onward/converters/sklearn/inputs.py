"""What an estimator is fed with: a matrix, a list of texts, or a table with an input for each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.frames import dataframe_of, is_missing
from onward.converters.sklearn.data import generated
from onward.converters.sklearn.parts import parts_of
from onward.converters.tracing import Array, Frame, RowCount, Trace
from onward.converters.tracing.array import TEXT
from onward.converters.tracing.frame import NoInput, Unusable
from onward.errors import ConversionError, InvalidArgument
from onward.ir.datatypes import DataType

ODD_TEXTS = ("no such category", "Ünïcode 語", " ", "0")
"""Texts that are hardly categories."""

ODD_WORDS = ("Ünïcode", "語", "a", "X_1", "it's", "e\u0301a\u0323\u0301", "ﬁ½²", "٣")
ODD_SEPARATORS = [" ", "  ", "-", ", ", "\n", "\u00a0\t", " ☃", "»", "😀", "\u200b"]
"""Words and what may stand between them."""

WIDEST = 2**22
"""So many numbers are compared at a time: columns of hashes are many."""

FEW = 20
"""So many whole numbers in a column may be categories."""


@dataclass
class Column:
    """A column: its name, the data type of its input (object stands for text), what the rows have for a missing value, texts or
    categories that are known, the data type in the DataFrame, whether empty text stands for a missing value, whether there are no other categories,
    whether all numbers are whole, whether values are missing, and the name of its input."""

    name: str
    dtype: np.dtype
    missing: Any = None
    known: list[Any] = field(default_factory=list)
    pandas: Any = None
    has_missing: bool = False
    closed: bool = False
    whole: bool = False
    gaps: bool = False
    input: str = ""

    def fed(self, values: Any) -> np.ndarray:
        """(rows, 1): values as the graph takes them."""
        if self.dtype != TEXT:
            if self.pandas is not None and self.dtype.kind == "f":
                return np.array([np.nan if is_missing(item) else item for item in values], self.dtype).reshape(-1, 1)
            return np.asarray(values, self.dtype).reshape(-1, 1)
        made = np.empty((len(values), 1), object)
        made[:, 0] = ["" if is_missing(item) else str(item) for item in values]
        return made

    def original(self, fed: np.ndarray) -> np.ndarray:
        """(rows,): values as the estimator takes them."""
        vector = fed.reshape(-1)
        if vector.dtype.kind == "f" and getattr(self.pandas, "kind", "") in ("i", "u"):
            return np.round(vector)  # a nullable type takes no others, and numbers are changed a little to try what is equally near
        if self.dtype != TEXT or not self.has_missing:
            return vector
        return np.array([self.missing if item == "" else item for item in vector], object)


class Inputs(Protocol):
    """The inputs of a model."""

    notes: tuple[str, ...]

    def traced(self, b: ModelBuilder, names: Sequence[str]) -> Any:
        """Makes the inputs. Raises InvalidArgument where there are more or fewer names."""

    def data(self, source: Any) -> dict[str, Any]:
        """What is tried, by what it is: arrays, or arrays by input."""

    def rows(self, given: Any) -> Any:
        """The same as the estimator takes it."""


@dataclass
class Matrix:
    """Numbers (rows, columns) in one input."""

    columns: int
    dtype: np.dtype
    example: np.ndarray | None
    notes: tuple[str, ...] = ()

    def traced(self, b: ModelBuilder, names: Sequence[str]) -> Array:
        return _input(b, _named(names, ["x"])[0], self.dtype, self.columns)

    def data(self, source: Any) -> dict[str, Any]:
        return generated(source, self.columns, self.dtype, self.example)

    def rows(self, given: Any) -> Any:
        return given


OF_LABELS = ("LabelEncoder", "LabelBinarizer")
"""Estimators of labels. With labels that it does not know, LabelBinarizer of two classes gives one column or two by what else is there."""


@dataclass
class Labels:
    """Numbers, text or labels (rows,) in one input."""

    values: np.ndarray
    notes: tuple[str, ...] = ()

    def traced(self, b: ModelBuilder, names: Sequence[str]) -> Array:
        return _input(b, _named(names, ["x"])[0], self.values.dtype)

    def data(self, source: Any) -> dict[str, Any]:
        random = np.random.default_rng(0)
        most = min(100, max(2, WIDEST // max((getattr(part, "n_features", None) or 1 for part in parts_of(source)), default=1)))
        sets = {"the example": self.values[:most], "values of it": random.choice(self.values, most), "one value": self.values[:1]}
        if self.values.dtype != TEXT or type(source).__name__ in OF_LABELS:  # a label is no text of words
            return sets
        words = np.array([*" ".join(self.values).split()[:1000], *ODD_TEXTS[:1], *ODD_WORDS], object)
        mixed = np.array([random.choice(ODD_SEPARATORS).join(random.choice(words, size)) for size in range(min(30, most))], object)
        return {**sets, "words of it": mixed, "words in upper case": np.array([text.upper() for text in mixed], object), "empty": np.array(["", " "], object)}

    def rows(self, given: Any) -> Any:
        return given


@dataclass
class Table:
    """An input (rows, 1) for each column of a DataFrame, or of a matrix of objects."""

    columns: list[Column]
    example: Any
    notes: tuple[str, ...] = ()
    unusable: dict[str, str] = field(default_factory=dict)
    """Columns that are no inputs, which only matters where the estimator looks at them, and why."""

    def traced(self, b: ModelBuilder, names: Sequence[str]) -> Frame:
        found: dict[Any, Any] = {}
        for column, name in zip(self.columns, _named(names, [str(column.name) for column in self.columns])):
            column.input = name
            wide = _input(b, name, column.dtype, 1)
            wide.trace.empty_is_missing = any(other.has_missing for other in self.columns if other.dtype == TEXT)
            found[column.name] = wide[:, 0]
        first = next(iter(found.values())).trace
        for array in found.values():
            array.trace = first
        if not self.unusable:
            return Frame(found)
        return Frame({name: Unusable(self.unusable[name]) if name in self.unusable else found[name] for name in self.example.columns})

    def data(self, source: Any) -> dict[str, Any]:
        random = np.random.default_rng(0)
        given = self._fed(self.example)
        sets = {"the example": given, "a row of it": {name: values[:1] for name, values in given.items()}}
        sets["its columns shuffled"] = {name: random.permutation(values) for name, values in given.items()}
        places = dict(zip((column.name for column in self.columns), self._places()))
        shown = np.zeros(self.example.shape)
        numbers = [column for column in self.columns if column.dtype != TEXT]
        for column in numbers:
            shown[:, places[column.name]] = given[column.input][:, 0]
        tried = generated(source, shown.shape[1], np.dtype(np.float64), shown) if numbers else {"texts": np.zeros((200, 0))}
        for odd in (False, True):
            for what, rows in tried.items():
                if what in ("the example", "its columns shuffled", "a row of it"):
                    continue
                feeds = {}
                for column in self.columns:
                    if column.dtype == TEXT:
                        feeds[column.input] = _texts(column, len(rows), odd, random)
                    else:
                        feeds[column.input] = _numbers(column, rows[:, places[column.name]], odd, random)
                sets[what + (", categories that are hardly known" if odd else "")] = feeds
        return sets

    def _fed(self, rows: Any) -> dict[str, np.ndarray]:
        return {column.input: column.fed(_values(rows, place)) for place, column in zip(self._places(), self.columns)}

    def _places(self) -> list[int]:
        """Where the columns stand in the example."""
        return [place for place in range(self.example.shape[1]) if not self.unusable or self.example.columns[place] not in self.unusable]

    def rows(self, given: Mapping[str, np.ndarray]) -> Any:
        """The DataFrame or matrix of objects of some feeds."""
        vectors = [column.original(given[column.input]) for column in self.columns]
        if isinstance(self.example, np.ndarray):
            made = np.empty((len(vectors[0]), len(vectors)), object)
            for place, vector in enumerate(vectors):
                made[:, place] = vector
            return made
        import pandas

        made = pandas.DataFrame({column.name: pandas.Series(vector).astype(column.pandas) if vector.dtype != column.pandas else vector
                                 for column, vector in zip(self.columns, vectors)})  # fmt: skip
        for place, name in enumerate(self.example.columns if self.unusable else ()):
            if name in self.unusable:
                made.insert(place, name, self.example[name].iloc[np.arange(len(made)) % len(self.example)].to_numpy())
        return made


class Records(Table):
    """An input (rows, 1) for each key of dictionaries. A key that a row lacks has zero there, or empty text."""

    def rows(self, given: Mapping[str, np.ndarray]) -> Any:
        """Dictionaries without the keys that have empty text."""
        vectors = {column.name: column.original(given[column.input]).tolist() for column in self.columns}
        return [{name: item for name, item in zip(vectors, row) if not isinstance(item, str) or item} for row in zip(*vectors.values())]


class Pairs(Records):
    """Lists of pairs of a key and a value, as dictionaries; numbers of one key add up."""

    def rows(self, given: Mapping[str, np.ndarray]) -> Any:
        return [list(row.items()) for row in super().rows(given)]


@dataclass
class Images:
    """Images (count, height, width) or with channels last in one input."""

    example: np.ndarray
    notes: tuple[str, ...] = ()

    def traced(self, b: ModelBuilder, names: Sequence[str]) -> Array:
        return _input(b, _named(names, ["x"])[0], self.example.dtype, *self.example.shape[1:])

    def data(self, source: Any) -> dict[str, Any]:
        noise = np.random.default_rng(0).standard_normal((5, *self.example.shape[1:])).astype(self.example.dtype)
        return {"the example": self.example, "random numbers": noise, "one image": noise[:1]}

    def rows(self, given: Any) -> Any:
        return given


def _texts(column: Column, count: int, odd: bool, random: np.random.Generator) -> np.ndarray:
    """(count, 1): texts that are known, some of them missing where that is known, and others beside them."""
    choices = [*column.known, *([""] if column.gaps else [])] or ["text"]
    if odd and not column.closed:
        choices = [*choices, *ODD_TEXTS, "", *(item.upper() for item in column.known[:3])]
    return random.choice(np.array(choices, object), (count, 1))


def _numbers(column: Column, values: np.ndarray, odd: bool, random: np.random.Generator) -> np.ndarray:
    """(count, 1): numbers of a column's data type; where there are few, numbers that are known."""
    if column.known and (column.closed or not odd):
        return random.choice(np.array(column.known, column.dtype), (len(values), 1))
    if column.dtype.kind == "b":
        return (values > 0).reshape(-1, 1)
    values = np.where(np.isinf(values), 0.0, values) if column.whole or column.dtype.kind in "iu" else values
    whole = np.nan_to_num(values) if column.dtype.kind in "iu" else values
    whole = np.abs(whole) if column.dtype.kind == "u" else whole
    whole = np.round(whole) if column.whole else whole
    return whole.astype(column.dtype).reshape(-1, 1)


def inputs_of(source: Any, example: Any) -> Inputs:
    """How the example, or else what the estimator was fitted on, becomes inputs.

    Raises ConversionError for an example that is neither numbers nor text nor a table of them.
    """
    if example is None:
        known = getattr(source, "feature_names_in_", None)
        return Matrix(_columns(source), np.dtype(np.float64), None) if known is None else _named_columns(source, [str(name) for name in known])
    if isinstance(example, (list, tuple)) and example and all(isinstance(item, Mapping) for item in example):
        return _records(example)
    if isinstance(example, (list, tuple)) and example and all(isinstance(item, list) and all(map(_is_pair, item)) for item in example):
        return _records([_summed(item) for item in example], Pairs)
    notes: tuple[str, ...] = ()
    if hasattr(example, "toarray"):
        example, notes = example.toarray(), ("sparse rows are dense in the graph",)
    table = dataframe_of(example)
    if table is not None:
        return _table(source, table, [str(name) for name in table.columns])
    if hasattr(example, "dtypes") and hasattr(example, "to_numpy"):
        example = example.to_numpy()
    try:
        rows = np.asarray(example)
    except ValueError as problem:  # rows of different lengths
        raise InvalidArgument(f"the example of rows is no table: {problem}") from problem
    if rows.dtype.kind in "US":
        rows = rows.astype(object)
    if rows.ndim == 1 and (rows.dtype == TEXT or _takes_vectors(source)):
        if rows.dtype == TEXT and not all(isinstance(item, str) for item in rows):
            raise ConversionError("the example's values are neither all numbers nor all text")
        return Labels(rows, notes)
    if rows.ndim in (3, 4) and rows.dtype.kind == "f":
        return Images(rows, notes)
    if rows.ndim != 2:
        raise ConversionError(f"the example of rows has shape {rows.shape}, expected (rows, columns)")
    if rows.dtype == TEXT:
        return _table(source, rows, [f"x{place}" for place in range(rows.shape[1])])
    if rows.dtype.kind not in "fiub":
        raise ConversionError(f"the example of rows has data type {rows.dtype}; expected numbers, text or a table of them")
    return Matrix(rows.shape[1], rows.dtype, rows, notes)


def _named_columns(source: Any, names: list[str]) -> Table:
    """Columns of numbers, where the names are all that is known of the DataFrame."""
    import pandas

    rows = np.random.default_rng(0).standard_normal((20, len(names)))
    return replace(_table(source, pandas.DataFrame(rows, columns=names), names), notes=("without an example all columns are taken for numbers",))


def _is_pair(item: Any) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)


def _summed(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Pairs as a dictionary. Raises ConversionError for a key that has several texts."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found and isinstance(value, str):
            raise ConversionError(f"key '{key}' has several texts in one row of the example; a graph's input has one")
        found[key] = found[key] + value if key in found else value
    return found


def _takes_vectors(source: Any) -> bool:
    tags = source.__sklearn_tags__().input_tags if hasattr(source, "__sklearn_tags__") else None
    return bool(tags is not None and tags.one_d_array and not tags.two_d_array) or type(source).__name__ in OF_LABELS


def _columns(source: Any) -> int:
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(source)
    if not hasattr(source, "n_features_in_"):
        raise ConversionError(f"{type(source).__name__} does not say how many columns it takes: pass example_inputs, some rows")
    return int(source.n_features_in_)


def _values(rows: Any, place: int) -> Any:
    return rows[:, place] if isinstance(rows, np.ndarray) else rows.iloc[:, place].to_numpy(dtype=object)


def _table(source: Any, example: Any, names: list[str]) -> Table:
    if len(set(names)) < len(names):
        raise ConversionError(f"columns of the example share a name: {', '.join(names)}")
    categories = [list(found) for part in parts_of(source) for found in getattr(part, "categories_", ())]
    knows_missing = any(is_missing(item) for found in categories for item in found if any(isinstance(other, str) for other in found))
    columns, unusable = [], {}
    for place, name in enumerate(names):
        try:
            columns.append(_column(example, place, name, knows_missing))
        except NoInput as problem:
            if isinstance(example, np.ndarray):
                raise
            unusable[name] = str(problem)
    if not columns:
        raise ConversionError("; ".join(unusable.values()))
    notes = (f"columns that the model does not look at are no inputs: {', '.join(unusable)}",) if unusable else ()
    texts = [column for column in columns if column.dtype == TEXT]
    marked = next((column.name for column in texts if column.has_missing), None)
    empty = next((column.name for column in texts if "" in column.known), None)
    if marked is None:
        return Table(columns, example, notes, unusable)
    if empty is not None:
        raise ConversionError(f"column '{empty}' has empty texts and column '{marked}' missing values, both of which would be empty text; replace one of them")
    for column in texts:
        column.has_missing = True
    return Table(columns, example, ("empty text stands for a missing value", *notes), unusable)


def _records(rows: Sequence[Mapping[Any, Any]], kind: type[Records] = Records) -> Records:
    """Raises ConversionError for a key whose values are neither all numbers nor all text, or are empty text."""
    keys = list(dict.fromkeys(str(key) for row in rows for key in row))
    example = np.empty((len(rows), len(keys)), object)
    for place, key in enumerate(keys):
        present = [row[key] for row in rows if key in row]
        text = all(isinstance(item, str) for item in present)
        if not text and not all(isinstance(item, (int, float, bool, np.number, np.bool_)) for item in present):
            kinds = ", ".join(sorted({type(item).__name__ for item in present}))
            raise ConversionError(f"key '{key}' of the example's dictionaries holds {kinds}; expected numbers only or text only")
        if text and "" in present:
            raise ConversionError(f"key '{key}' of the example's dictionaries holds empty text, which stands for an absent key; use another text")
        example[:, place] = [row.get(key, "" if text else 0.0) for row in rows]
    columns = [_column(example, place, key, False) for place, key in enumerate(keys)]
    return kind(columns, example, ("a key that a row lacks is zero or empty text",))


def _column(example: Any, place: int, name: str, knows_missing: bool) -> Column:
    values = list(_values(example, place))
    present = [item for item in values if not is_missing(item)]
    absent = [item for item in values if is_missing(item)]
    kind: Any = None if isinstance(example, np.ndarray) else example.dtypes.iloc[place]
    closed = type(kind).__name__ == "CategoricalDtype"
    if closed:
        present = list(kind.categories)
    if present and all(isinstance(item, str) for item in present) or not present and kind is not None and not hasattr(kind, "kind"):
        missing = absent[0] if absent else np.nan
        if len({type(item) for item in absent}) > 1:
            raise ConversionError(f"column '{name}' has two kinds of missing values, {' and '.join(sorted({str(item) for item in absent}))}; use one")
        return Column(name, TEXT, missing, sorted(set(present)), kind, bool(absent) or knows_missing, closed=closed, gaps=bool(absent))
    if not all(isinstance(item, (int, float, bool, np.number, np.bool_)) for item in present):
        odd = next(item for item in present if not isinstance(item, (int, float, bool, np.number, np.bool_)))
        kinds = " and ".join(sorted({type(item).__name__ for item in present}))
        raise NoInput(
            f"column '{name}' holds {kinds} ({odd!r:.40}); expected numbers only, truth values or text only: make columns of these of it outside of the model"
        )
    whole = bool(present) and all(float(item).is_integer() for item in present)
    dtype = kind if isinstance(kind, np.dtype) and kind != TEXT else np.array(present, np.float64 if absent or closed or kind is None else None).dtype
    if kind is not None and not isinstance(kind, np.dtype) and not closed:
        dtype = np.dtype(np.float64)  # a nullable type: missing numbers are NaN
    several = sorted(set(map(float, present)))
    return Column(name, np.dtype(dtype), None, several if closed or whole and len(several) <= FEW else [], kind, bool(absent), closed, whole)


def _input(b: ModelBuilder, name: str, dtype: np.dtype, *shape: int) -> Array:
    kind = DataType.STRING if dtype == TEXT else DataType.of(dtype)
    x = Array(Trace(b), b.input(name, kind, ["rows", *shape]), dtype, (0, *shape))
    x._shape = (RowCount(x, 0), *x._shape[1:])
    return x


def _named(names: Sequence[str], usual: list[str]) -> list[str]:
    if names and len(names) != len(usual):
        raise InvalidArgument(f"the model has {len(usual)} input{'s' * (len(usual) > 1)}, {len(names)} names were given")
    return list(names or usual)
