"""The function itself as the judge of its conversion: data that it accepts, in several sizes, and what it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from onward.converters.certificate import Reference
from onward.converters.comparison import tolerances_with
from onward.converters.jax.capture import Capture
from onward.converters.jax.emitter import REAL, is_float, is_key
from onward.converters.jax.graph import equations_of
from onward.converters.jax.sizes import is_static
from onward.converters.jax.sources import Source

TOLERANCES = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-11, np.dtype(np.float16): 5e-3}


def reference_of(source: Source, captured: Capture, inputs: list[str], outputs: list[str], may_not_end: bool) -> Reference:
    """What the function computes on its example and on generated data."""
    judge = _Judge(source, captured, inputs, outputs)
    if may_not_end:
        captured.notes.append("a loop's condition decides when it ends: only the example was tried")
    data = judge.data()
    if may_not_end:
        data = dict([next(iter(data.items()))])
    narrow = (variable.aval.dtype for equation in equations_of(captured.closed.jaxpr) for variable in equation.outvars if hasattr(variable.aval, "dtype"))
    tolerances, notes = tolerances_with((np.dtype(dtype) for dtype in narrow if not is_key(dtype)), TOLERANCES)
    return Reference(f"jax {jax.__version__}", data, judge.outputs, judge.exactly, tolerances, (*captured.notes, *notes))


class _Judge:
    def __init__(self, source: Source, captured: Capture, inputs: list[str], outputs: list[str]) -> None:
        self.source, self.captured = source, captured
        self.inputs, self.labels = inputs, outputs
        self.specifications = captured.example.specifications

    def data(self) -> dict[str, dict[str, np.ndarray]]:
        """Feeds: the example, random numbers, zeros, ones, large numbers, and other sizes where sizes are open."""
        random = np.random.default_rng(0)
        leaves = [self.captured.example.leaves[place] for place in self.captured.example.places]
        examples = [_array(leaf, item.dtype, random) for leaf, item in zip(leaves, self.specifications, strict=True)]
        makers: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "the example": lambda item: item,
            "random numbers": lambda item: _random(item, random),
            "zeros": np.zeros_like,
            "ones": np.ones_like,
            "large numbers": lambda item: _large(item, random),
        }
        feeds = {what: {name: make(item) for name, item in zip(self.inputs, examples)} for what, make in makers.items()}
        if any(not is_static(extent) for shape in self.captured.shapes for extent in shape):
            feeds["open sizes of 1"] = self._resized(examples, 1, random)
            feeds["open sizes of 3 more"] = self._resized(examples, 3, random)
        return feeds

    def _resized(self, examples: list[np.ndarray], size: int, random: np.random.Generator) -> dict[str, np.ndarray]:
        """The example with every open extent 1, or larger by `size`."""
        feeds = {}
        for name, item, shape in zip(self.inputs, examples, self.captured.shapes, strict=True):
            for axis, extent in enumerate(shape):
                if not is_static(extent):
                    wanted = 1 if size == 1 else item.shape[axis] + size
                    item = np.take(item, np.arange(wanted) % max(item.shape[axis], 1), axis)
            feeds[name] = _random(item, random)
        return feeds

    def outputs(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """What the function gives, or None where it refuses the data."""
        return self._run(feeds, lambda item: item)

    def exactly(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """The same in double precision, or None where the function cannot do that."""
        with jax.enable_x64(True):
            return self._run(feeds, _doubled)

    def _run(self, feeds: Mapping[str, np.ndarray], prepare: Any) -> dict[str, np.ndarray] | None:
        source = self.source
        given = [prepare(array_of(feeds[name], item.dtype)) for name, item in zip(self.inputs, self.specifications, strict=True)]
        parameters = [prepare(source.leaves[place]) for place in source.arrays]
        arguments, keywords = self.captured.example.call(given)
        try:
            results = jax.tree_util.tree_leaves(source.run(parameters, arguments, keywords))
        except Exception:  # the function does not take this data
            return None
        return {name: numbers(item) for name, item in zip(self.labels, results, strict=True)}


def numbers(item: Any) -> np.ndarray:
    """An array as NumPy has it: complex numbers as pairs, keys as words."""
    if isinstance(item, jax.Array) and is_key(item.dtype):
        return np.asarray(jax.random.key_data(item))
    array = np.asarray(item if isinstance(item, (jax.Array, np.ndarray, np.generic)) else jax.numpy.asarray(item))
    return np.stack([array.real, array.imag], -1) if array.dtype in REAL else array


def array_of(array: np.ndarray, dtype: Any) -> Any:
    """Numbers of a feed as an array of JAX."""
    if is_key(dtype):
        return jax.random.wrap_key_data(jax.numpy.asarray(array), impl=dtype._impl.name)
    if np.dtype(dtype) in REAL:
        array = (array[..., 0] + 1j * array[..., 1]).astype(dtype)
    return jax.numpy.asarray(array)


def _doubled(item: Any) -> Any:
    if is_key(item.dtype) or not (is_float(item.dtype) or np.dtype(item.dtype) in REAL):
        return item
    return jax.numpy.asarray(item).astype(np.complex128 if np.dtype(item.dtype) in REAL else np.float64)


def _array(leaf: Any, dtype: Any, random: np.random.Generator) -> np.ndarray:
    """The numbers of an example; random ones where only shape and type were given."""
    if not isinstance(leaf, jax.ShapeDtypeStruct):
        return numbers(leaf) if is_key(dtype) else numbers(np.asarray(leaf).astype(dtype))
    if is_key(dtype):
        return random.integers(0, 1 << 32, (*leaf.shape, *dtype._impl.key_shape), np.uint32)
    if np.dtype(dtype) in REAL:
        return random.standard_normal((*leaf.shape, 2)).astype(REAL[np.dtype(dtype)])
    if is_float(dtype):
        return random.standard_normal(leaf.shape).astype(dtype)
    return random.integers(0, 2, leaf.shape).astype(dtype)


def _random(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Normal numbers with the example's spread; whole numbers from the example's range, so that indices stay valid."""
    if array.size == 0:
        return array
    if array.dtype == np.bool_:
        return random.random(array.shape) < 0.7
    if is_float(array.dtype):
        finite = np.abs(array.astype(np.float64)[np.isfinite(array.astype(np.float64))])
        scale = (float(finite.mean()) if finite.size else 0.0) or 1.0
        return (random.standard_normal(array.shape) * scale).astype(array.dtype)
    return random.integers(int(array.min()), int(array.max()), array.shape, dtype=array.dtype, endpoint=True)


def _large(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    made = _random(array, random)
    return (made.astype(np.float64) * 50).astype(array.dtype) if is_float(array.dtype) else made
