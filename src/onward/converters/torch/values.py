"""What PyTorch computes on the way, by the names of the model's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.utils import _pytree as pytree

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
