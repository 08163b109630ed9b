"""Keras 3: models and layers on any of its backends, and .keras files, for which Keras need not be there.

What a layer is in ONNX is said once (`layers/`, and `operations/` for `keras.ops`), from its configuration and weights. Keras's objects
(`objects/`) have besides what their code says; of files without Keras (`files/`) the configurations are walked. `registry.py` says how to
add a function. Weights keep their paths, shared ones are one initializer, and every node notes its layer.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

from onward.converters.keras import layers, operations
from onward.converters.keras.files import SavedModel
from onward.converters.request import Request
from onward.errors import UnsupportedModel
from onward.ir import Model

__all__ = ["convert", "layers", "load", "operations"]


def load(path: Any, trust: bool = False) -> Any:
    """The model of a .keras or .h5 file: Keras's, or what the file says where Keras is not installed. `trust` allows Lambda layers,
    whose code is in the file.

    Raises FormatError for a file that is none, UnsupportedModel for one that only Keras can read, or that holds weights alone.
    """
    if str(path).endswith((".weights.h5", ".weights.json")):
        raise UnsupportedModel(f"'{path}' holds weights alone, and not what the layers are: build the model, load the weights into it, and convert the model")
    if not installed():
        return SavedModel.read(path)
    from onward.converters.keras import objects

    return objects.load(path, trust)


def convert(request: Request) -> tuple[Model, Any]:
    """The model of a Keras model, layer or file, and what it is to reproduce."""
    if isinstance(request.source, SavedModel):
        return request.source.convert(request)
    from onward.converters.keras import objects

    return objects.convert(request)


def installed() -> bool:
    """Whether Keras and a backend are there; sees to it that Keras does not ask for TensorFlow where that is not."""
    if "keras" not in sys.modules and importlib.util.find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "numpy")
    try:
        import keras  # noqa: F401
    except ImportError:
        return False
    return True
