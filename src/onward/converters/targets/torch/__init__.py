"""PyTorch: a module with a class `Model`, and its weights as a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from onward.converters.targets.preparation import recognized
from onward.converters.targets.printing.module import (
    Function,
    execute,
    module_text,
    reserved,
    weights_of,
    write_files,
)
from onward.converters.targets.proof import Subject
from onward.converters.targets.torch.files import write_program
from onward.converters.targets.torch.modules import Modules
from onward.converters.targets.torch.quantized import scales_of, with_float_weights
from onward.converters.targets.torch.rules import RULES
from onward.converters.targets.torch.source import classes_text
from onward.converters.targets.torch.words import TorchWords
from onward.converters.torch import load
from onward.converters.torch.emitter import to_numpy
from onward.converters.torch.state import State
from onward.errors import InvalidArgument
from onward.ir import Model, Value
from onward.ir.datatypes import DataType
from onward.passes.rules import activation, reshaping, transposition

PRELUDE = Path(__file__).with_name("prelude.py")

FLOATS = (DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16, DataType.BFLOAT16)

RESERVED = ("self", "Model", "build", "load", "device", "dtype")

LOAD = '''
def build(weights):
    """The model with its weights by name."""
    with torch.device("meta"):
        model = Model()
    rest = model.load_state_dict(weights, strict=False, assign=True).unexpected_keys
    for name in rest:  # constants, which are no part of the state
        owner, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(owner), leaf, weights[name])
{ties}    return model.eval()


def load(path=Path(__file__).with_name("weights.safetensors")):
    """The model with the weights of a file."""
    return build(load_file(path))
'''


def source_of(model: Model, constants: Mapping[str, Any] | None = None) -> tuple[str, dict[str, np.ndarray]]:
    """The text of a module that computes what the model does, and its weights by their names in `state_dict`.

    Raises UnsupportedOperator with all operators that cannot be said in PyTorch.
    """
    state, given, nodes = State.of(model), _known(model), model.graph.nodes
    # PyTorch's own GELU rounds otherwise than one that a module writes out, and what comes back gives the module's numbers to an ulp.
    model = recognized(model, reshaping, transposition, written_out=() if state is None else (activation,))
    model = with_float_weights(model) if state is None else model
    initializers = _known(model)
    scales = scales_of(model) if state is None else set()
    weights = {value for value in weights_of(model) if value.name in given or value.tensor.numpy().size > 1}  # type: ignore[union-attr]  # others stood in nodes `Constant`
    parameters = weights | scales if state is None else {initializers[name] for name in (*state.parameters, *state.buffers) if name in initializers}
    named = given if state is not None else initializers
    modules = Modules([name for name in named if name not in initializers or initializers[name] in parameters], state, {value.name for value in scales})
    words = TorchWords(modules, main_type(model, parameters))
    taken = reserved(PRELUDE, *RESERVED)
    function = Function(model, words, taken, constants, RULES, parameters)
    modules.keep(function.weights)
    modules.keep_state({name: value.tensor.numpy() for name, value in given.items()})  # type: ignore[union-attr]
    body = classes_text(modules, function, nodes, words.main, taken)
    ties = "    model.tie_weights()\n" if modules.ties else ""
    return module_text(model, "PyTorch", PRELUDE, f"{body}\n{LOAD.format(ties=ties)}"), modules.weights


def _known(model: Model) -> dict[str, Value]:
    """The initialisers that a model has numbers of."""
    return {name: value for name, value in model.graph.initializers.items() if value.tensor is not None}


def main_type(model: Model, parameters: set[Value]) -> DataType:
    """The type of floats that the model computes in: that of most weights, else of the first input of floats."""
    counts: dict[DataType, int] = {}
    for value in parameters:
        if value.dtype in FLOATS:
            counts[value.dtype] = counts.get(value.dtype, 0) + int(np.prod(value.tensor.shape))  # type: ignore[union-attr]
    kinds = [value.dtype for value in model.graph.inputs if value.dtype in FLOATS]
    return max(counts, key=lambda kind: counts[kind]) if counts else (*kinds, DataType.FLOAT)[0]  # type: ignore[return-value]


def convert(model: Model, constants: Mapping[str, Any] | None = None) -> Any:
    """A torch.nn.Module, whose inputs are the model's in their order."""
    text, weights = source_of(model, constants)
    return execute(text).build({name: tensor(data) for name, data in weights.items()})


def tensor(data: Any) -> Any:
    """A tensor of its own with the elements of an array. Raises InvalidArgument for text."""
    data = np.asarray(data)
    data = np.ascontiguousarray(data).reshape(data.shape)
    if data.dtype.kind in "OSU":
        raise InvalidArgument("PyTorch has no tensors of text")
    if data.dtype.type.__module__ == "numpy":
        return torch.tensor(data)
    name = data.dtype.name
    if name.startswith(("int", "uint")):  # of fewer than 8 bits
        return torch.tensor(data.astype(name.rstrip("0123456789") + "8"))
    return torch.tensor(data.view(f"u{data.dtype.itemsize}")).view(getattr(torch, name))


def run(result: Any, inputs: Sequence[Any]) -> list[np.ndarray]:
    """Calls the module with tensors of these arrays, and gives what it returned as arrays."""
    with torch.no_grad():
        results = result(*map(tensor, inputs))
    return [_array(item) for item in (results if isinstance(results, tuple) else (results,))]


def _array(item: Any) -> Any:
    if isinstance(item, list):
        return [_array(part) for part in item]
    if item is None:
        return None
    if item.dtype is torch.float8_e8m0fnu:
        return item.cpu().view(torch.uint8).numpy().view(DataType.FLOAT8E8M0.numpy)
    return to_numpy(item)


def write(model: Model, folder: Path, constants: Mapping[str, Any] | None = None) -> None:
    """Writes `model.py` and `weights.safetensors` into a folder, each as a whole or not at all."""
    from safetensors.torch import save_file

    text, weights = source_of(model, constants)

    def save_weights(path: Path) -> None:
        save_file({name: tensor(data) for name, data in weights.items()}, path)

    write_files(folder, {"weights.safetensors": save_weights, "model.py": lambda path: path.write_text(text, encoding="ascii")})


def save(subject: Subject, path: Path, constants: Mapping[str, Any]) -> None:
    """Writes the program of torch.export, a .pt2 file with the open sizes of the model."""
    write_program(subject.result, subject.model, constants, path)


def opened(path: Path, trust: bool) -> Any:
    """The module of a program of torch.export."""
    return load(path, trust).module()
