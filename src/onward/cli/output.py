"""How numbers and tables look. Colours appear on a terminal only, and not where NO_COLOR is set (rich sees to both)."""

from __future__ import annotations

import sys
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onward.ir import OptionalType, SequenceType, TensorType

WIDE = 160
"""Columns of tables that go to a file or a pipe."""

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def report_problem(problem: Exception) -> None:
    """An error for a person: its class and what it says, without a traceback."""
    errors.print(f"[bold red]{type(problem).__name__}[/]: {escape(str(problem))}")


def table(*columns: str, title: str | None = None, left: int = 1) -> Table:
    """An empty table of which all but the first `left` columns are numbers."""
    result = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for index, name in enumerate(columns):
        result.add_column(name, justify="left" if index < left else "right", overflow="fold", no_wrap=index >= left)
    return result


def milliseconds(seconds: float) -> str:
    """Three digits that matter."""
    if seconds >= 10:
        return f"{seconds:.1f} s"
    value = seconds * 1e3
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 10 else f"{value:.3f} ms"


def size(number: float) -> str:
    """Bytes in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(number) < 1000 or unit == "GB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError


def count(number: float) -> str:
    """A count with a suffix: 110 M."""
    for unit in ("", " k", " M", " G"):
        if abs(number) < 1000 or unit == " G":
            return f"{number:.0f}{unit}" if unit == "" else f"{number:.1f}{unit}"
        number /= 1000
    raise AssertionError


def type_text(kind: Any) -> str:
    """A type as people write it: float32 [batch, 3, 224, 224]."""
    if isinstance(kind, TensorType):
        if kind.shape is None:
            return f"{element_text(kind.dtype)} of unknown rank"
        return f"{element_text(kind.dtype)} [{', '.join('?' if extent is None else str(extent) for extent in kind.shape)}]"
    if isinstance(kind, SequenceType):
        return f"sequence of {type_text(kind.element)}"
    if isinstance(kind, OptionalType):
        return f"optional {type_text(kind.element)}"
    return "unknown" if kind is None else str(kind)


def element_text(dtype: Any) -> str:
    """The name of an element type: float32, not FLOAT."""
    return {"FLOAT": "float32", "DOUBLE": "float64"}.get(dtype.name, dtype.name.lower())
