"""Arithmetic on numbers that only the run knows: sizes and what is computed from them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch

from onward.converters.torch.emitter import Emitter, Scalar
from onward.errors import UnsupportedOperator

Symbolic = Callable[..., Any]
SYMBOLIC: dict[Any, Symbolic] = {}


def _dtype(*items: Any) -> torch.dtype:
    kinds = [item.dtype if isinstance(item, Scalar) else _kind(item) for item in items]
    if torch.float64 in kinds:
        return torch.float64
    return torch.int64 if torch.int64 in kinds else torch.bool


def _kind(item: Any) -> torch.dtype:
    if isinstance(item, bool):
        return torch.bool
    return torch.float64 if isinstance(item, float) else torch.int64


def _binary(onnx: str, boolean: bool = False, real: bool = False) -> Symbolic:
    def emit(c: Emitter, meta: Any, left: Any, right: Any) -> Scalar:
        common = torch.float64 if real else _dtype(left, right)
        value = c.op(onnx, c.number(left, common), c.number(right, common))
        return Scalar(value, torch.bool if boolean else common)

    return emit


def _floor_divide(c: Emitter, meta: Any, left: Any, right: Any) -> Scalar:
    common = _dtype(left, right)
    a, b = c.number(left, common), c.number(right, common)
    if common is torch.float64:
        return Scalar(c.op("Floor", c.op("Div", a, b)), common)
    rest = c.op("Mod", a, b)
    return Scalar(c.op("Div", c.op("Sub", a, rest), b), common)


def _unary(onnx: str, real: bool = False) -> Symbolic:
    def emit(c: Emitter, meta: Any, item: Any) -> Scalar:
        common = torch.float64 if real else _dtype(item)
        return Scalar(c.op(onnx, c.number(item, common)), common)

    return emit


def _to_int(onnx: str | None) -> Symbolic:
    def emit(c: Emitter, meta: Any, item: Any) -> Any:
        if _dtype(item) is not torch.float64:
            return item
        value = c.number(item, torch.float64)
        return Scalar(c.convert(c.op(onnx, value) if onnx else value, torch.int64), torch.int64)

    return emit


def _power(c: Emitter, meta: Any, base: Any, exponent: Any) -> Scalar:
    common = _dtype(base, exponent)
    return Scalar(c.op("Pow", c.number(base, common), c.number(exponent, common)), common)


def _choice(c: Emitter, meta: Any, condition: Any, left: Any, right: Any) -> Scalar:
    common = _dtype(left, right)
    return Scalar(c.op("Where", c.number(condition, torch.bool), c.number(left, common), c.number(right, common)), common)


def _not(c: Emitter, meta: Any, item: Any) -> Scalar:
    return Scalar(c.op("Not", c.number(item, torch.bool)), torch.bool)


def _not_equal(c: Emitter, meta: Any, left: Any, right: Any) -> Scalar:
    return Scalar(c.op("Not", _binary("Equal", True)(c, meta, left, right)), torch.bool)


def _logical(onnx: str, extreme: str) -> Symbolic:
    def emit(c: Emitter, meta: Any, left: Any, right: Any) -> Scalar:
        if _dtype(left, right) is torch.bool:
            return _binary(onnx)(c, meta, left, right)
        return _binary(extreme)(c, meta, left, right)

    return emit


def _to_float(c: Emitter, meta: Any, item: Any) -> Scalar:
    return Scalar(c.number(item, torch.float64), torch.float64)


def _log2(c: Emitter, meta: Any, item: Any) -> Scalar:
    log = c.op("Log", c.number(item, torch.float64))
    return Scalar(c.op("Div", log, c.number(math.log(2), torch.float64)), torch.float64)


def _sum(c: Emitter, meta: Any, items: Any) -> Any:
    total = items[0]
    for item in items[1:]:
        total = _binary("Add")(c, meta, total, item)
    return total


def _known(c: Emitter, meta: Any, *items: Any) -> int:
    """A number that PyTorch knows when it captures."""
    if not isinstance(meta, int):
        raise UnsupportedOperator(f"a place in memory that only the run knows: {meta}")
    return meta


SYMBOLIC.update({
    torch.ops.aten.sym_storage_offset.default: _known,
    operator.add: _binary("Add"), operator.sub: _binary("Sub"), operator.mul: _binary("Mul"),
    operator.truediv: _binary("Div", real=True), operator.floordiv: _floor_divide, operator.mod: _binary("Mod"),
    operator.pow: _power, operator.neg: _unary("Neg"), operator.abs: _unary("Abs"),
    operator.eq: _binary("Equal", True), operator.ne: _not_equal, operator.lt: _binary("Less", True),
    operator.le: _binary("LessOrEqual", True), operator.gt: _binary("Greater", True),
    operator.ge: _binary("GreaterOrEqual", True), operator.and_: _logical("And", "BitwiseAnd"),
    operator.or_: _logical("Or", "BitwiseOr"), operator.not_: _not,
    torch.sym_max: _binary("Max"), torch.sym_min: _binary("Min"), torch.sym_not: _not, torch.sym_ite: _choice,
    torch.sym_float: _to_float, torch.sym_int: _to_int(None), torch.sym_sum: _sum,
    math.ceil: _to_int("Ceil"), math.floor: _to_int("Floor"), math.trunc: _to_int(None), round: _to_int("Round"),
    float: _to_float, int: _to_int(None),
})  # fmt: skip
for _name, _emit in {
    "_sym_sqrt": _unary("Sqrt", real=True), "_sym_log2": _log2, "_sym_cos": _unary("Cos", real=True),
    "_sym_sin": _unary("Sin", real=True), "_sym_exp": _unary("Exp", real=True),
}.items():  # fmt: skip
    if hasattr(torch, _name):
        SYMBOLIC[getattr(torch, _name)] = _emit
