"""Tables of pandas, polars and pyarrow as one kind: pandas DataFrames."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.errors import InvalidArgument


def dataframe_of(example: Any) -> Any:
    """The pandas DataFrame with the values of a table, itself if it is one; None for what is no table with named columns.

    Raises InvalidArgument for a table of another package where pandas is not installed.
    """
    package = type(example).__module__.partition(".")[0]
    if package == "polars" and hasattr(example, "collect_schema"):
        pandas = _pandas(package)
        eager = example.collect() if hasattr(example, "collect") else example
        return pandas.DataFrame({column.name: _column(pandas, column) for column in eager.get_columns()})
    if package == "pyarrow" and hasattr(example, "to_pandas") and hasattr(example, "column_names"):
        _pandas(package)
        return example.to_pandas()
    return example if hasattr(example, "columns") and hasattr(example, "dtypes") and hasattr(example, "iloc") else None


def _pandas(package: str) -> Any:
    try:
        import pandas
    except ModuleNotFoundError as problem:
        raise InvalidArgument(f"a table of {package} is read with pandas: pip install pandas") from problem
    return pandas


def _column(pandas: Any, column: Any) -> Any:
    """A column of polars: numbers as they are (with NaN for what is missing), categories as such, anything else as objects."""
    if column.dtype.is_numeric() or str(column.dtype) == "Boolean" and not column.null_count():
        return pandas.Series(column.to_numpy())
    if str(column.dtype).startswith(("Categorical", "Enum")):
        known = column.dtype.categories if hasattr(column.dtype.categories, "to_list") else column.drop_nulls().unique(maintain_order=True)
        return pandas.Series(pandas.Categorical(column.to_list(), categories=known.to_list()))
    return pandas.Series(column.to_list(), dtype=object)


def is_missing(item: Any) -> bool:
    """Whether a value of a table stands for none: None, NaN, NaT or pandas.NA."""
    return item is None or type(item).__name__ in ("NAType", "NaTType") or isinstance(item, (float, np.floating)) and item != item
