"""The proof of a conversion: the source and its result on the same data, and what was found in the model's metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

from onward.errors import ConversionMismatch
from onward.ir import Model

KEY = "onward.certificate"
TOLERANCES = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-13}
"""The greatest difference of an output, relative to its largest value, by the data type."""


@dataclass(frozen=True)
class Reference:
    """What is to be reproduced.

    `outputs(feeds)` gives the source's arrays by output name, or None where the source refuses the data; `data` are matrices of
    rows, or arrays by input name, that try what the source can tell apart; `framework` is its name and version. `exactly`
    is the source in double precision, which tells whose rounding a difference is.
    """

    framework: str
    data: Mapping[str, Any]
    outputs: Callable[[Any], Mapping[str, np.ndarray] | None]
    exactly: Callable[[Any], Mapping[str, np.ndarray] | None] | None = None
    tolerances: Mapping[Any, float] = field(default_factory=lambda: TOLERANCES)
    notes: tuple[str, ...] = ()
    random: bool = False
    """The source draws random numbers, so that only shapes and types can be compared."""


@dataclass(frozen=True)
class Certificate:
    """What a comparison found, for each output: the greatest absolute and relative difference, and that in units of the
    last place; and how many elements of an integer or text output differ."""

    framework: str
    digest: str
    shapes: dict[str, Any]
    differences: dict[str, dict[str, float]]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, model: Model) -> Certificate | None:
        """The certificate that a model carries, if there is one."""
        text = model.metadata.get(KEY)
        return None if text is None else cls(**json.loads(text))


def certify(model: Model, reference: Reference, examples: Any, tolerance: float | None) -> Certificate:
    """Compares and keeps the certificate in the model. Raises ConversionMismatch with the first output that differs.

    An output may differ by the tolerance, relative to its largest value, or by twice what the source itself differs
    from its own computation in double precision.
    """
    from onward.runtime import InferenceSession

    session = InferenceSession(model.to_bytes())
    data = dict(reference.data)
    if examples is not None and isinstance(next(iter(data.values())), np.ndarray):
        data["given"] = np.asarray(examples, next(iter(data.values())).dtype)
    found: dict[str, dict[str, float]] = {}
    shapes: dict[str, Any] = {}
    for what, given in data.items():
        expected = reference.outputs(given)
        if expected is None:
            continue
        feeds = given if isinstance(given, Mapping) else {session.get_inputs()[0].name: given}
        sizes = {name: list(array.shape) for name, array in feeds.items()}
        shapes[what] = sizes if isinstance(given, Mapping) else list(given.shape)
        where = f"{what} ({', '.join(f'{name} {shape}' for name, shape in sizes.items())})"
        results = dict(zip(expected, session.run(None, dict(feeds)), strict=True))
        for name, theirs in expected.items():
            _compare(name, results[name], np.asarray(theirs), (reference, given, where, tolerance), found)
    if not shapes:
        raise ConversionMismatch(f"{reference.framework} accepts none of the data that was tried; pass example inputs")
    digest = hashlib.sha256(model.to_bytes()).hexdigest()
    certificate = Certificate(reference.framework, digest, shapes, found, list(reference.notes))
    model.metadata[KEY] = json.dumps(asdict(certificate))
    return certificate


def _compare(
    name: str, ours: np.ndarray, theirs: np.ndarray, how: tuple[Reference, Any, str, float | None], found: dict[str, Any]
) -> None:
    reference, given, where, tolerance = how
    difference = _difference(ours, theirs, f"output '{name}' for {where}")
    if reference.random:
        return
    allowed = tolerance if tolerance is not None else reference.tolerances.get(theirs.dtype, _by_width(theirs.dtype))
    if difference.get("different", 0) > 0 or difference.get("relative", 0) > allowed:
        exact = reference.exactly(given) if reference.exactly and "relative" in difference else None
        verdict = ""
        if exact is not None and exact[name].shape == theirs.shape:
            mine, own = (_difference(side, exact[name], where)["absolute"] for side in (ours, theirs))
            verdict = f"; from double precision ours differs by {mine:.3g}, the source by {own:.3g}"
        if not verdict or mine > 2 * own:
            rounded = {key: float(f"{value:.3g}") for key, value in difference.items()}
            raise ConversionMismatch(
                f"output '{name}' differs from {reference.framework} for {where}: {rounded}, allowed is {allowed:g}{verdict}"
            )
    worst = found.setdefault(name, difference)
    found[name] = {key: max(value, difference[key]) for key, value in worst.items()}


def _by_width(dtype: np.dtype) -> float:
    """The tolerance of narrow types that NumPy lacks."""
    return 4e-2 if dtype.kind not in "biufc" else 0.0


def _difference(ours: np.ndarray, theirs: np.ndarray, where: str) -> dict[str, float]:
    if ours.shape != theirs.shape:
        raise ConversionMismatch(f"{where} has shape {ours.shape}, expected {theirs.shape}")
    if theirs.dtype.kind in "iubOU":
        return {"different": float(np.sum(ours != theirs))}
    left, right = ours.astype(np.float64), theirs.astype(np.float64)
    same = (left == right) | np.isnan(left) & np.isnan(right)
    gap = np.where(same, 0.0, np.abs(left - right))
    gap = np.where(np.isnan(gap), np.inf, gap)
    scale = np.abs(right[np.isfinite(right)]).max(initial=0) or 1.0
    units = gap / _spacing(theirs)
    return {
        "absolute": gap.max(initial=0),
        "relative": gap.max(initial=0) / scale,
        "units": np.nan_to_num(units).max(initial=0),
    }


def _spacing(array: np.ndarray) -> np.ndarray:
    """The distance to the next number of the type, at each number."""
    if array.dtype.kind == "f":
        return np.spacing(np.maximum(np.abs(array), np.finfo(array.dtype).tiny)).astype(np.float64)
    limits = ml_dtypes.finfo(array.dtype)
    return np.maximum(np.abs(array.astype(np.float64)), float(limits.tiny)) * float(limits.eps)
