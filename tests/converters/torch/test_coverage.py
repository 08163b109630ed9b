"""Operators that are known: PyTorch's own core set, and those that its exporter to ONNX has a function for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.onnx._internal.exporter._registration import ONNXRegistry

import onward
from onward.converters.torch.capture import _rules
from onward.converters.torch.graph import ASSERTIONS
from onward.converters.torch.registry import COMPLEX, OPERATORS, find, name_of
from onward.converters.torch.symbols import SYMBOLIC

CORE_EXCEPTIONS = {
    "aten::_adaptive_avg_pool2d_backward": "a gradient", "aten::avg_pool2d_backward": "a gradient",
    "aten::convolution_backward": "a gradient",
}  # fmt: skip
FUNCTIONALIZED = {"aten::resize_": "where nothing is written in place, it is as_strided"}
EXPORTER_EXCEPTIONS = {
    "aten::allclose": "its result is a bool of Python, which PyTorch does not capture",
    "aten::_scaled_dot_product_flash_attention": "stands in graphs of accelerators only",
    "aten::_scaled_dot_product_efficient_attention": "stands in graphs of accelerators only",
}  # fmt: skip


def overloads() -> Iterator[Any]:
    """All of PyTorch's own operators, asked of its dispatcher: `torch.ops.aten` lists only those that were looked up before."""
    yield from (overload_of(name) for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::"))


def overload_of(name: str) -> Any:
    """The operator of a name such as `aten::add.Tensor`, or None where PyTorch has none."""
    space, _, rest = name.partition("::")
    base, _, overload = rest.partition(".")
    packet = getattr(getattr(torch.ops, space), base, None)
    return getattr(packet, overload or "default", None)


def is_known(name: str, target: Any) -> bool:
    """Whether an operator has a translation, or PyTorch takes it apart."""
    if find(OPERATORS, name) or find(COMPLEX, name) or name in ASSERTIONS or name in FUNCTIONALIZED:
        return True
    if target is None or not torch._C._dispatch_has_kernel(target.name()):  # of TorchScript alone, or of a library that is not loaded
        return True
    return target in _rules() or target in SYMBOLIC or target.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd)


def test_core_operators() -> None:
    core = {name_of(target): target for target in overloads() if torch.Tag.core in target.tags}
    assert len(core) > 180
    assert sorted(name for name, target in core.items() if not is_known(name, target)) == sorted(CORE_EXCEPTIONS)


def test_writing_in_place_is_taken_apart() -> None:
    class Resized(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.clone().resize_(2, 3) + 1

    model = onward.convert(Resized(), (torch.randn(3, 4),), dynamic_shapes={})
    assert [value.shape for value in model.graph.outputs] == [(2, 3)]


def test_operators_of_torch_onnx() -> None:
    """Those of `prims` are left out: they are what PyTorch's rules write when an operator is taken apart that has a translation here."""
    names = [name for name in ONNXRegistry.from_torchlib().functions if isinstance(name, str) and not name.startswith(("onnx_symbolic", "prims"))]
    assert len(names) > 400
    assert [name for name in names if not is_known(name, overload_of(name))] == list(EXPORTER_EXCEPTIONS)
