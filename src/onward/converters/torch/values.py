"""What PyTorch computes on the way, by the names of the model's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.utils import _pytree as pytree

from onward.converters.certificate import Reference
from onward.converters.torch.emitter import Tensor, to_numpy
from onward.converters.torch.graph import Walker
from onward.converters.torch.reference import tensor_of


def recorder(walker: Walker, captured: Any, names: Any) -> Callable[[Mapping[str, np.ndarray]], list[tuple[str, np.ndarray]]]:
    """A function that runs the captured graph for some feeds and gives (name of the model's value, array) in the order of
    computation; nothing where the graph does not take the feeds."""

    def run(feeds: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
        labels = {node: item.value.name for node, item in walker.values.items() if isinstance(item, Tensor)}
        interpreter = _Recorder(walker.module, labels)
        try:
            with torch.no_grad():
                interpreter.run(*_arguments(captured, names, feeds))
        except Exception:  # open sizes that this graph was not captured for
            return []
        return interpreter.found

    return run


def sizes_that_differ(walker: Walker, captured: Any, names: Any, reference: Reference) -> str:
    """What the captured graph makes of other sizes than the example's, if the module's results have other shapes than that; else "".

    PyTorch captures a module as if no size that it leaves open were ever 1, and a module may ask for that (`squeeze()` does).
    """
    assert reference.outputs is not None
    kinds = [item.kind.name for item in captured.program.graph_signature.output_specs]
    for what, feeds in reference.data.items():
        expected = reference.outputs(feeds) if "sizes" in what and not reference.random else None
        if expected is None:
            continue
        try:
            with torch.no_grad():
                results = fx.Interpreter(walker.module).run(*_arguments(captured, names, feeds))
        except Exception:  # an operator that runs in compiled graphs alone
            return ""
        wanted = [item for kind, item in zip(kinds, results, strict=True) if kind == "USER_OUTPUT"]
        for label, place in zip(names.labels, names.returned, strict=True):
            found = to_numpy(torch.as_tensor(wanted[place])).shape
            if found != expected[label].shape:
                return f"output '{label}' has shape {expected[label].shape} for {what}; PyTorch captured the module as if it were {found}"
    return ""


class _Recorder(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, labels: Mapping[fx.Node, str]) -> None:
        super().__init__(module)
        self.labels = labels
        self.found: list[tuple[str, np.ndarray]] = []

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "call_function" and n in self.labels and isinstance(result, torch.Tensor):
            self.found.append((self.labels[n], to_numpy(result.clone())))
        return result


def _arguments(captured: Any, names: Any, feeds: Mapping[str, np.ndarray]) -> list[Any]:
    """What the placeholders of the captured graph get: parameters, buffers and constants, and the user's inputs."""
    program = captured.program
    leaves = pytree.tree_leaves((captured.example.arguments, captured.example.keywords))
    given = iter(leaves)
    arguments: list[Any] = []
    for specification in program.graph_signature.input_specs:
        if specification.kind.name == "USER_INPUT":
            old = next(given)
            name = names.inputs.get(specification.arg.name)
            arguments.append(old if name is None else tensor_of(feeds[name], old))
        else:
            target = specification.target
            held = program.state_dict.get(target)
            arguments.append(program.constants.get(target) if held is None else held)
    return [item.clone() if isinstance(item, torch.Tensor) else item for item in arguments]
