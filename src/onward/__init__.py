"""Onward: carries a trained model from the framework it was made in to wherever it has to run.

    import onward

    session = onward.InferenceSession("model.onnx")
    outputs = session.run(None, {"x": x})

Whatever takes a model takes a path, bytes, an `onward.Model` or an object with SerializeToString. The names below are
loaded when they are first used, so that `import onward` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onward import backend, errors, ort
    from onward.converters import convert
    from onward.deploy import build
    from onward.ir import Model, load, save
    from onward.passes.optimize import optimize
    from onward.runtime import InferenceSession
    from onward.tools import add_prefix, convert_version, diff, extract, inline, merge, rename

__version__ = "0.1.0"

_HOMES = {
    "InferenceSession": "onward.runtime",
    "add_prefix": "onward.tools",
    "convert": "onward.converters",
    "convert_version": "onward.tools",
    "diff": "onward.tools",
    "extract": "onward.tools",
    "inline": "onward.tools",
    "merge": "onward.tools",
    "rename": "onward.tools",
    "Model": "onward.ir",
    "backend": "onward.backend",
    "build": "onward.deploy",
    "errors": "onward.errors",
    "load": "onward.ir",
    "optimize": "onward.passes",
    "ort": "onward.ort",
    "save": "onward.ir",
}

__all__ = [
    "InferenceSession", "Model", "add_prefix", "backend", "build", "check", "convert", "convert_version", "diff", "errors", "extract",
    "infer_shapes", "inline", "load", "merge", "optimize", "ort", "rename", "save",
]  # fmt: skip


def check(model: Any, *, shapes: bool = True) -> None:
    """Raises onward.errors.CheckError with everything that is wrong with the model.

    Without `shapes` only names, order, versions, attributes and data types are looked at, which takes milliseconds.
    """
    from onward.ir import as_model
    from onward.operators import check as run

    run(as_model(model), shapes=shapes)


def infer_shapes(model: Any) -> Model:
    """A copy of the model in which every value has its type, with sizes as expressions over the inputs' symbols.

    Raises onward.errors.InferenceError where the model contradicts itself.
    """
    from onward.ir import as_model
    from onward.operators import infer

    return infer(as_model(model).copy())


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'onward' has no attribute '{name}'")
    module = importlib.import_module(home)
    return module if home == f"onward.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
