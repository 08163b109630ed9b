"""Operators that stand for recurrent layers while a module is captured, so that the number of steps may stay open.

PyTorch finds the shapes of `lstm`, `gru` and `rnn` by running them step by step, which fixes the number of steps, and it cannot
capture packed sequences at all. These operators know their shapes; outside a capture they are PyTorch's own.

A packed sequence is captured as the padded one, time first, with time and batch as one dimension.

Views of contiguous tensors are contiguous whatever their sizes are; PyTorch looks for dimensions to split and to merge, one proof over
open sizes after the other, which takes minutes where sizes are quotients of quotients (windows of images).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch._prims_common as prims
import torch._refs
from torch.fx.experimental import proxy_tensor

NAMES = ("lstm", "gru", "rnn_tanh", "rnn_relu")
LAYERS = "Tensor[] weights, bool biases, int layers, float dropout, bool train, bool both"

_library = torch.library.Library("onward", "DEF")
for _name in NAMES:
    _results = "(Tensor, Tensor, Tensor)" if _name == "lstm" else "(Tensor, Tensor)"
    _states = "Tensor[] states" if _name == "lstm" else "Tensor state"
    _library.define(f"{_name}(Tensor x, {_states}, {LAYERS}, bool batch_first) -> {_results}")
    _library.define(f"{_name}_packed(Tensor x, Tensor batch_sizes, {_states}, {LAYERS}) -> {_results}")
_library.define("pack(Tensor x, Tensor lengths, bool batch_first) -> (Tensor, Tensor)")
_library.define("unpack(Tensor x, Tensor batch_sizes, bool batch_first, float filling, SymInt length) -> (Tensor, Tensor)")


def _ends(x: torch.Tensor, states: Any, both: bool, weights: list[torch.Tensor]) -> tuple[int, list[torch.Tensor]]:
    """The width of the output and the final states."""
    torch._check(x.shape[-1] == weights[0].shape[1])
    given = list(states) if isinstance(states, (list, tuple)) else [states]
    return given[0].shape[-1] * (2 if both else 1), [torch.empty_like(state) for state in given]


def _shapes(x: torch.Tensor, states: Any, weights: Any, biases: bool, layers: int, dropout: float, train: bool, both: bool, first: bool) -> Any:
    width, ends = _ends(x, states, both, weights)
    return (x.new_empty((*x.shape[:2], width)), *ends)


def _packed_shapes(x: torch.Tensor, sizes: Any, states: Any, weights: Any, biases: bool, layers: int, dropout: float, train: bool, both: bool) -> Any:
    width, ends = _ends(x, states, both, weights)
    return (x.new_empty((x.shape[0], width)), *ends)


def _pack_shapes(x: torch.Tensor, lengths: torch.Tensor, batch_first: bool) -> Any:
    steps = torch.library.get_ctx().new_dynamic_size(min=1)
    rows, most = x.shape[:2] if batch_first else (x.shape[1], x.shape[0])
    torch._check(steps <= most)
    return x.new_empty((steps * rows, *x.shape[2:])), lengths.new_empty((steps,))


def _unpack_shapes(x: torch.Tensor, sizes: torch.Tensor, batch_first: bool, filling: float, length: Any) -> Any:
    rows = x.shape[0] // sizes.shape[0]
    outer = (rows, length) if batch_first else (length, rows)
    return x.new_empty((*outer, *x.shape[1:])), sizes.new_empty((rows,))


def _original(name: str) -> Any:
    return getattr(torch._C._VariableFunctions, name)


for _name in NAMES:
    for _suffix, _meta in (("", _shapes), ("_packed", _packed_shapes)):
        _library.impl(f"{_name}{_suffix}", _original(_name), "CompositeExplicitAutograd")
        torch.library.register_fake(f"onward::{_name}{_suffix}", _meta, lib=_library)
for _name, _kernel, _sizes in (("pack", "_pack_padded_sequence", _pack_shapes), ("unpack", "_pad_packed_sequence", _unpack_shapes)):
    _library.impl(_name, _original(_kernel), "CompositeExplicitAutograd")
    torch.library.register_fake(f"onward::{_name}", _sizes, lib=_library)


def _stand_in(name: str) -> Any:
    whole, packed = getattr(torch.ops.onward, name), getattr(torch.ops.onward, f"{name}_packed")

    def layer(x: torch.Tensor, second: Any, third: Any, *rest: Any) -> Any:
        """PyTorch tells the two forms apart by what is third: weights, or the states after the batch sizes."""
        is_packed = isinstance(second, torch.Tensor) and not second.is_floating_point()
        return (packed if is_packed else whole)(x, second, third, *rest)

    return layer


def _checked(layer: Any, x: torch.Tensor, hidden: torch.Tensor, batch_sizes: torch.Tensor | None) -> None:
    """The layer's own check, without the one of packed states, which would read the number of rows as a known one."""
    if batch_sizes is None:
        _own_check(layer, x, hidden, batch_sizes)
    else:
        layer.check_input(x, batch_sizes)


_own_check: Any = torch.nn.RNNBase.check_forward_args


def _is_causal(mask: torch.Tensor | None, is_causal: bool | None = None, size: int | None = None) -> bool:
    """Without a look at the mask's numbers, which only tells PyTorch that it may use a faster kernel."""
    return is_causal is True


_own_look: Any = torch.nn.modules.transformer._detect_is_causal_mask


def _view(x: Any, *shape: Any, allow_copy: bool) -> Any:
    """The shape of a view, as `torch._refs` finds it, at once where the tensor is contiguous."""
    sizes = prims.extract_shape_from_varargs(shape, validate=False)
    if not x.ndim or not sizes or not prims.is_contiguous_or_false(x):
        return _own_view(x, *shape, allow_copy=allow_copy)
    sizes = prims.infer_size(sizes, x.numel())
    torch._check(x.numel() == math.prod(sizes), lambda: f"a tensor of shape {x.shape} cannot have shape {sizes}")
    return torch.as_strided(x, sizes, prims.make_contiguous_strides_for(sizes))


_own_view: Any = torch._refs._reshape_view_helper


def _by_two(tracer: Any, expression: Any, out: Any = None) -> Any:
    """The proxy of a size. Sums and products of more than two are written as those of two, which alone PyTorch has functions for."""
    if expression not in tracer.sympy_expr_tracker and (expression.is_Add or expression.is_Mul) and len(expression.args) > 2:
        *others, last = expression.args
        expression = expression.func(expression.func(*others, evaluate=False), last, evaluate=False)
    return _own_proxy(tracer, expression, out)


_own_proxy: Any = proxy_tensor._build_proxy_for_sym_expr


@contextmanager
def standing_in() -> Iterator[None]:
    """PyTorch's layers call the operators of this module."""
    replaced = {name: _stand_in(name) for name in NAMES}
    replaced["_pack_padded_sequence"] = torch.ops.onward.pack
    replaced["_pad_packed_sequence"] = torch.ops.onward.unpack
    functions: Any = torch._VF
    functions.__dict__.update(replaced)
    torch.nn.RNNBase.check_forward_args = _checked  # type: ignore[method-assign]
    torch.nn.modules.transformer._detect_is_causal_mask = _is_causal
    torch._refs._reshape_view_helper = _view
    proxy_tensor._build_proxy_for_sym_expr = _by_two
    try:
        yield
    finally:
        proxy_tensor._build_proxy_for_sym_expr = _own_proxy
        torch._refs._reshape_view_helper = _own_view
        torch.nn.modules.transformer._detect_is_causal_mask = _own_look
        torch.nn.RNNBase.check_forward_args = _own_check  # type: ignore[method-assign]
        for name in replaced:
            del functions.__dict__[name]
