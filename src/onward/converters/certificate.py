"""The proof of a conversion: the source and its result on the same data, and what was found in the model's metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from onward.errors import ConversionMismatch
from onward.ir import Model

KEY = "onward.certificate"
TOLERANCES = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-13}
"""The greatest difference of an output, relative to its largest value, by the data type."""


@dataclass(frozen=True)
class Reference:
    """What is to be reproduced.

    `outputs(rows)` gives the source's arrays by output name; `data` are matrices of rows that try what the source can
    tell apart; `framework` is its name and version.
    """

    framework: str
    data: Mapping[str, np.ndarray]
    outputs: Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Certificate:
    """What a comparison found, for each output: the greatest absolute and relative difference, and that in units of the
    last place; and how many elements of an integer or text output differ."""

    framework: str
    digest: str
    shapes: dict[str, list[int]]
    differences: dict[str, dict[str, float]]

    @classmethod
    def of(cls, model: Model) -> Certificate | None:
        """The certificate that a model carries, if there is one."""
        text = model.metadata.get(KEY)
        return None if text is None else cls(**json.loads(text))


def certify(model: Model, reference: Reference, examples: Any, tolerance: float | None) -> Certificate:
    """Compares and keeps the certificate in the model. Raises ConversionMismatch with the first output that differs."""
    from onward.runtime import InferenceSession

    session = InferenceSession(model.to_bytes())
    data = dict(reference.data)
    if examples is not None:
        data["given"] = np.asarray(examples, next(iter(data.values())).dtype)
    (port,) = session.get_inputs()
    found: dict[str, dict[str, float]] = {}
    for what, rows in data.items():
        expected = reference.outputs(rows)
        results = session.run(None, {port.name: rows})
        for output, ours, theirs in zip(session.get_outputs(), results, expected.values(), strict=True):
            difference = _difference(ours, np.asarray(theirs), f"output '{output.name}' for {what} ({len(rows)} rows)")
            allowed = tolerance if tolerance is not None else TOLERANCES.get(np.asarray(theirs).dtype, 0.0)
            if difference.get("different", 0) > 0 or difference.get("relative", 0) > allowed:
                raise ConversionMismatch(
                    f"output '{output.name}' differs from {reference.framework} for {what} ({len(rows)} rows): "
                    f"{ {key: float(f'{value:.3g}') for key, value in difference.items()} }, allowed is {allowed:g}"
                )
            worst = found.setdefault(output.name, difference)
            found[output.name] = {key: max(value, difference[key]) for key, value in worst.items()}
    digest = hashlib.sha256(model.to_bytes()).hexdigest()
    certificate = Certificate(
        reference.framework, digest, {what: list(rows.shape) for what, rows in data.items()}, found
    )
    model.metadata[KEY] = json.dumps(asdict(certificate))
    return certificate


def _difference(ours: np.ndarray, theirs: np.ndarray, where: str) -> dict[str, float]:
    if ours.shape != theirs.shape:
        raise ConversionMismatch(f"{where} has shape {ours.shape}, expected {theirs.shape}")
    if theirs.dtype.kind != "f":
        return {"different": float(np.sum(ours != theirs))}
    left, right = ours.astype(np.float64), theirs.astype(np.float64)
    same = (left == right) | np.isnan(left) & np.isnan(right)
    gap = np.where(same, 0.0, np.abs(left - right))
    gap = np.where(np.isnan(gap), np.inf, gap)
    scale = np.abs(right[np.isfinite(right)]).max(initial=0) or 1.0
    units = gap / np.spacing(np.maximum(np.abs(theirs), np.finfo(theirs.dtype).tiny)).astype(np.float64)
    return {
        "absolute": gap.max(initial=0),
        "relative": gap.max(initial=0) / scale,
        "units": np.nan_to_num(units).max(initial=0),
    }
