"""PyTorch's own database of operators with sample inputs: each is converted and compared."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import torch
from torch.testing._internal import common_methods_invocations
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree as pytree

import onward
from onward.errors import ConversionError, ConversionMismatch, UnsupportedModel, UnsupportedOperator

DATA_TYPES = (torch.float32, torch.int64, torch.bool, torch.complex64)


# PyTorch's samples of random operators set the seed; without that the conversion knows them as random.
common_methods_invocations.wrapper_set_seed = lambda operator, *arguments, **keywords: operator(*arguments, **keywords)


class Call(torch.nn.Module):
    """A function with the leaves of its arguments that are no tensors held fast. A function of torch is called by its name there, as people do."""

    def __init__(self, function: Any, name: str, leaves: list[Any], structure: Any) -> None:
        super().__init__()
        self.function, self.leaves, self.structure = function, leaves, structure
        self.name = name if _found(name) is function else ""

    def forward(self, *tensors: torch.Tensor) -> Any:
        given = iter(tensors)
        leaves = [next(given) if isinstance(item, torch.Tensor) else item for item in self.leaves]
        arguments, keywords = pytree.tree_unflatten(leaves, self.structure)
        function = attrgetter(self.name)(torch) if self.name else self.function
        return function(*arguments, **keywords)


def _found(name: str) -> Any:
    try:
        return attrgetter(name)(torch)
    except AttributeError:
        return None


def samples(operator: Any, dtype: torch.dtype, count: int) -> Iterator[tuple[Call, tuple[torch.Tensor, ...]]]:
    """Some samples of an operator, spread over the first thirty that PyTorch makes, as modules and their arguments."""
    torch.manual_seed(0)
    made = list(itertools.islice(operator.sample_inputs("cpu", dtype, requires_grad=False), 30))
    for place in sorted({round(part * (len(made) - 1) / max(count - 1, 1)) for part in range(count)} if made else ()):
        sample = made[place]
        leaves, structure = pytree.tree_flatten(((sample.input, *sample.args), sample.kwargs))
        tensors = tuple(item.detach() for item in leaves if isinstance(item, torch.Tensor))
        yield Call(operator.op, operator.name, leaves, structure), tensors


def outcome(operator: Any, dtype: torch.dtype, count: int) -> str:
    """ "" where all samples are converted and compare well, else why not: what is refused begins with "refused"."""
    for module, tensors in samples(operator, dtype, count):
        try:
            onward.convert(module, tensors, dynamic_shapes={})
        except (UnsupportedOperator, UnsupportedModel, ConversionError) as problem:
            return f"refused: {problem}"
        except ConversionMismatch as problem:
            return f"differs: {problem}"
    return ""


def name_of(operator: Any) -> str:
    """The operator's name with that of its variant."""
    return f"{operator.name} {operator.variant_test_name}".strip()


OPERATORS = {name_of(operator): operator for operator in op_db}
