"""What PyTorch has of its own for operators: families of rules."""

from __future__ import annotations

from onward.converters.targets.torch.rules import attention, functions, layers, quantization, recurrent  # noqa: F401, I001 (they register their rules)
from onward.converters.targets.torch.rules.registry import RULES

__all__ = ["RULES"]
