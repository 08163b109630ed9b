"""PyTorch's own database of its operators, each with samples of arguments, as modules to convert."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree as pytree


class Call(torch.nn.Module):
    """One call of an operator; its tensors are the inputs, all else is fixed."""

    def __init__(self, function: Any, leaves: list[Any], structure: Any) -> None:
        super().__init__()
        self.function, self.leaves, self.structure = function, leaves, structure

    def forward(self, *tensors: torch.Tensor) -> Any:
        given = iter(tensors)
        leaves = [next(given) if isinstance(item, torch.Tensor) else item for item in self.leaves]
        arguments, keywords = pytree.tree_unflatten(leaves, self.structure)
        return self.function(*arguments, **keywords)


def calls(name: str, dtype: torch.dtype, count: int) -> Iterator[tuple[Call, tuple[torch.Tensor, ...]]]:
    """The first samples of an operator that have tensors with elements."""
    for operator in [item for item in op_db if item.formatted_name == name]:
        torch.manual_seed(0)
        for sample in operator.sample_inputs("cpu", dtype, requires_grad=False):
            leaves, structure = pytree.tree_flatten(((sample.input, *sample.args), sample.kwargs))
            tensors = tuple(item for item in leaves if isinstance(item, torch.Tensor))
            if not tensors or any(item.numel() == 0 or item.layout is not torch.strided for item in tensors):
                continue
            if count == 0:
                return
            count -= 1
            yield Call(operator.op, leaves, structure), tensors
