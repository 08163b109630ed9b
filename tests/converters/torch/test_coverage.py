"""Operators that are known: PyTorch's own core set, and those that its exporter to ONNX has a function for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.onnx._internal.exporter._registration import ONNXRegistry

import onward
from onward.converters.torch.decomposition import _rules
from onward.converters.torch.graph import ASSERTIONS
from onward.converters.torch.registry import COMPLEX, OPERATORS, find, name_of
from onward.converters.torch.symbols import SYMBOLIC
from tests.converters.torch.test_modules import Function, check

FUNCTIONALIZED = {"aten::resize_": "where nothing is written in place, it is as_strided"}
EXPORTER_EXCEPTIONS = {"aten::allclose": "PyTorch does not capture it; the function is replaced before (functions.py)"}


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
    assert [name for name, target in core.items() if not is_known(name, target)] == []


ATEN: Any = torch.ops.aten
IMAGE, GRADIENT = torch.randn(2, 4, 7, 6), torch.randn(2, 6, 3, 6)
WEIGHT = torch.randn(6, 2, 3, 2)
GRADIENTS: dict[str, Any] = {
    "convolution": (lambda g, x, w: ATEN.convolution_backward(g, x, w, [6], [2, 1], [1, 1], [1, 2], False, [0, 0], 2, [True] * 3),
                    (torch.randn(2, 6, 4, 6), IMAGE, WEIGHT)),
    "transposed convolution": (lambda g, x, w: ATEN.convolution_backward(g, x, w, [4], [2, 1], [1, 0], [1, 1], True, [1, 0], 2, [True] * 3),
                               (torch.randn(2, 4, 6, 7), GRADIENT, WEIGHT)),
    "average": (lambda g, x: ATEN.avg_pool2d_backward(g, x, [3, 2], [2, 2], [1, 1], True, False, None), (torch.randn(2, 4, 4, 4), IMAGE)),
    "average with a divisor": (lambda g, x: ATEN.avg_pool2d_backward(g, x, [3], [], [0], True, True, 5), (torch.randn(2, 4, 3, 2), IMAGE)),
    "adaptive average": (lambda g, x: ATEN._adaptive_avg_pool2d_backward(g, x), (torch.randn(2, 4, 3, 4), IMAGE)),
    "largest": (lambda g, x: ATEN.max_pool2d_with_indices_backward(g, x, [2], [2], [0], [1], False, ATEN.max_pool2d_with_indices(x, [2])[1]),
                (torch.randn(2, 4, 3, 3), IMAGE)),
    "embedding": (lambda g: ATEN.embedding_dense_backward(g, torch.tensor([1, 3, 1]), 5, 3, False), (torch.randn(3, 4),)),
    "group norm": (lambda g, x: ATEN.native_group_norm_backward(g, x, *ATEN.native_group_norm(x, None, None, 2, 4, 42, 2, 1e-5)[1:], None, 2, 4, 42, 2,
                                                                [True, False, False])[0], (torch.randn(2, 4, 7, 6), IMAGE)),
    "layer norm": (lambda g, x: ATEN.native_layer_norm_backward(g, x, [6], *ATEN.native_layer_norm(x, [6], None, None, 1e-5)[1:], None, None,
                                                                [True, False, False])[0], (torch.randn(2, 4, 7, 6), IMAGE)),
}  # fmt: skip
"""Of the core operators those that a model for inference does not have, and that are taken apart."""


def test_gradients_among_the_core_operators() -> None:
    torch.manual_seed(0)
    function = lambda *tensors: [calls[0](*tensors[begin:end]) for calls, begin, end in parts]  # noqa: E731
    parts, given = [], []
    for function_and_tensors in GRADIENTS.values():
        parts.append((function_and_tensors, len(given), len(given) + len(function_and_tensors[1])))
        given += function_and_tensors[1]
    check(Function(function), *given, dynamic_shapes={})


def test_attention_of_accelerators() -> None:
    """Their operators get a kernel for the processor here, to have a judge."""
    library = torch.library.Library("aten", "IMPL")
    plain = lambda q, k, v, *rest, **options: torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)  # noqa: E731
    nothing = torch.zeros(0)
    library.impl("_scaled_dot_product_efficient_attention", lambda *given, **options: (plain(*given)[0], nothing, nothing, nothing), "CPU")
    library.impl("_scaled_dot_product_flash_attention", lambda *given, **options: (plain(*given)[0], *[nothing] * 3, 5, 5, *[nothing] * 3), "CPU")

    def attention(q: torch.Tensor) -> Any:
        return ATEN._scaled_dot_product_efficient_attention(q, q, q, None, False)[0], ATEN._scaled_dot_product_flash_attention(q, q, q)[0]

    check(Function(attention), torch.randn(2, 3, 5, 8), dynamic_shapes={})


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
