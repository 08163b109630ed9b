"""Random numbers by their distribution."""

from __future__ import annotations

from typing import Any

import torch

from onward.converters.torch.rules.registry import rule


@rule("normal.Tensor_float", "normal.float_Tensor", "normal.Tensor_Tensor", "normal.float_float")
def normal(mean: Any, deviation: Any = 1.0, size: Any = None, *, dtype: torch.dtype | None = None, **options: Any) -> torch.Tensor:
    """Normal numbers, of a size or of that of the tensors."""
    numbers = torch.randn_like(mean + deviation) if size is None else torch.randn(size, dtype=dtype)
    return numbers * deviation + mean
