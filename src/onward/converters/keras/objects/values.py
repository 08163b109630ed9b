"""What the layers of a model compute on the way, by the names of the values in ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from onward.converters.keras.objects.reference import plain
from onward.converters.keras.objects.walker import Walker


def recorder(walker: Walker, graph: Any, structure: Any, inputs: Sequence[str]) -> Callable[[Mapping[str, np.ndarray]], list[tuple[str, np.ndarray]]] | None:
    """A function that runs a functional model for some feeds and gives (name of the value in ONNX, array) in the order of its layers;
    nothing where the model does not take the feeds. None for a model that is no graph of layers."""
    if graph is None:
        return None
    depths = sorted(graph._nodes_by_depth, reverse=True)
    made = [item for depth in depths for node in graph._nodes_by_depth[depth] if not node.is_input for item in node.outputs]
    symbols = [item for item in made if id(item) in walker.known]
    labels = [walker.known[id(item)].value.name for item in symbols]  # before anything is laid out in another way

    def run(feeds: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
        try:
            model = keras.Model(graph._inputs_struct, symbols)
            given = keras.tree.pack_sequence_as(structure, [keras.ops.convert_to_tensor(feeds[name]) for name in inputs])
            results = keras.tree.flatten(model(given, training=False))
        except Exception:  # the model does not take this data
            return []
        return [(label, plain(keras.ops.convert_to_numpy(item))) for label, item in zip(labels, results, strict=True)]

    return run
