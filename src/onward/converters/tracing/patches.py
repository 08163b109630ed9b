"""While code is traced, functions that would look at the data, or make arrays of a number of rows, are replaced."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from onward.converters.tracing.array import FUNCTIONS, Array, RowCount, as_array
from onward.converters.tracing.frame import Frame

_lock = threading.RLock()


@contextmanager
def replaced(replacements: Mapping[Any, Callable[..., Any]], packages: tuple[str, ...]) -> Iterator[None]:
    """Every name of the packages' modules that stands for a function of `replacements` stands for its replacement instead;
    NumPy's makers of arrays take numbers of rows. One trace at a time."""
    with _lock:
        undo: list[tuple[Any, str, Any]] = []
        by_identity = {id(original): made for original, made in replacements.items()}
        for name, module in list(sys.modules.items()):
            if module is None or name.partition(".")[0] not in packages:
                continue
            for attribute, value in list(vars(module).items()):
                made = by_identity.get(id(value))
                if made is not None:
                    undo.append((module, attribute, value))
                    setattr(module, attribute, made)
        for attribute, made in _makers().items():
            undo.append((np, attribute, getattr(np, attribute)))
            setattr(np, attribute, made)
        try:
            yield
        finally:
            for module, attribute, value in reversed(undo):
                setattr(module, attribute, value)


class _Columns:
    """numpy.c_, where arrays may be traced."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def __getitem__(self, key: Any) -> Any:
        parts = [part.matrix() if isinstance(part, Frame) else part for part in (key if isinstance(key, tuple) else (key,))]
        if not any(isinstance(part, Array) for part in parts):
            return self.original[key]
        return np.column_stack(parts)


def _makers() -> dict[str, Any]:
    """numpy.zeros and its kin, for shapes with a number of rows; numpy.c_, which asks for the data itself."""

    def rows_of(shape: Any) -> RowCount | None:
        items = shape if isinstance(shape, (tuple, list)) else [shape]
        return next((item for item in items if isinstance(item, RowCount)), None)

    def filled(original: Any, number: Any) -> Any:
        def make(shape: Any, *arguments: Any, **options: Any) -> Any:
            rows = rows_of(shape)
            if rows is None:
                return original(shape, *arguments, **options)
            value = arguments[0] if number is None and arguments else options.pop("fill_value", number) if number is None else number
            rest = arguments[1:] if number is None else arguments
            dtype = rest[0] if rest else options.get("dtype")
            trace = rows.array.trace
            made = as_array(trace, value if number is None else np.array(value, np.float64))
            made = made if dtype is None else made.astype(dtype, copy=False)
            return FUNCTIONS[np.broadcast_to](made, shape).copy()

        return make

    arange = np.arange

    def counted(*bounds: Any, **options: Any) -> Any:
        rows = rows_of(bounds)
        if rows is None or len(bounds) > 1:
            return arange(*bounds, **options)
        trace = rows.array.trace
        value = trace.b.op("Range", as_array(trace, 0).value, rows.number().value, as_array(trace, 1).value)
        made = Array(trace, value, np.dtype(np.int64), (rows,))
        made.is_range = True  # type: ignore[attr-defined]
        return made

    def taken(original: Any) -> Any:
        def make(item: Any, dtype: Any = None, **options: Any) -> Any:
            item = item.matrix() if isinstance(item, Frame) else item
            if isinstance(item, Array):
                made = item if dtype is None else item.astype(dtype, copy=False)
                return made.copy() if options.get("copy") is True else made
            if isinstance(item, (list, tuple)) and any(isinstance(part, Array) for part in item):
                return as_array(next(part for part in item if isinstance(part, Array)).trace, item, dtype)
            return original(item, dtype, **options) if dtype is not None else original(item, **options)

        return make

    def repeated(original: Any) -> Any:
        def make(item: Any, count: Any, *arguments: Any, **options: Any) -> Any:
            if rows_of(count) is None:
                return original(item, count, *arguments, **options)
            times = list(count) if isinstance(count, (tuple, list)) else [count]
            return FUNCTIONS[original_tile](item, times)

        return make

    original_tile = np.tile
    return {
        "tile": repeated(np.tile), "repeat": repeated(np.repeat),
        "zeros": filled(np.zeros, 0), "ones": filled(np.ones, 1), "empty": filled(np.empty, 0), "full": filled(np.full, None),
        "arange": counted, "asarray": taken(np.asarray), "array": taken(np.array), "asanyarray": taken(np.asanyarray),
        "ascontiguousarray": taken(np.ascontiguousarray), "c_": _Columns(np.c_),
    }  # fmt: skip
