"""What a module writes into while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def as_it_is(module: Any) -> Iterator[None]:
    """The module's buffers are afterwards what they were: it may count its calls, or keep what it has seen."""
    parts = list(module.modules()) if isinstance(module, torch.nn.Module) else []
    held = [(part, dict(part._buffers.items())) for part in parts if not isinstance(part, torch.jit.ScriptModule)]
    contents = [(buffer, buffer.clone()) for part in parts for buffer in part.buffers(recurse=False)]
    try:
        yield
    finally:
        for part, buffers in held:
            part._buffers.update(buffers)
        with torch.no_grad():
            for buffer, content in contents:
                buffer.copy_(content)
