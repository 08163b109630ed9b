"""The proof that a target's object computes what Onward's own runtime computes of the ONNX model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from onward import operators
from onward.converters import certificate
from onward.errors import ConversionMismatch, InvalidArgument, OnwardError
from onward.ir import Model
from onward.ir.datatypes import DataType
from onward.ir.expressions import Expression, evaluate
from onward.ir.types import MapType, OptionalType, SequenceType
from onward.runtime import InferenceSession

TOLERANCES = {
    np.dtype(np.float64): 1e-11, np.dtype(np.float32): 1e-5, np.dtype(np.float16): 5e-3, DataType.BFLOAT16.numpy: 4e-2,
}  # fmt: skip
"""The greatest difference of an output, relative to its largest value: sums are added in another order."""

REFUSALS = (ArithmeticError, IndexError, ValueError, RuntimeError, TypeError)
"""What arrays of a target raise for data that a model does not accept."""


def prove(
    model: Model,
    title: str,
    function: Callable[..., Any],
    arrays: Callable[[Any], list[np.ndarray]],
    constants: Mapping[str, Any],
    examples: Any,
    tolerance: float | None,
    progress: certificate.Progress | None,
) -> str:
    """Compares and gives the certificate as JSON. Raises ConversionMismatch, InvalidArgument for what cannot be compared."""
    if any(isinstance(value.type, (SequenceType, OptionalType, MapType)) for value in (*model.graph.inputs, *model.graph.outputs)):
        raise InvalidArgument("sequences and optional values are not compared; use verify=False")
    names = [value.name for value in model.graph.outputs]
    problems: list[Exception] = []
    refused: list[str] = []

    def accepted(feeds: Mapping[str, np.ndarray]) -> bool:
        """Whether the model itself takes the data: random numbers are not always places along an axis."""
        try:
            InferenceSession(model.to_bytes()).run(None, dict(feeds))
        except OnwardError:
            return False
        return True

    def outputs(feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray] | None:
        try:
            with np.errstate(all="ignore"):
                results = function(*(item for name, item in feeds.items() if name not in constants))
        except REFUSALS as problem:
            problems.append(problem)
            if accepted(feeds):
                sizes = ", ".join(f"{name} {list(np.shape(item))}" for name, item in feeds.items())
                refused.append(f"refused, though the model accepts it: {sizes} ({type(problem).__name__}: {problem})")
            return None
        return dict(zip(names, arrays(results), strict=True))

    data = {what: {**feeds, **constants} for what, feeds in _data(model, constants, examples)}
    reference = certificate.Reference(title, data, outputs, tolerances=TOLERANCES)
    compared = model.copy()
    try:
        found = certificate.certify(compared, reference, None, tolerance, None, progress)
    except ConversionMismatch as mismatch:
        if len(problems) < len(data):
            raise
        raise ConversionMismatch(f"the converted model accepts none of the data that was tried ({problems[0]}); pass example inputs") from mismatch
    return json.dumps(asdict(replace(found, notes=[*found.notes, *refused])))


def _data(model: Model, constants: Mapping[str, Any], examples: Any) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Sets of data by input name: of kinds and sizes that a conversion may get wrong, and the caller's."""
    inputs = operators.lower(model, constants=constants).inputs
    random = np.random.default_rng(0)
    symbols = sorted({name for item in inputs for extent in item.shape if isinstance(extent, Expression) for name in extent.symbols})
    several = {name: 2 + place % 3 for place, name in enumerate(symbols)}
    ways = [("random", several), ("zeros", several), ("ones", several), ("large", several)]
    ways += [("random, sizes 3", dict.fromkeys(symbols, 3)), ("random, sizes 1", dict.fromkeys(symbols, 1))] if symbols else []
    for what, sizes in ways:
        yield what, {item.label: _array(what, [evaluate(extent, sizes) for extent in item.shape], item.dtype, random) for item in inputs}
    if examples is not None:
        yield "given", _given(examples, [item.label for item in inputs])


def _given(examples: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
    if isinstance(examples, Mapping):
        return {name: np.asarray(examples[name]) for name in names}
    arrays = examples if isinstance(examples, (tuple, list)) else (examples,)
    if len(arrays) != len(names):
        raise InvalidArgument(f"the model has {len(names)} inputs, {len(arrays)} example inputs were given")
    return {name: np.asarray(item) for name, item in zip(names, arrays)}


def _array(what: str, shape: Sequence[int], dtype: DataType, random: np.random.Generator) -> np.ndarray:
    if dtype == DataType.STRING:
        return random.choice(np.array(["a", "b", "ab", ""], object), size=shape)
    if not dtype.is_float and not dtype.is_complex:  # small: they may be places along an axis
        numbers = random.integers(0, 2, shape) if what.startswith("random") else np.full(shape, int(what != "zeros"))
        return numbers.astype(dtype.numpy)
    kinds = {"zeros": np.zeros(shape), "ones": np.ones(shape), "large": random.standard_normal(shape) * 30}
    return kinds.get(what, random.standard_normal(shape)).astype(dtype.numpy)
