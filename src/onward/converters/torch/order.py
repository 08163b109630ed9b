"""The order of equal elements, which PyTorch leaves open and ONNX fixes: the first comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode

from onward.converters.torch.graph import all_calls

aten = torch.ops.aten


def _sort(x: Tensor, dim: int = -1, descending: bool = False) -> Any:
    return aten.sort.stable(x, stable=True, dim=dim, descending=descending)


def _topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:  # noqa: A002
    return [item.narrow(dim, 0, k).clone() if x.dim() else item for item in _sort(x, dim, largest)]


def _kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    found = [item.narrow(dim, k - 1, 1).clone() if x.dim() else item for item in _sort(x, dim)]
    return found if keepdim or not x.dim() else [item.squeeze(dim) for item in found]


def _median(x: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    return _kthvalue(x, (x.shape[dim] + 1) // 2 if x.dim() else 1, dim, keepdim)


def _argsort(x: Tensor, dim: int = -1, descending: bool = False) -> Tensor:
    return _sort(x, dim, descending)[1]


def _mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The last of the places of what PyTorch finds."""
    values, places = aten.mode(x, dim, True)
    if x.dim():
        along = torch.arange(x.shape[dim]).reshape([-1 if axis == dim % x.dim() else 1 for axis in range(x.dim())])
        places = torch.where(x == values, along, -1).amax(dim, keepdim=True)
    return [item if keepdim or not x.dim() else item.squeeze(dim) for item in (values, places)]


STABLE: dict[Any, Callable[..., Any]] = {
    aten.sort.default: _sort, aten.argsort.default: _argsort, aten.topk.default: _topk, aten.kthvalue.default: _kthvalue, aten.median.dim: _median,
    aten.mode.default: _mode,
}  # fmt: skip


class InOrder(TorchDispatchMode):
    """While it is active, equal elements are sorted and chosen in their order."""

    supports_higher_order_operators = True

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        return STABLE.get(function, function)(*arguments, **(keywords or {}))


def orders(module: fx.GraphModule) -> list[str]:
    """The operators of a graph whose result depends on the order of equal elements."""
    return list(dict.fromkeys(str(node.target).split(".")[1] for node in all_calls(module) if node.target in STABLE))
