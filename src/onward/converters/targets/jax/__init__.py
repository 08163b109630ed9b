"""JAX: a module with a pure function of parameters and inputs, and the parameters, a tree of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onward.converters.targets.channels_last import moments_of, with_channels_last
from onward.converters.targets.jax.native import RULES
from onward.converters.targets.jax.words import JaxWords
from onward.converters.targets.printing.module import (
    Function,
    execute,
    module_text,
    needs_double_precision,
    reserved,
    weights_of,
    write_files,
    write_weights,
)
from onward.ir import Model, Value

PLATFORMS = ("cpu", "cuda", "tpu")

PRELUDE = Path(__file__).with_name("prelude.py")

MODEL = '''

@jax.tree_util.register_pytree_node_class
class Model:
    """`model` with its parameters. It is a tree itself: jax.jit, jax.grad and jax.vmap take it as an argument, too."""

    function = staticmethod(model)

    def __init__(self, parameters):
        self.parameters = parameters

    def __call__(self, *inputs):
        return model(self.parameters, *map(jnp.asarray, inputs))

    def tree_flatten(self):
        return (self.parameters,), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


def assemble(weights):
    """The model with its weights by name."""
    variables = tree(weights)
    constants.update(variables.get("constants", {}))
    return Model(jax.tree.map(jnp.asarray, variables.get("parameters", {})))


def load(path=Path(__file__).with_name("weights.npz")):
    """The model with the weights of a file."""
    return assemble(dict(np.load(path)))
'''


def source_of(model: Model, constants: Mapping[str, Any] | None = None) -> tuple[str, dict[str, np.ndarray]]:
    """The text of a JAX module that computes what the model does, and the weights that it reads.

    Names of weights begin with the scope `parameters` or, where they are not trained (whole numbers, statistics of batches), `constants`. Raises
    UnsupportedOperator with all operators that cannot be said in JAX.
    """
    names = reserved(PRELUDE, "parameters", "constants", "model", "Model", "assemble", "load")
    words = JaxWords()
    turned = with_channels_last(model)
    moments = moments_of(model)
    trained = {value for value in weights_of(turned) if not any(value.tensor.numpy() is other for other in moments)}  # type: ignore[union-attr]
    function = Function(turned, words, names, constants, RULES, trained)
    if needs_double_precision(model):
        function.lines.insert(0, "    require_double_precision()")
    weights = {f"{'parameters' if name in words.trained else 'constants'}.{name}": array for name, array in function.weights.items()}
    small = {name: array.dtype.name for name, array in weights.items() if array.dtype.type.__module__ != "numpy"}
    rest = MODEL.replace("dict(np.load(path))", f"unpacked(dict(np.load(path)), {small})") if small else MODEL
    body = f"constants = {{}}  # what the function reads but does not train\n\n\n{function.text('parameters')}{rest}"
    return module_text(model, "JAX", PRELUDE, body), weights


def convert(model: Model, constants: Mapping[str, Any] | None = None) -> Any:
    """An object to be called with arrays of JAX or NumPy in the order of the model's inputs.

    It has `parameters`, a tree, and `function(parameters, *inputs)`, which is pure.
    """
    import jax

    text, weights = source_of(model, constants)
    with jax.enable_x64(True):  # weights keep their type, whatever the caller's setting
        return execute(text).assemble(weights)


def call(result: Any, inputs: Sequence[Any]) -> Any:
    """Calls the object; numbers of 64 bits are kept.

    It is compiled as a whole, but where the values of inputs give results their shapes.
    """
    import jax

    with jax.enable_x64(True):
        try:
            return jax.jit(result)(*inputs)
        except (TypeError, IndexError):  # a shape that is not known ahead, in one of JAX's many words for it
            return result(*inputs)


def loaded(module: Any) -> Any:
    """The object of a module that was written; numbers of 64 bits are kept, as in calls."""
    import jax

    with jax.enable_x64(True):
        return module.load()


def run(result: Any, inputs: Sequence[Any]) -> list[np.ndarray]:
    """Calls the object and gives what it returned as a list of NumPy arrays."""
    results = call(result, inputs)
    return [np.asarray(item) for item in (results if isinstance(results, tuple) else (results,))]


def write(model: Model, folder: Path, constants: Mapping[str, Any] | None = None) -> None:
    """Writes `model.py`, `weights.npz` and, where JAX can trace all sizes ahead, `model.stablehlo` into a folder, each as a whole or not at all.

    The last is what `jax.export` serialises: `jax.export.deserialize(data).call(parameters, *inputs)`.
    """
    text, weights = source_of(model, constants)
    exported = _exported(model, convert(model, constants), constants or {})
    files = {"weights.npz": write_weights(weights), "model.py": lambda path: path.write_text(text, encoding="ascii")}
    write_files(folder, files if exported is None else {**files, "model.stablehlo": lambda path: path.write_bytes(exported)})


def _exported(model: Model, result: Any, constants: Mapping[str, Any]) -> bytes | None:
    """The function for all sizes and processors; None where a size depends on numbers that are fed."""
    import jax
    from jax import export

    inputs = [value for value in model.graph.inputs if value.tensor is None and value.name not in constants]
    names: dict[str, str] = {}
    scope = export.SymbolicScope()

    def extents(value: Value) -> str:
        assert value.shape is not None
        items = [str(extent) if extent is not None else f"{value.name}.{axis}" for axis, extent in enumerate(value.shape)]
        return ", ".join(item if item.isdigit() else names.setdefault(item, f"n{len(names)}") for item in items)

    if any(value.shape is None or value.dtype is None for value in inputs):
        return None
    with jax.enable_x64(jax.config.jax_enable_x64 or needs_double_precision(model)):
        shapes = [export.symbolic_shape(extents(value), scope=scope) for value in inputs]
        specifications = [jax.ShapeDtypeStruct(shape, value.dtype.numpy) for shape, value in zip(shapes, inputs) if value.dtype is not None]
        parameters = jax.tree.map(lambda item: jax.ShapeDtypeStruct(item.shape, item.dtype), result.parameters)
        try:
            return bytes(export.export(jax.jit(result.function), platforms=PLATFORMS)(parameters, *specifications).serialize())
        except (TypeError, IndexError, ValueError, NotImplementedError):  # JAX's words for a size that it cannot reckon with
            return None
