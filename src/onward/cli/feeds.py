"""Inputs for a run: from files, or random."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from onward.errors import FormatError, InvalidArgument
from onward.format.wire import decode
from onward.ir import Model, TensorType, Value
from onward.ir.deserialization import read_tensor
from onward.ir.expressions import Expression, evaluate

Feeds = dict[str, np.ndarray]


def model_inputs(model: Model) -> list[Value]:
    """The inputs that a caller must feed."""
    return [value for value in model.graph.inputs if value.tensor is None]


def parse_sizes(items: Iterable[str]) -> dict[str, int]:
    """`batch=4` -> {"batch": 4}. Raises InvalidArgument for anything else."""
    sizes = {}
    for item in items:
        name, _, number = item.partition("=")
        if not name or not number.isdigit():
            raise InvalidArgument(f"'{item}' is no size; write NAME=NUMBER, such as batch=4")
        sizes[name] = int(number)
    return sizes


def read_feeds(files: Sequence[str], names: Sequence[str]) -> Feeds:
    """Arrays from `[NAME=]FILE`: .npy and .pb (an ONNX TensorProto) hold one, .npz one for each name.

    Without a name, an array is taken for the input its file names, else for the next one in order.
    Raises InvalidArgument for an unknown input or kind of file, FormatError for a damaged file.
    """
    feeds: Feeds = {}
    for item in files:
        name, separator, place = item.partition("=")
        path = Path(place if separator else item)
        for own, array in _arrays(path).items():
            target = name if separator else own if own in names else next((n for n in names if n not in feeds), own)
            if target not in names:
                raise InvalidArgument(f"'{path}' gives '{target}', but the model's inputs are {', '.join(names)}")
            feeds[target] = array
    return feeds


def read_arrays(files: Sequence[str]) -> list[np.ndarray]:
    """All arrays of some files, in order. Raises as `read_feeds`."""
    return [array for file in files for array in _arrays(Path(file)).values()]


def _arrays(path: Path) -> Feeds:
    """Everything a file holds; "" is the name of an array without one."""
    if not path.is_file():
        raise InvalidArgument(f"there is no file '{path}'")
    try:
        if path.suffix == ".npy":
            return {"": np.load(path, allow_pickle=False)}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError) as problem:
        raise FormatError(f"'{path}' cannot be read as {path.suffix}: {problem}") from problem
    if path.suffix == ".pb":
        tensor = read_tensor(decode("TensorProto", path.read_bytes()))
        return {tensor.name: tensor.numpy()}
    raise InvalidArgument(f"'{path}' is no .npy, .npz or .pb file")


def random_feeds(inputs: Sequence[Value], sizes: Mapping[str, int], seed: int = 0) -> Feeds:
    """Random arrays: normal floats, integers 0 or 1 (the only ones that every index and mask allows).

    Symbols take their size from `sizes`; the others are 1, which is always reported by `assumed_sizes`.
    """
    generator = np.random.default_rng(seed)
    return {value.name: _random_array(value, sizes, generator) for value in inputs}


def assumed_sizes(inputs: Sequence[Value], sizes: Mapping[str, int]) -> dict[str, int]:
    """The symbols of the inputs that `sizes` leaves open, with the size that is taken for them.

    Raises InvalidArgument where `sizes` names a symbol that no input has.
    """
    symbols = {name: None for value in inputs for extent in _shape(value) if isinstance(extent, Expression)
               for name in sorted(extent.symbols)}  # fmt: skip
    unknown = [name for name in sizes if name not in symbols]
    if unknown:
        raise InvalidArgument(f"no input has a size '{unknown[0]}'; known are {', '.join(symbols) or 'none: all are fixed'}")
    return {name: 1 for name in symbols if name not in sizes}


def _shape(value: Value) -> Sequence[object]:
    kind = value.type
    if not isinstance(kind, TensorType) or kind.shape is None:
        raise InvalidArgument(f"input '{value.name}' has no known rank; give it as a file: --input {value.name}=FILE")
    return kind.shape


def _random_array(value: Value, sizes: Mapping[str, int], generator: np.random.Generator) -> np.ndarray:
    kind = value.type
    shape = [1 if extent is None else _size(extent, sizes) for extent in _shape(value)]
    assert isinstance(kind, TensorType)
    if kind.dtype.is_float:
        return generator.standard_normal(shape).astype(kind.dtype.numpy)
    if kind.dtype.is_complex:
        return (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)).astype(kind.dtype.numpy)
    if kind.dtype.name == "STRING":
        return np.full(shape, "", dtype=object)
    return generator.integers(0, 2, shape).astype(kind.dtype.numpy)


def _size(extent: object, sizes: Mapping[str, int]) -> int:
    if not isinstance(extent, Expression):
        assert isinstance(extent, int)
        return extent
    return evaluate(extent, {**{name: 1 for name in extent.symbols}, **sizes})
