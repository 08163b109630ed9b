"""PyTorch: a module, an exported program, or TorchScript.

What is read is the graph of torch.export. Operators that ONNX has too stay whole (softmax, layer_norm, attention, lstm ...);
those that nobody translates are taken apart by PyTorch's own rules until all are known (`registry.py` says how to add one).
Parameters keep their names, tied ones are one initializer, and every node notes the module and the line it comes from.
"""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from onward.converters.request import Request, first_conversion
from onward.converters.torch.capture import Capture, Example, captures, example_of
from onward.converters.torch.emitter import DATA_TYPES, Emitter, Scalar, Tensor, described, is_static, to_numpy
from onward.converters.torch.graph import Walker, check_supported
from onward.converters.torch.reference import reference_of
from onward.converters.torch.state import State
from onward.converters.torch.values import recorder, sizes_that_differ
from onward.errors import ConversionError, FormatError, InvalidArgument, OnwardError
from onward.ir import Model
from onward.ir.expressions import Symbol
from onward.passes.rewrite import remove_dead

OPSET = 23
"""The version that has Attention and RMSNormalization."""


def load(path: Any, trust: bool = False) -> Any:
    """The exported program, TorchScript module or pickled module of a file.

    Raises FormatError for a file that PyTorch does not read, ConversionError for one that holds parameters alone, and InvalidArgument for
    a pickle that is not trusted.
    """
    try:
        members = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
        if not members and Path(path).read_bytes()[:1] != pickle.PROTO:
            raise FormatError(f"'{path}' is neither an archive nor a pickle of PyTorch")
        if any(name.endswith("constants.pkl") for name in members):
            return torch.jit.load(str(path), map_location="cpu")
        if members and not any(name.endswith("/data.pkl") for name in members):
            return _exported(path)
        held = _unpickled(path, trust)
    except OnwardError:
        raise
    except Exception as problem:
        advice = "; its class is in a module that has to be importable here (PYTHONPATH)" if isinstance(problem, ImportError) else ""
        raise FormatError(f"PyTorch does not read '{path}': {(str(problem).splitlines() or [type(problem).__name__])[0][:300]}{advice}") from problem
    if not isinstance(held, torch.nn.Module):
        raise ConversionError(
            f"'{path}' holds {_contents(held)}, but not what is computed with them: make the module that they belong to, "
            "load them with its load_state_dict, and convert the module"
        )
    return held


def _exported(path: Any) -> Any:
    """An exported program. PyTorch raises one text for all that can be wrong and logs the reason with its stack, which becomes the error here."""
    reasons: list[BaseException] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            reasons.append(record.exc_info[1])
        return not record.exc_info

    logger = logging.getLogger("torch.export")
    logger.addFilter(keep)
    try:
        return torch.export.load(str(path))
    except Exception as problem:
        raise reasons[-1] if reasons else problem from None
    finally:
        logger.removeFilter(keep)


def _unpickled(path: Any, trust: bool) -> Any:
    try:
        return torch.load(str(path), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as problem:
        if "weights_only" not in str(problem).lower():
            raise
        if not trust:
            raise InvalidArgument(f"'{path}' is a pickle, and reading it runs the code in it; pass trust=True (--trust) if you trust its source") from problem
    return torch.load(str(path), map_location="cpu", weights_only=False)


def _contents(held: Any) -> str:
    """What a file without a module holds, as people read it."""
    while isinstance(held, dict) and not any(isinstance(item, torch.Tensor) for item in held.values()):
        inner = [item for item in held.values() if isinstance(item, dict)]
        if not inner:
            break
        held = max(inner, key=len)
    names = list(held) if isinstance(held, dict) else []
    return f"{len(names)} parameters ({', '.join(map(str, names[:3]))} ...)" if names else f"a {type(held).__name__}"


def convert(request: Request) -> tuple[Model, Any]:
    """The model of a module or exported program, and what it is to reproduce."""
    source = request.source
    _check_weights(source)
    if isinstance(source, ExportedProgram):
        arguments, keywords = source.example_inputs or ((), {})
        try:
            module = source.module()
        except Exception as problem:  # its file opens, but what it says of guards or names makes no sense
            raise ConversionError(f"PyTorch makes no module of this program: {type(problem).__name__}: {problem}") from problem
        return _converted(request, module, Capture.of(source, Example(tuple(arguments), dict(keywords))))
    ways = captures(source, example_of(source, request.example_inputs), request.dynamic_shapes)
    return first_conversion(ways, lambda captured: _converted(request, source, captured))


def _check_weights(source: Any) -> None:
    """Raises ConversionError for weights without numbers: on the meta device, or of a lazy module that did not run."""
    tensors = source.state_dict if isinstance(source, ExportedProgram) else dict((*source.named_parameters(), *source.named_buffers()))
    empty = [name for name, item in tensors.items() if torch.nn.parameter.is_lazy(item) or item.is_meta]
    if empty:
        raise ConversionError(
            f"{len(empty)} of {len(tensors)} weights of {type(source).__name__} have no numbers ({', '.join(empty[:3])}{' ...' * (len(empty) > 3)}): they are on the "
            "meta device, or a lazy module has not run. Load them (load_state_dict(..., assign=True)), or call the module once, and convert it then"
        )


def _converted(request: Request, source: Any, captured: Capture) -> tuple[Model, Any]:
    program = captured.program
    check_supported(program.graph_module)
    c = Emitter(type(request.source).__name__, request.opset or OPSET)
    names = Names(captured, request.input_names, request.output_names)
    walker = Walker(c, program.graph_module)
    state = State()
    results = walker.run(_placeholders(c, program, names, state))
    _finish(c, program, results, names)
    captured.notes += [*names.fixed(), *names.bounded()]
    model = c.model()
    state.record(model)
    reference = reference_of(source, captured, names)
    differs = sizes_that_differ(walker, captured, names, reference)
    if differs:
        raise ConversionError(f"{type(source).__name__} decides by its sizes what it computes: {differs}")
    return model, replace(reference, values=recorder(walker, captured, names))


class Names:
    """Names of inputs, outputs and open sizes."""

    def __init__(self, captured: Capture, inputs: Sequence[str], outputs: Sequence[str] | None) -> None:
        self.program = captured.program
        specifications = captured.program.graph_signature.input_specs
        self.inputs: dict[str, str] = {}
        self.shapes: dict[str, tuple[Any, ...]] = {}
        self.symbols: dict[str, str] = {}
        self.extents: dict[str, tuple[Any, ...]] = {}
        given = list(inputs)
        placeholders = {node.name: node for node in captured.program.graph.nodes if node.op == "placeholder"}
        for specification in specifications:
            argument = specification.arg
            meta = placeholders[argument.name].meta.get("val") if argument.name in placeholders else None
            if specification.kind.name != "USER_INPUT" or not isinstance(meta, (torch.Tensor, torch.SymInt)):
                continue
            self.inputs[argument.name] = given.pop(0) if given else argument.name
            self._shape(argument.name, meta)
        if given:
            raise InvalidArgument(f"the model has {len(self.inputs)} inputs, {len(inputs)} names were given")
        self.outputs = list(outputs) if outputs else None
        self.returned: list[int] = []
        """Places of the outputs that are tensors or numbers, and their names."""
        self.labels: list[str] = []

    def _shape(self, name: str, meta: Any) -> None:
        if not isinstance(meta, torch.Tensor):
            self.shapes[name] = ()
            return
        sizes: list[Any] = []
        self.extents[name] = described(meta).shape
        for axis, extent in enumerate(self.extents[name]):
            if is_static(extent):
                sizes.append(extent)
                continue
            first = "batch" if axis == 0 and "batch" not in self.symbols.values() else f"{self.inputs[name]}_{axis}"
            sizes.append(Symbol(self.symbols.setdefault(str(extent), first)))
        if meta.dtype.is_complex:
            sizes.append(2)
        self.shapes[name] = tuple(sizes)

    def fixed(self) -> list[str]:
        """What is said of inputs whose sizes are not all open."""
        return [
            f"input '{self.inputs[name]}' has fixed sizes {[extent if is_static(extent) else '?' for extent in shape]}"
            for name, shape in self.shapes.items()
            if any(is_static(extent) for extent in shape)
        ]

    def bounded(self) -> list[str]:
        """What is said of open sizes that decisions on the way bound: where strides leave one of 1, it is captured as a 1."""
        ranges = {str(symbol): bounds for symbol, bounds in self.program.range_constraints.items()}
        greatest = {name: int(ranges[symbol].upper) for symbol, name in self.symbols.items() if symbol in ranges and ranges[symbol].upper.is_Integer}
        return [f"size '{name}' is open up to {most}: PyTorch captured decisions that larger ones may not share" for name, most in greatest.items()]

    def of_outputs(self, count: int) -> list[str]:
        """Names of the outputs: the caller's, those of the returned structure, or numbers."""
        if self.outputs:
            if len(self.outputs) != count:
                raise InvalidArgument(f"the model has {count} outputs, {len(self.outputs)} names were given")
            return self.outputs
        try:
            structure = torch.utils._pytree.tree_unflatten(list(range(count)), self.program.call_spec.out_spec)
            paths = torch.utils._pytree.tree_flatten_with_path(structure)[0]
            found = ["_".join(str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path) for path, _ in paths]
        except Exception:  # a structure that does not say its paths
            found = [str(place) for place in range(count)]
        named = [name if name and not name[0].isdigit() else f"output_{name}".rstrip("_") for name in found]
        taken = set(self.inputs.values())
        named = [f"{name}_output" if name in taken else name for name in named]
        return named if len(set(named)) == count else [f"output_{place}" for place in range(count)]


def _placeholders(c: Emitter, program: ExportedProgram, names: Names, state: State) -> list[Any]:
    """The value of every placeholder: parameters and constants by name, tied ones once; inputs. Notes what is the module's state."""
    from onward.ir.tensor import Tensor as Constant

    made: list[Any] = []
    known: dict[Any, Any] = {}
    metas = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    for specification in program.graph_signature.input_specs:
        name, target = specification.arg.name, specification.target
        if name in names.inputs:
            made.append(_input(c, names, name, metas[name]))
            continue
        if specification.kind.name == "USER_INPUT":
            made.append(getattr(specification.arg, "value", None))
            continue
        tensor = program.state_dict.get(target) if target else None
        tensor = program.constants.get(target) if tensor is None else tensor
        if not isinstance(tensor, torch.Tensor):
            made.append(tensor)
            continue
        trained, tensor = tensor.requires_grad, tensor.detach()
        key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype) if tensor.numel() else object()
        if key not in known:
            known[key] = c.graph.add_initializer(Constant.of(to_numpy(tensor)), str(target))
        if target in program.state_dict:
            state.add(specification.kind.name, str(target), known[key].name, trained)
        made.append(Tensor(known[key], tensor.dtype, tuple(tensor.shape)))
    return made


def _input(c: Emitter, names: Names, name: str, meta: Any) -> Any:
    from onward.ir import TensorType, Value

    dtype = meta.dtype if isinstance(meta, torch.Tensor) else torch.int64
    value = Value(names.inputs[name], TensorType(DATA_TYPES[dtype], names.shapes[name]))
    value.graph = c.graph
    c.graph.inputs.append(value)
    c.graph.forget_names()
    return Tensor(value, dtype, described(meta).shape) if isinstance(meta, torch.Tensor) else Scalar(value, dtype)


def _finish(c: Emitter, program: ExportedProgram, results: Any, names: Names) -> None:
    """Outputs of the user's function; what it writes into its buffers is no output of a model."""
    wanted = [item for specification, item in zip(program.graph_signature.output_specs, results, strict=True) if specification.kind.name == "USER_OUTPUT"]
    labels = names.of_outputs(len(wanted))
    names.returned = [place for place, item in enumerate(wanted) if item is not None]
    names.labels = [labels[place] for place in names.returned]
    c.origin = {}
    for label, item in zip(labels, wanted):
        if item is None:
            continue
        if not isinstance(item, (Tensor, Scalar)):
            kind = torch.bool if isinstance(item, bool) else torch.int64 if isinstance(item, int) else torch.float64
            item = Scalar(c.number(item, kind), kind)
        c.output(item.value, label)
    remove_dead(c.graph, reversed(c.graph.nodes))  # (what only PyTorch's own checks looked at)
    weights = program.state_dict.keys() - {value.name for value in c.replaced}
    for name in [name for name, value in c.graph.initializers.items() if not value.uses and name not in weights]:
        del c.graph.initializers[name]
