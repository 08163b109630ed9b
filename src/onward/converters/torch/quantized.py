"""Quantised graphs of torch.ao and torchao in double precision, which PyTorch computes in single precision alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from onward.converters.torch.graph import all_calls
from onward.converters.torch.registry import name_of

NAMESPACE = "quantized_decomposed"
TORCHAO = "torchao"


def is_quantized(module: fx.GraphModule) -> bool:
    """Whether a graph rounds to codes."""
    return any(name_of(node.target).startswith((NAMESPACE, TORCHAO)) for node in all_calls(module))


class InDouble(TorchDispatchMode):
    """While it is active, codes are found and read in double precision."""

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        if function.namespace != NAMESPACE:
            return function(*arguments, **(keywords or {}))
        name = function._schema.name.removeprefix(f"{NAMESPACE}::")
        if name in ("quantize_per_tensor", "quantize_per_channel"):
            return _codes(*arguments)
        if name in ("dequantize_per_tensor", "dequantize_per_channel"):
            return _numbers(*arguments)
        single = tree_map_only(torch.Tensor, lambda item: item.float() if item.dtype is torch.float64 else item, arguments)
        return function(*single, **(keywords or {}))


def _codes(x: torch.Tensor, scale: Any, zero: Any, *rest: Any) -> torch.Tensor:
    *axis, low, high, dtype = rest
    scale, zero = (_along(item, x, axis) for item in (scale, zero))
    return torch.clamp(torch.round(x.double() * (1 / scale)) + zero, low, high).to(dtype)


def _numbers(x: torch.Tensor, scale: Any, zero: Any, *rest: Any) -> torch.Tensor:
    *axis, _low, _high, _dtype = rest
    scale, zero = (_along(item, x, axis) for item in (scale, zero))
    return (x.double() - (0 if zero is None else zero)) * scale


def _along(item: Any, x: torch.Tensor, axis: list[int]) -> Any:
    """Numbers for each place along an axis, of a shape that broadcasts; others as they are."""
    if not isinstance(item, torch.Tensor):
        return item
    item = item.double()
    return item.reshape([-1 if place == axis[0] else 1 for place in range(x.dim())]) if axis else item
