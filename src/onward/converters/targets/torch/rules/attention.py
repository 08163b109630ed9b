"""Attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from onward.converters.targets.printing.native import without_expansion
from onward.converters.targets.torch.rules.layers import NEURAL, arguments, number_of
from onward.converters.targets.torch.rules.registry import rule
from onward.converters.targets.torch.words import whole
from onward.ir.datatypes import DataType
from onward.operators.native import Call, Native

if TYPE_CHECKING:
    from onward.converters.targets.printing.printer import Printer


@rule("Attention")
def attention(call: Call) -> Native | None:
    """F.scaled_dot_product_attention, without a cache, windows or the scores as a result."""
    q, k, v, mask = call.inputs[:4]
    mask = without_expansion(mask)
    given = call.attributes
    if any(item is not None for item in call.inputs[4:]) or len(call.node.outputs) > 1 or q.dtype not in NEURAL or {k.dtype, v.dtype} != {q.dtype}:
        return None
    if given["softcap"] or given.get("left_window_size", -1) >= 0 or given.get("right_window_size", -1) >= 0:
        return None
    if (
        given["is_causal"]
        and mask is not None
        or mask is not None
        and (mask.dtype not in (DataType.BOOL, q.dtype) or mask.shape[-1] != k.shape[-2] and q.rank == 4)
    ):
        return None
    if q.rank == 3 and mask is not None and mask.shape[-1] != k.shape[1] or q.rank not in (3, 4):
        return None
    heads = (given["q_num_heads"], given["kv_num_heads"]) if q.rank == 3 else (q.shape[1], k.shape[1])
    if not all(isinstance(item, int) and item for item in heads):
        return None
    width = q.shape[3] if q.rank == 4 else q.shape[2] // heads[0]
    usual = isinstance(width, int) and given.get("scale") is not None and math.isclose(given["scale"], width**-0.5, rel_tol=1e-6)
    scale = None if given.get("scale") is None or usual else number_of(given["scale"])
    options = {"is_causal": "True" if given["is_causal"] else None, "scale": scale, "enable_gqa": "True" if heads[0] != heads[1] else None}

    def write(printer: Printer) -> str:
        texts = [whole(printer.array(item)) for item in (q, k, v)]
        if q.rank == 3:
            texts = [_heads(printer, *item) for item in zip(("queries", "keys", "values"), texts, (heads[0], heads[1], heads[1]))]
        found = f"F.scaled_dot_product_attention({arguments(*texts, attn_mask=None if mask is None else printer.array(mask), **options)})"
        return f"{found}.transpose(1, 2).flatten(2)" if q.rank == 3 else found

    return Native(write, tuple(item for item in (q, k, v, mask) if item is not None))


def _heads(printer: Printer, wish: str, text: str, count: int) -> str:
    """A variable of the heads of rows side by side."""
    name = printer.names.fresh(wish)
    printer.write(f"{name} = {text}.unflatten(2, ({count}, -1)).transpose(1, 2)")
    return name
