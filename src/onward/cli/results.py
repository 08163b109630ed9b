"""The outputs of a run: shown, and saved."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from onward.cli.output import console, table


def show_outputs(results: Mapping[str, Any]) -> None:
    """Name, type, range and the first elements of each output."""
    rows = table("output", "type", "first elements", "least", "greatest", "mean", left=3)
    for name, value in results.items():
        if not isinstance(value, np.ndarray):
            rows.add_row(escape(name), type(value).__name__, escape(str(value)[:60]), "", "", "")
            continue
        first = ", ".join(_short(item) for item in value.reshape(-1)[:4])
        kind = f"{value.dtype} {list(value.shape)}"
        rows.add_row(escape(name), escape(kind), escape(first + (", …" if value.size > 4 else "")), *_statistics(value))
    console.print(rows)


def _short(item: Any) -> str:
    return f"{float(item):.4g}" if isinstance(item, np.floating) else str(item)


def _statistics(value: np.ndarray) -> tuple[str, str, str]:
    if not value.size or not (np.issubdtype(value.dtype, np.number) or value.dtype == bool):
        return "", "", ""
    if np.iscomplexobj(value):
        return "", "", f"{value.mean():.4g}"
    numbers = value.astype(np.float64)
    return f"{numbers.min():.4g}", f"{numbers.max():.4g}", f"{numbers.mean():.4g}"


def save_outputs(results: Mapping[str, Any], path: Path) -> None:
    """Writes an .npz; the file appears whole or not at all."""
    handle, name = tempfile.mkstemp(suffix=".npz", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            arrays: dict[str, Any] = {key: np.asarray(value) for key, value in results.items()}
            np.savez(file, **arrays)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
