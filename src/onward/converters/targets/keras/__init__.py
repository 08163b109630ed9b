"""Keras 3: a functional model of Keras's own layers and operations, and of generated layers for the rest."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onward import operators
from onward import program as P
from onward.converters.keras import load
from onward.converters.targets.channels_last import with_channels_last
from onward.converters.targets.keras.blocks import Blocks
from onward.converters.targets.keras.layers import FUNCTIONS, numbers, plain
from onward.converters.targets.keras.network import Network, Taken
from onward.converters.targets.keras.quantized import LAYERS, with_dequantized_weights
from onward.converters.targets.keras.statements import Path as Module
from onward.converters.targets.keras.statements import Statement, named, parsed, path_of, used
from onward.converters.targets.keras.words import KerasWords, storage
from onward.converters.targets.preparation import recognized
from onward.converters.targets.printing.module import (
    execute,
    module_text,
    needs_double_precision,
    reserved,
    run_module,
    weights_of,
    write_files,
)
from onward.converters.targets.printing.native import Native
from onward.converters.targets.printing.routines import refuse_unknown
from onward.converters.targets.printing.storage import kept
from onward.converters.targets.proof import Subject
from onward.errors import InvalidArgument, UnsupportedModel
from onward.ir import Model
from onward.operators.native import Call
from onward.passes.rules import reshaping, shaping

PRELUDE = Path(__file__).with_name("prelude.py")
ENDINGS = (".keras", ".h5")

REGISTERED = """for _kind in [{names}]:
    keras.saving.register_keras_serializable("generated_{digest}")(_kind)


"""

BUILD = '''def build():
    """The model, whose weights are not there yet."""
{lines}


def load(path=Path(__file__).with_name("model.weights.h5")):
    """The model with the weights of a file."""
    model = build()
    model.load_weights(path)
    return model
'''


def network_of(model: Model, constants: Mapping[str, Any] | None = None) -> tuple[str, Network]:
    """The text of a module whose `build` makes the model, and what its layers hold.

    Raises UnsupportedOperator with all operators that cannot be said in Keras.
    """
    turned = with_channels_last(recognized(with_dequantized_weights(model), reshaping, shaping))
    words = KerasWords()
    offered: list[P.Array] = []

    def claim(call: Call) -> Native | None:
        if call.node.graph is not turned.graph:  # in a loop or a function: part of a layer
            return None
        sources = tuple(item for item in call.inputs if item is not None and item.content is None and numbers(item) is None)
        if not sources or all(any(result is item for item in call.inputs) for result in call.results):
            return None
        where = call.results, call.node.op_type, plain(call)
        said = LAYERS(call)
        if said is not None:
            return Native(_or_generated(said.write, *where), sources if said.sources is None else said.sources)
        function = FUNCTIONS(call)
        if function is not None:
            return Native(lambda network: network.written(function.write, *where), sources)
        offered.extend(call.results)
        return Native(lambda network: network.generated(*where), sources)

    program = operators.lower(turned, constants=constants, native=claim, parameters=weights_of(turned))
    refuse_unknown(words, [*program.outputs.values(), *offered])
    taken = reserved(PRELUDE, "build", "load", "name", "number", "self")
    network = Network(words, taken)
    inputs = [network.names.fresh(item.label) for item in program.inputs]
    for item, name in zip(program.inputs, inputs):
        network.input(item, name)
    outputs = [_output(network, item) for item in program.outputs.values()]
    network.rename_like_automatic()
    lists = [items[0] if len(items) == 1 and items[0].isidentifier() else f"[{', '.join(items)}]" for items in (inputs, outputs)]
    functions = _functions(model, network, f"return keras.Model({', '.join(lists)}, name='model')", taken)
    shared = "".join(network.classes.values())
    network.classes = {name: text for name, text in network.classes.items() if re.search(rf"\b{name}\(", functions) or f"(Shared, {name})" in shared}
    return module_text(model, "Keras", PRELUDE, _registered(network) + functions), network


def _or_generated(write: Callable[[Network], Any], *where: Any) -> Callable[[Network], Any]:
    """Writes a layer, or a generated one where the weights are those of another layer already."""

    def written(network: Network) -> Any:
        try:
            return write(network)
        except Taken:
            return network.generated(*where)

    return written


def _registered(network: Network) -> str:
    """The texts of classes, which Keras knows by their names and by what they do."""
    names = [*network.registered, *network.classes]
    if not names:
        return ""
    digest = hashlib.sha256("".join([*names, *network.classes.values()]).encode()).hexdigest()[:10]
    return "".join(f"{text}\n\n" for text in network.classes.values()) + REGISTERED.format(names=", ".join(names), digest=digest)


def _functions(model: Model, network: Network, end: str, taken: set[str]) -> str:
    """The functions of the module: those of blocks that occur several times, and that of the whole."""
    blocks = Blocks(taken | network.classes.keys(), _titles(model))
    last = Statement(ast.parse(end).body[0])
    statements = used(parsed(network.lines, network.modules), last)
    results = last.read({name for item in statements for name in item.defined})
    body = [*blocks.body(statements, results), last]
    lines, _ = named(body, {name: name for name in network.inputs}, network.inputs, blocks.names.taken)
    pictures = "@channels_last\n" if any(re.search(r"layers\.\w+\dD", line) for line in network.lines) else ""
    return "".join(f"{text}\n\n" for text in blocks.functions) + pictures + BUILD.format(lines="\n".join(f"    {line}" for line in lines))


def _titles(model: Model) -> dict[Module, str]:
    """What the classes of modules were called, where PyTorch's exporter noted it."""
    found: dict[Module, str] = {}
    for node in model.graph.nodes:
        names, kinds = (re.findall(r"'([^']*)'", node.metadata.get(f"pkg.torch.onnx.{key}", "")) for key in ("name_scopes", "class_hierarchy"))
        found.update({path_of(name): kind.rpartition(".")[2] for name, kind in zip(names[:-1], kinds[:-1])})
    return found


def _output(network: Network, item: Any) -> str:
    return f"[{', '.join(_output(network, part) for part in item)}]" if isinstance(item, list) else network.array(item)


def source_of(model: Model, constants: Mapping[str, Any] | None = None) -> tuple[str, dict[str, np.ndarray]]:
    """The text of a module that builds the model, and its weights: `layer/0` is the first of that layer."""
    text, network = network_of(model, constants)
    return text, {f"{name}/{place}": data for name, weights in network.layers.items() for place, data in enumerate(weights)}


def convert(model: Model, constants: Mapping[str, Any] | None = None) -> Any:
    """A functional model; several inputs are a list, in the order of the model's.

    Raises UnsupportedModel for a model of float64 where Keras's backend has none.
    """
    _require_double_precision(model)
    text, network = network_of(model, constants)
    module = execute(text)
    result = module.build()
    for layer in result.layers:
        if layer.name in network.layers:
            layer.set_weights(network.layers[layer.name])
    result.source = text if network.classes or network.registered else ""
    return result


def _require_double_precision(model: Model) -> None:
    import keras

    if keras.backend.backend() != "jax" or not needs_double_precision(model):
        return
    import jax

    if not jax.config.jax_enable_x64:
        raise UnsupportedModel(
            "the model computes in float64, which Keras's JAX backend shortens: set jax.config.update('jax_enable_x64', True), or "
            "choose another backend (KERAS_BACKEND=tensorflow)"
        )


def run(result: Any, inputs: Sequence[Any]) -> list[np.ndarray]:
    """Calls the model and gives what it returned as a list of NumPy arrays."""
    tensors = [kept(item, storage()) for item in inputs]
    results = result(tensors[0] if len(tensors) == 1 else tensors)
    return [_array(item) for item in (results if isinstance(results, (list, tuple)) else [results])]


def _array(item: Any) -> Any:
    from keras import ops

    return [_array(part) for part in item] if isinstance(item, (list, tuple)) else ops.convert_to_numpy(item)


def save(subject: Subject, path: Path, constants: Mapping[str, Any]) -> None:
    """Writes a `.keras` file; where the model has generated layers, their classes stand in a module of the same name beside it.

    Raises InvalidArgument for another ending.
    """
    if path.suffix not in ENDINGS:
        raise InvalidArgument(f"models of Keras are written to files that end in {' or '.join(ENDINGS)}, not '{path.name}'")
    subject.result.save(path)
    if subject.result.source:
        path.with_suffix(".py").write_text(subject.result.source, encoding="ascii")


def opened(path: Path, trust: bool) -> Any:
    """The model of a file, and of the module beside it, whose code runs. Raises InvalidArgument for code that is not trusted."""
    beside = path.with_suffix(".py")
    if beside.is_file():
        run_module(beside, trust)
    return load(path, trust)


def write(model: Model, folder: Path, constants: Mapping[str, Any] | None = None) -> None:
    """Writes `model.py` and `model.weights.h5` into a folder, each as a whole or not at all."""
    result = convert(model, constants)
    text = source_of(model, constants)[0]

    def weights(path: Path) -> None:
        named = path.with_name("_.weights.h5")  # Keras wants this ending
        result.save_weights(named)
        named.rename(path)

    write_files(folder, {"model.weights.h5": weights, "model.py": lambda path: path.write_text(text, encoding="ascii")})
