"""The proof that a target's object computes what Onward's own runtime computes of the ONNX model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from onward import operators
from onward.converters import certificate
from onward.errors import ConversionMismatch, InvalidArgument, OnwardError
from onward.ir import Model
from onward.ir.datatypes import DataType
from onward.ir.expressions import Expression, evaluate
from onward.ir.types import MapType, OptionalType, SequenceType
from onward.program import Input
from onward.runtime import InferenceSession

TOLERANCES = {
    np.dtype(np.float64): 1e-11, np.dtype(np.float32): 1e-5, np.dtype(np.float16): 5e-3, DataType.BFLOAT16.numpy: 4e-2,
}  # fmt: skip
"""The greatest difference of an output, relative to its largest value: sums are added in another order."""

LARGER = (16, 64, 224)
"""Open sizes that are tried where the small ones are accepted by nothing."""

REFUSALS = (ArithmeticError, IndexError, ValueError, RuntimeError, TypeError)
"""What arrays of a target raise for data that a model does not accept."""


@dataclass(frozen=True)
class Subject:
    """What is proved: `function` of a model's inputs gives the arrays of its outputs, in their order, by way of `result`.

    `model` has those outputs that the result gives. `data` are the sets of inputs by name that try what it can tell apart (None: random
    numbers of several kinds and sizes), `tolerances` the greatest relative differences by data type, `steps` the distance of neighbouring numbers
    in outputs that are rounded to few.
    """

    result: Any
    model: Model
    function: Callable[..., list[np.ndarray]]
    data: Mapping[str, Mapping[str, np.ndarray]] | None = None
    tolerances: Mapping[Any, float] = field(default_factory=lambda: TOLERANCES)
    notes: tuple[str, ...] = ()
    steps: Mapping[str, float] = field(default_factory=dict)


def prove(
    subject: Subject,
    title: str,
    constants: Mapping[str, Any],
    examples: Any,
    tolerance: float | None,
    progress: certificate.Progress | None,
    source: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Compares and gives the certificate as a dictionary; `before` in it is that of the model's own conversion, `source` the file that the caller began with.

    Raises ConversionMismatch, InvalidArgument for what cannot be compared.
    """
    model = subject.model
    if any(isinstance(value.type, (SequenceType, OptionalType, MapType)) for value in (*model.graph.inputs, *model.graph.outputs)):
        raise InvalidArgument("sequences and optional values are not compared; use verify=False")
    data = {what: {**feeds, **constants} for what, feeds in (subject.data or dict(_data(model, constants))).items()}
    if examples is not None:
        data["given"] = {**_given(examples, [value.name for value in model.graph.inputs if value.name not in constants and value.tensor is None]), **constants}
    trial = _Trial(subject, data, constants)
    reference = certificate.Reference(title, data, None, tolerances=subject.tolerances, notes=subject.notes, steps=subject.steps)
    try:
        found = certificate.conclude(model.copy(), reference, trial.runs(progress), tolerance, source)
    except ConversionMismatch as mismatch:
        if trial.accepted:
            raise
        raise ConversionMismatch(f"the converted model accepts none of the data that was tried ({trial.problems[0]}); pass example inputs") from mismatch
    before = certificate.Certificate.of(model)
    proved = asdict(replace(found, notes=[*found.notes, *trial.refused, *trial.unproved()]))
    return proved if before is None else {**proved, "before": asdict(before)}


class _Trial:
    """Runs the model, and the object on what the model accepts: random numbers are not always places along an axis.

    `problems` are what either raised, `refused` says which data only the object does not take, `accepted` is whether any was compared.
    """

    def __init__(self, subject: Subject, data: Mapping[str, Mapping[str, np.ndarray]], constants: Mapping[str, Any]) -> None:
        self.subject, self.data, self.constants = subject, data, constants
        self.problems: list[Exception] = []
        self.refused: list[str] = []
        self.accepted = False
        self.numbers: dict[str, bool] = {}
        """By output, whether any of its numbers was finite."""

    def runs(self, progress: certificate.Progress | None) -> Iterator[certificate.Run]:
        """A run for every set of data that both accept."""
        model = self.subject.model
        session = InferenceSession(model.to_bytes())
        names = [value.name for value in model.graph.outputs]
        for step, (what, feeds) in enumerate(self._sets()):
            if self.accepted and step >= len(self.data):
                break
            if progress is not None:
                progress("comparing", step, len(self.data))
            try:
                ours = session.run(None, dict(feeds))
            except OnwardError as problem:
                self.problems.append(problem)
                continue
            theirs = self._results(feeds)
            if theirs is not None:
                results = list(zip(names, ours, map(np.asarray, theirs), strict=True))
                for name, array, _ in results:
                    self.numbers[name] = self.numbers.get(name, False) or _says_something(array)
                self.accepted = True
                yield what, feeds, results

    def _sets(self) -> Iterator[tuple[str, Mapping[str, np.ndarray]]]:
        """The data, and larger ones after them, which are only asked for where nothing has been accepted."""
        yield from self.data.items()
        if self.subject.data is None:
            for what, feeds in _larger(self.subject.model, self.constants):
                yield what, {**feeds, **self.constants}

    def unproved(self) -> list[str]:
        """What is to be said of outputs in which NaN was compared with NaN alone: a difference of 0 that means nothing."""
        return [
            f"output '{name}' had no finite number for any data: its difference of 0 proves nothing"
            for name, any_finite in self.numbers.items()
            if not any_finite
        ]

    def _results(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray] | None:
        """What the object gives, None where it refuses."""
        try:
            with np.errstate(all="ignore"):
                return self.subject.function(*(item for name, item in feeds.items() if name not in self.constants))
        except REFUSALS as problem:
            self.problems.append(problem)
            sizes = ", ".join(f"{name} {list(np.shape(item))}" for name, item in feeds.items())
            self.refused.append(f"refused, though the model accepts it: {sizes} ({type(problem).__name__}: {problem})")
            return None


def _says_something(array: np.ndarray) -> bool:
    """Whether an array has elements that can be compared, or is meant to be empty."""
    if array.dtype.kind in "iubOUS" or array.size == 0:
        return True
    return bool(np.isfinite(array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)).any())


def _data(model: Model, constants: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Sets of data by input name, of kinds and sizes that a conversion may get wrong."""
    inputs = operators.lower(model, constants=constants).inputs
    random = np.random.default_rng(0)
    symbols = _symbols(inputs)
    several = {name: 2 + place % 3 for place, name in enumerate(symbols)}
    ways = [("random", several), ("zeros", several), ("ones", several), ("large", several)]
    ways += [("random, sizes 3", dict.fromkeys(symbols, 3)), ("random, sizes 1", dict.fromkeys(symbols, 1))] if symbols else []
    for what, sizes in ways:
        yield what, {item.label: array for item, array in zip(inputs, example_arrays(inputs, sizes, what, random))}


def _larger(model: Model, constants: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Random numbers of larger sizes, for models that accept none as small as those of `_data`: pictures, through several poolings."""
    inputs = operators.lower(model, constants=constants).inputs
    symbols = _symbols(inputs)
    for size in LARGER if symbols else ():
        yield f"random, sizes {size}", {item.label: array for item, array in zip(inputs, example_arrays(inputs, dict.fromkeys(symbols, size)))}


def _symbols(inputs: Sequence[Input]) -> list[str]:
    return sorted({name for item in inputs for extent in item.shape if isinstance(extent, Expression) for name in extent.symbols})


def example_arrays(inputs: Sequence[Input], sizes: Mapping[str, int], what: str = "random", random: np.random.Generator | None = None) -> list[np.ndarray]:
    """Data for inputs whose open sizes are `sizes`: random numbers, zeros, ones or large numbers, as `what` says."""
    generator = np.random.default_rng(0) if random is None else random
    return [_array(what, [evaluate(extent, sizes) for extent in item.shape], item.dtype, generator) for item in inputs]


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
