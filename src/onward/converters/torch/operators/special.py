"""Special functions that ONNX lacks, and the primitives of `prims`."""

from __future__ import annotations

from typing import Any

import torch

from onward.converters import special_functions
from onward.converters.torch.emitter import Emitter, Tensor
from onward.converters.torch.operators.unary import result_dtype
from onward.converters.torch.registry import aten, operator
from onward.ir import Value


def in_double(function: Any) -> Any:
    """The function computed in double precision."""

    def emit(c: Emitter, x: Tensor, *arguments: Any) -> Value:
        dtype = result_dtype(c)
        return c.convert(function(c, c.cast(x, torch.float64)), dtype)

    return emit


SERIES = {name: getattr(special_functions, name) for name in ("erfc", "lgamma", "digamma", "erfinv")}

for _name, _function in SERIES.items():
    aten(_name, f"special_{_name}")(in_double(_function))
    operator(f"prims::{_name.replace('erfinv', 'erf_inv')}")(in_double(_function))
aten("special_gammaln")(in_double(special_functions.lgamma))
aten("special_psi")(in_double(special_functions.digamma))


@operator("prims::convert_element_type")
def convert_element_type(c: Emitter, x: Tensor, dtype: torch.dtype) -> Value:
    from onward.converters.torch.operators.arithmetic import converted

    return converted(c, x, dtype)


@operator("prims::broadcast_in_dim")
def broadcast_in_dim(c: Emitter, x: Tensor, sizes: list[Any], dims: list[int]) -> Value:
    shaped = [axis for axis in range(len(sizes)) if axis not in dims]
    return c.op("Expand", c.unsqueeze(x, *shaped), list(sizes))


@operator("prims::view_of")
def view_of(c: Emitter, x: Tensor) -> Value:
    return x.value


@operator("prims::iota")
def iota(c: Emitter, length: Any, start: Any = 0, step: Any = 1, **options: Any) -> Value:
    kind = torch.int64
    count = c.number(length, kind)
    end = c.op("Add", c.number(start, kind), c.op("Mul", count, c.number(step, kind)))
    made = c.op("Range", c.number(start, kind), end, c.number(step, kind))
    return made if result_dtype(c) is kind else c.convert(made, result_dtype(c))
