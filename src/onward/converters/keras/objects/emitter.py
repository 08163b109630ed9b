"""A graph under construction for Keras's own objects: variables and numbers as its backend and its settings have them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from onward.converters.keras.emitter import Emitter, numpy_type


class ObjectEmitter(Emitter):
    """Reads Keras's variables and settings."""

    def __init__(self, name: str, opset: int) -> None:
        self.floatx = keras.config.floatx()
        self.epsilon = keras.config.epsilon()
        self.channels_first = keras.config.image_data_format() == "channels_first"
        super().__init__(name, opset)

    def array(self, item: Any, dtype: str | None = None) -> np.ndarray:
        plain = isinstance(item, (bool, int, float, list, tuple, np.ndarray))
        found = np.asarray(item if plain else keras.ops.convert_to_numpy(item))
        return found.astype(numpy_type(dtype)) if dtype else found

    def result_type(self, *kinds: Any) -> str:
        found: str = keras.backend.result_type(*kinds)
        return found

    def is_variable(self, item: Any) -> bool:
        return isinstance(item, keras.Variable)

    def stored_type(self, variable: Any) -> tuple[str, bool]:
        return keras.backend.standardize_dtype(variable._dtype), getattr(variable, "_autocast", False)
