"""Onward: carries a trained model from the framework it was made in to wherever it has to run.

    import onward

    session = onward.InferenceSession("model.onnx")
    outputs = session.run(None, {"x": x})

The names below are loaded when they are first used, so that `import onward` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onward import backend, errors, ort
    from onward.deploy import build
    from onward.ir import Model, load, save
    from onward.operators import check, infer_shapes
    from onward.passes import optimize
    from onward.runtime import InferenceSession

__version__ = "0.1.0"

_HOMES = {
    "InferenceSession": "onward.runtime",
    "Model": "onward.ir",
    "backend": "onward.backend",
    "build": "onward.deploy",
    "check": "onward.operators",
    "errors": "onward.errors",
    "infer_shapes": "onward.operators",
    "load": "onward.ir",
    "optimize": "onward.passes",
    "ort": "onward.ort",
    "save": "onward.ir",
}

__all__ = [
    "InferenceSession", "Model", "backend", "build", "check", "errors", "infer_shapes", "load", "optimize", "ort", "save",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'onward' has no attribute '{name}'")
    module = importlib.import_module(home)
    return module if home == f"onward.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
