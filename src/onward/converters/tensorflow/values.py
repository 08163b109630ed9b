"""What TensorFlow computes on the way, by the names of the model's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.capture import Captured
from onward.converters.tensorflow.emitter import Tensor, as_array
from onward.converters.tensorflow.graph import Walker


def recorder(walker: Walker, captured: Captured) -> Callable[[Mapping[str, np.ndarray]], list[tuple[str, np.ndarray]]]:
    """A function that runs the graph for some feeds and gives (name of the model's value, array) in the order of computation;
    nothing where the graph does not take the feeds."""
    known = {name: item.computed for name, item in walker.values.items() if isinstance(item, Tensor) and item.computed is not None}
    inputs = {tensor.name for tensor in captured.inputs}
    order = [tensor.name for op in captured.graph.get_operations() for tensor in op.outputs if tensor.name in known and tensor.name not in inputs]
    labels = {name: known[name].name for name in order}  # before anything is laid out in another way

    def run(feeds: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
        try:
            given = [captured._given(feeds[name], tensor) for name, tensor in zip(captured.names, captured.inputs, strict=True)]
            results = _intermediates(captured, order, given)
        except Exception:  # the graph does not take this data
            return []
        return [(labels[name], as_array(item.numpy())) for name, item in zip(order, results, strict=True)]

    return run


def _intermediates(captured: Captured, names: list[str], given: list[Any]) -> list[Any]:
    """Tensors of the captured graph, for arrays in the places of its inputs."""
    concrete = captured.concrete
    inner = concrete.inputs[len(concrete.inputs) - len(concrete.captured_inputs) :]
    outside = dict(zip((tensor.name for tensor in inner), concrete.captured_inputs, strict=True))

    @tf.function(autograph=False)
    def computed(*arrays: Any) -> Any:
        graph = tf.compat.v1.get_default_graph()
        places = {name: graph.capture(item) for name, item in outside.items()} | {
            tensor.name: array for tensor, array in zip(captured.inputs, arrays, strict=True)
        }
        return tf.graph_util.import_graph_def(captured.graph.as_graph_def(), input_map=places, return_elements=names, name="recorded")

    results: list[Any] = computed(*given)
    return results
