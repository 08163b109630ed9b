"""Scans with an associative function, as operators that keep the number of steps open.

PyTorch writes out an associative scan level by level, which fixes the number of steps. The state spaces of the transformers library
have such a scan beside a loop over the steps, and take the loop while they are exported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch._higher_order_ops.associative_scan  # (a module that is replaced in)
from torch._higher_order_ops.scan import scan
from torch.utils import _pytree as pytree


def step_by_step(combine: Callable[..., Any], xs: Any, dim: int, reverse: bool = False, combine_mode: str = "") -> Any:
    """What `torch.associative_scan` computes, by `scan`: the first step is the state that the others begin with."""
    slices, structure = pytree.tree_flatten(xs)
    slices = [torch.movedim(item.flip([dim]) if reverse else item, dim, 0) for item in slices]

    def step(state: list[torch.Tensor], new: list[torch.Tensor]) -> Any:
        made = pytree.tree_leaves(combine(pytree.tree_unflatten(state, structure), pytree.tree_unflatten(new, structure)))
        return made, [item.clone() for item in made]

    _, others = scan(step, [item[0].clone() for item in slices], [item[1:] for item in slices])
    every = [torch.cat([first[:1], rest]) for first, rest in zip(slices, others, strict=True)]
    every = [torch.movedim(item, 0, dim) for item in every]
    return pytree.tree_unflatten([item.flip([dim]) if reverse else item for item in every], structure)


@contextmanager
def scanning() -> Iterator[None]:
    """Associative scans are `scan`; modules of the transformers library with a selective scan take it instead of their loop."""
    replaced: list[tuple[Any, str, Any]] = [(sys.modules["torch._higher_order_ops.associative_scan"], "associative_scan", step_by_step)]
    for name, module in list(sys.modules.items()):
        if name.startswith("transformers.models.") and {"mamba_selective_scan", "is_torchdynamo_exporting"} <= vars(module).keys():
            replaced += [(module, "is_torchdynamo_compiling", lambda: True), (module, "is_torchdynamo_exporting", lambda: False)]
    own = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
    for owner, name, function in replaced:
        setattr(owner, name, function)
    try:
        yield
    finally:
        for owner, name, function in own:
            setattr(owner, name, function)
