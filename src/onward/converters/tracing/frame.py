"""A table of named columns in the making, each with a data type of its own, as a DataFrame has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from onward.converters.tracing.array import FUNCTIONS, TEXT, Array, as_array, refusal
from onward.errors import ConversionError


class NoInput(ConversionError):
    """A column of a table holds what no input of a graph can hold."""


class Unusable:
    """A column that a graph cannot have as an input, for the reason given: whatever is done with it raises NoInput."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NoInput(self.reason)


class Frame(NDArrayOperatorsMixin):
    """Columns of shape (rows,) by name. What works on matrices takes it for one where all columns are numbers.

    Names need not be text: the columns of a matrix of objects are numbered. A column that is `Unusable` may be there as long as nothing
    is done with it.
    """

    __array_priority__ = 1001
    ndim = 2

    def __init__(self, columns: dict[Any, Any]) -> None:
        self.arrays = columns

    @property
    def trace(self) -> Any:
        return self._first.trace

    @property
    def _first(self) -> Array:
        return next(array for array in self.arrays.values() if isinstance(array, Array))

    @property
    def columns(self) -> Any:
        """The names, in order."""
        return np.array(list(self.arrays), object)

    @property
    def shape(self) -> tuple[Any, int]:
        return self._first.shape[0], len(self.arrays)

    @property
    def dtype(self) -> np.dtype:
        """The data type of all columns, text where one of them is text."""
        kinds = [array.dtype for array in self.arrays.values()]
        return TEXT if TEXT in kinds else np.result_type(*kinds)

    def matrix(self) -> Array:
        """(rows, columns): of the data type that all have in common, double precision for whole numbers and truth values.

        Raises UnsupportedOperator where text stands beside numbers.
        """
        kinds = {array.dtype for array in self.arrays.values()}
        if TEXT in kinds and len(kinds) > 1:
            text = [str(name) for name, array in self.arrays.items() if array.dtype == TEXT]
            raise refusal(f"columns of text ({', '.join(text)}) and of numbers become one matrix")
        joined = FUNCTIONS[np.stack]([array.astype(self.dtype, copy=False) for array in self.arrays.values()], 1)
        return joined.astype(np.float64) if self.dtype.kind in "iub" else joined  # type: ignore[no-any-return]

    def select(self, places: Sequence[int]) -> Frame:
        """The columns at some places."""
        names = list(self.arrays)
        return Frame({names[place]: self.arrays[names[place]] for place in places})

    # -- as pandas has it ------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            return self.matrix()[key]
        if isinstance(key, (str, int, np.integer)):
            return self.arrays[key]
        if isinstance(key, Array):
            raise refusal("rows are chosen by their values")
        return Frame({name: self.arrays[name] for name in key})

    def __setitem__(self, key: Any, item: Any) -> None:
        self.arrays[key] = FUNCTIONS[np.broadcast_to](as_array(self.trace, item), (self.shape[0],))

    def __contains__(self, key: Any) -> bool:
        return key in self.arrays

    def __iter__(self) -> Any:
        return iter(self.arrays)

    def __len__(self) -> int:
        raise refusal("the code asks for the number of rows as a plain number")

    def copy(self, deep: bool = True) -> Frame:
        """A table whose columns may be set without changing this one."""
        return Frame(dict(self.arrays))

    __copy__ = copy

    def assign(self, **columns: Any) -> Frame:
        """With further columns, or others; a function gets the table."""
        made = self.copy()
        for name, item in columns.items():
            made[name] = item(made) if callable(item) else item
        return made

    def drop(self, labels: Any = None, *, axis: Any = 0, columns: Any = None, **_: Any) -> Frame:
        """Without some columns."""
        gone = columns if columns is not None else labels
        if columns is None and axis not in (1, "columns"):
            raise refusal("rows are dropped")
        gone = [gone] if isinstance(gone, str) else list(gone)
        return Frame({name: array for name, array in self.arrays.items() if name not in gone})

    def rename(self, *, columns: dict[Any, Any], **_: Any) -> Frame:
        """With other names."""
        return Frame({columns.get(name, name): array for name, array in self.arrays.items()})

    def astype(self, dtype: Any, copy: bool = True, **_: Any) -> Frame:
        """Columns in other data types: one for all, or by name."""
        kinds = dtype if isinstance(dtype, dict) else dict.fromkeys(self.arrays, dtype)
        return Frame({name: array.astype(kinds[name]) if name in kinds else array for name, array in self.arrays.items()})

    def fillna(self, value: Any) -> Frame:
        """Columns with missing values replaced: by one number, or by name."""
        numbers = value if isinstance(value, dict) else dict.fromkeys(self.arrays, value)
        return Frame({name: array.fillna(numbers[name]) if name in numbers else array for name, array in self.arrays.items()})

    def isna(self) -> Frame:
        """Where values are missing."""
        return Frame({name: array.isna() for name, array in self.arrays.items()})

    isnull = isna

    def clip(self, lower: Any = None, upper: Any = None, **_: Any) -> Frame:
        """Columns within bounds."""
        return Frame({name: array.clip(lower, upper) for name, array in self.arrays.items()})

    def to_numpy(self, dtype: Any = None, **_: Any) -> Array:
        """The columns as a matrix."""
        return self.matrix() if dtype is None else self.matrix().astype(dtype)

    @property
    def values(self) -> Array:
        """The columns as a matrix."""
        return self.matrix()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "arrays":
            raise AttributeError(name)
        if name in self.arrays:
            return self.arrays[name]
        if name in ("sum", "mean", "max", "min", "prod", "any", "all"):
            return self._reduced(name)
        raise AttributeError(f"a traced table has no column and no attribute '{name}'")

    def _reduced(self, name: str) -> Callable[..., Array]:
        def reduce(axis: Any = 0, **_: Any) -> Array:
            if axis not in (1, "columns"):
                raise refusal("rows are reduced")
            return getattr(self.matrix(), name)(axis=1)  # type: ignore[no-any-return]

        return reduce

    # -- NumPy's protocols -----------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options.get("out"):
            raise refusal(f"{ufunc.__name__} of a table is used with options")
        named = {}
        for place, name in enumerate(self.arrays):
            named[name] = ufunc(*(_part(item, name, place) for item in inputs))
        return Frame(named)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        if function in (np.hstack, np.concatenate) and (function is np.hstack or options.get("axis", (*arguments, 0)[1]) == 1):
            return joined(arguments[0])
        if function not in FUNCTIONS:
            raise refusal(f"numpy.{function.__name__} is used")
        return FUNCTIONS[function](*map(_matrix, arguments), **{key: _matrix(item) for key, item in options.items()})

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise refusal("the code asks for the data")


def _part(item: Any, name: Any, place: int) -> Any:
    """What stands beside one column in an operation."""
    if isinstance(item, Frame):
        return item.arrays[name]
    if isinstance(item, (Array, np.ndarray)) and item.ndim == 2:
        return item[:, place if item.shape[1] > 1 else 0]
    if isinstance(item, np.ndarray) and item.ndim == 1:
        return item[place]
    return item


def _matrix(item: Any) -> Any:
    return item.matrix() if isinstance(item, Frame) else item


def joined(parts: Sequence[Any]) -> Any:
    """Tables and matrices side by side: a matrix of numbers, or a table with numbered columns where there is text."""
    parts = [part for part in parts if not isinstance(part.shape[1], (int, np.integer)) or part.shape[1]]
    if all(part.dtype != TEXT for part in parts) or all(isinstance(part, Array) and part.dtype == TEXT for part in parts):
        return FUNCTIONS[np.concatenate]([_matrix(part) for part in parts], 1)
    columns: list[Array] = []
    for part in parts:
        columns += series(part)
    return Frame(dict(enumerate(columns)))


def series(x: Any) -> list[Array]:
    """The columns of a table or matrix, each (rows,)."""
    return list(x.arrays.values()) if isinstance(x, Frame) else [x[:, place] for place in range(x.shape[1])]
