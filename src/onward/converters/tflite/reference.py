"""TFLite's own interpreter as the judge: data that a model accepts, in several sizes, and what it computes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from onward.converters.certificate import Reference
from onward.converters.tflite.tensors import TYPES, Tensor
from onward.errors import ConversionError
from onward.ir import Model

TOLERANCES = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-11, np.dtype(np.float16): 5e-3}
SEED = 8
NOT_RUN = "no interpreter of TFLite is installed (ai_edge_litert or tensorflow): the source was not run, nothing is compared"


def interpreter_class() -> tuple[Any, Any, str] | None:
    """The interpreter, its sets of kernels, and its name and version; None where none is installed."""
    try:
        import tensorflow as tf

        return tf.lite.Interpreter, tf.lite.experimental.OpResolverType, f"TensorFlow Lite {tf.__version__}"
    except ImportError:
        pass
    try:
        from ai_edge_litert import interpreter

        return interpreter.Interpreter, interpreter.OpResolverType, "LiteRT"
    except ImportError:
        return None


def reference_of(
    data: bytes,
    called: tuple[str, list[str], list[str]] | None,
    inputs: list[str],
    outputs: list[str],
    given: list[Tensor],
    made: list[Tensor],
    exactly: Model | None,
    ties: bool,
) -> Reference:
    """What the interpreter computes with its own kernels; `exactly` is the model without the rounding to codes. Without an
    interpreter nothing can be compared: the notes say so. `called` are the names by which the file knows a function that is not its first,
    its inputs and its outputs. `ties` says that the source puts equal numbers in no order that is told:
    they are not tried then."""
    notes = tuple(f"input '{name}' has fixed sizes {list(tensor.shape)}" for name, tensor in zip(inputs, given) if -1 not in tensor.shape)
    found = interpreter_class()
    if found is None:
        return Reference("TFLite", data_of(inputs, given, ties), None, notes=(*notes, NOT_RUN))
    if ties:
        notes = (*notes, "boxes of equal scores are suppressed in no order that is told: not tried")
    steps = {name: _step(tensor) for name, tensor in zip(outputs, made)}
    outcome = runner(data, found, inputs, outputs) if called is None else _caller(data, found, called, inputs, outputs)
    return Reference(found[2], data_of(inputs, given, ties), outcome, exactly=_session(exactly), tolerances=TOLERANCES, notes=notes, steps=steps)


def _step(tensor: Tensor) -> float:
    """The distance of neighbouring results: 1 for codes, the scale for what is made of codes."""
    if tensor.quantization is not None:
        return 1.0
    origin = tensor.source.quantization if tensor.source is not None else None
    return float(origin.scale[0]) if origin is not None else 0.0


def _session(model: Model | None) -> Callable[[Any], Mapping[str, np.ndarray]] | None:
    """A function that runs a model for feeds; compiled when it is first called."""
    if model is None:
        return None

    @cache
    def session() -> Any:
        from onward.runtime import InferenceSession

        return InferenceSession(model.to_bytes())

    def run(feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        names = [value.name for value in model.graph.outputs]
        return dict(zip(names, session().run(None, dict(feeds)), strict=True))

    return run


def runner(data: bytes, found: tuple[Any, Any, str], inputs: list[str], outputs: list[str]) -> Callable[[Any], Mapping[str, np.ndarray] | None]:
    """A function that runs the file for feeds; None where the interpreter refuses them. Variables begin anew each time."""

    def run(feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray] | None:
        interpreter = _interpreter(data, found)
        try:
            details = interpreter.get_input_details()
            for name, detail in zip(inputs, details, strict=True):
                if list(detail["shape"]) != list(np.shape(feeds[name])):
                    interpreter.resize_tensor_input(detail["index"], np.shape(feeds[name]), strict=False)
            interpreter.allocate_tensors()
            for name, detail in zip(inputs, details, strict=True):
                interpreter.set_tensor(detail["index"], np.asarray(feeds[name]))
            interpreter.invoke()
            results = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
        except (ValueError, RuntimeError):
            return None
        return {name: _text(result) if result.dtype == object else result for name, result in zip(outputs, results, strict=True)}

    return run


def _caller(
    data: bytes, found: tuple[Any, Any, str], called: tuple[str, list[str], list[str]], inputs: list[str], outputs: list[str]
) -> Callable[[Any], Mapping[str, np.ndarray] | None]:  # fmt: skip
    """The same for a function of the file that has a name."""
    key, given, made = called

    def run(feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray] | None:
        function = _interpreter(data, found).get_signature_runner(key)
        try:
            results = function(**{own: np.asarray(feeds[name]) for own, name in zip(given, inputs, strict=True)})
        except (ValueError, RuntimeError):
            return None
        return {name: _text(results[own]) if results[own].dtype == object else results[own] for own, name in zip(made, outputs, strict=True)}

    return run


def _interpreter(data: bytes, found: tuple[Any, Any, str]) -> Any:
    """An interpreter with TFLite's own kernels, without those of other libraries, which some processors lack. The reference
    kernels come second: of sums and local response normalisation they differ from TensorFlow. Raises ConversionError for a file that it does not read."""
    problem: Exception | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that another package has the same interpreter
        for kernels in (found[1].BUILTIN_WITHOUT_DEFAULT_DELEGATES, found[1].BUILTIN_REF):
            try:
                return found[0](model_content=data, experimental_op_resolver_type=kernels)
            except (ValueError, RuntimeError) as failure:
                problem = failure
    raise ConversionError(f"the interpreter of {found[2]} does not read the file: {str(problem)[:300]}")


def _text(array: np.ndarray) -> np.ndarray:
    return np.vectorize(lambda item: item.decode("utf-8", "replace") if isinstance(item, bytes) else item, otypes=[object])(array)


def data_of(names: list[str], tensors: list[Tensor], ties: bool) -> dict[str, dict[str, np.ndarray]]:
    """Random numbers in several sizes, zeros, ones, and large numbers."""
    rng = np.random.default_rng(SEED)
    cases: dict[str, Callable[[Tensor, tuple[int, ...]], np.ndarray]] = {
        "random": lambda x, shape: _random(rng, x, shape, 1.0),
        "zeros": lambda x, shape: np.full(shape, "" if x.type == "STRING" else 0, TYPES[x.type]),
        "ones": lambda x, shape: np.full(shape, "a" if x.type == "STRING" else 1, TYPES[x.type]),
        "large": lambda x, shape: _random(rng, x, shape, 100.0),
    }
    made: dict[str, dict[str, np.ndarray]] = {}
    is_open = any(-1 in x.shape for x in tensors)
    for size in (3, 1, 8) if is_open else (1,):
        for what, fill in cases.items():
            if ties and what in ("zeros", "ones"):
                continue
            if size != 3 and is_open and what != "random":
                continue
            label = what if not is_open else f"{what}, size {size}"
            shapes = [tuple(size if extent < 0 else extent for extent in x.shape) for x in tensors]
            made[label] = {name: fill(x, shape) for name, x, shape in zip(names, tensors, shapes)}
    return made


def _random(rng: np.random.Generator, x: Tensor, shape: tuple[int, ...], size: float) -> np.ndarray:
    kind = np.dtype(TYPES[x.type])
    if x.type == "STRING":
        return rng.choice(np.array(["", "a", "word", "two words"], object), shape)
    if x.type == "BOOL":
        return rng.random(shape) < 0.5
    if kind.kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(kind)
    if kind.kind == "f":
        return (rng.normal(size=shape) * size).astype(kind)
    if x.quantization is not None or kind.itemsize == 1:
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
    return rng.integers(0, 1 + int(size), shape).astype(kind)
