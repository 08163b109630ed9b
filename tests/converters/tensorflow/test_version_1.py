"""Frozen graphs of TensorFlow 1: Switch and Merge, loops with arrays, tables that the graph fills, queues; recurrent layers of cuDNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf  # noqa: E402

import onward  # noqa: E402
from onward.converters import Certificate  # noqa: E402
from tests.converters.tensorflow.cases import constant  # noqa: E402

v1 = tf.compat.v1


def frozen(build: Callable[[], Any]) -> Any:
    """The graph that a function builds, with control flow of TensorFlow 1."""
    was_on = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default() as graph:
            build()
    finally:
        if was_on:
            v1.enable_control_flow_v2()
    return graph.as_graph_def()


def rows() -> Any:
    return v1.placeholder(tf.float32, [None, 3], "x")


def branches() -> None:
    x = rows()

    def inner() -> Any:
        return v1.cond(tf.reduce_max(x) > 1, lambda: (x * 3.0, tf.reduce_sum(x)), lambda: (x - 5.0, tf.constant(2.0)))

    first, second = v1.cond(tf.reduce_sum(x) > 0, inner, lambda: (x * 2.0, tf.constant(1.0)))
    tf.identity(first * second, "y")


def loop_with_branch() -> None:
    def turn(place: Any, y: Any) -> Any:
        return place + 1, tf.tanh(y @ constant(3, 3)) + v1.cond(tf.reduce_sum(y) > 0, lambda: y, lambda: -y)

    tf.identity(v1.while_loop(lambda place, y: place < 4, turn, [tf.constant(0), rows()])[1], "y")


def loop_in_loop() -> None:
    x = rows()

    def turn(place: Any, y: Any) -> Any:
        _, z = v1.while_loop(lambda inner, z: inner < place, lambda inner, z: (inner + 1, z + x), [tf.constant(0), y])
        return place + 1, z * 0.5

    tf.identity(v1.while_loop(lambda place, y: place < 4, turn, [tf.constant(0), x])[1], "y")


def recurrent() -> None:
    x = v1.placeholder(tf.float32, [None, None, 3], "x")
    steps = tf.shape(x)[0]
    given = tf.TensorArray(tf.float32, steps, element_shape=[None, 3]).unstack(x)

    def turn(step: Any, h: Any, made: Any) -> Any:
        h = tf.tanh(tf.concat([given.read(step), h], 1) @ constant(7, 4))
        return step + 1, h, made.write(step, h)

    start = [0, tf.zeros([tf.shape(x)[1], 4]), tf.TensorArray(tf.float32, steps)]
    _, h, made = v1.while_loop(lambda step, h, made: step < steps, turn, start)
    tf.identity(made.stack(), "y")
    tf.identity(h, "h")


def table() -> None:
    words = tf.lookup.KeyValueTensorInitializer(tf.constant(["a", "the", "unknown"]), tf.constant([3, 1, 7], tf.int64))
    tf.identity(tf.lookup.StaticHashTable(words, -1).lookup(v1.placeholder(tf.string, [None], "x")), "y")


@pytest.mark.parametrize("build", [branches, loop_with_branch, loop_in_loop, recurrent, table])
def test_frozen_graph(build: Callable[[], Any]) -> None:
    definition = frozen(build)
    model = onward.convert(definition)
    certificate = Certificate.of(model)
    assert certificate is not None and len(certificate.shapes) == 6
    if build is not table:
        assert {node.op for node in definition.node} & {"Switch", "Merge"}
        assert {node.op_type for node in model.graph.nodes} & {"If", "Loop"}


def test_where_a_queue_gives_data_the_model_has_an_input() -> None:
    def build() -> None:
        queue = v1.FIFOQueue(10, [tf.float32], shapes=[[3]])
        tf.identity(queue.dequeue_many(2) * 2.0, "y")

    model = onward.convert(frozen(build), example_inputs=(np.ones((2, 3), np.float32),), output_names=["y"])
    (entry,) = model.graph.inputs
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(onward.InferenceSession(model).run(None, {entry.name: x})[0], 2 * x)


@pytest.mark.parametrize(("kind", "both"), [("lstm", True), ("gru", False)])
def test_layers_of_cudnn(kind: str, both: bool) -> None:
    """TensorFlow has no kernel for them on a CPU; PyTorch's layers keep their weights in cuDNN's order."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers, units, features, ways = 2, 4, 3, 1 + both
    source = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](features, units, layers, bidirectional=both)
    names = [f"l{layer}{end}" for layer in range(layers) for end in ("", "_reverse")[:ways]]
    parts = [getattr(source, f"{part}_{which}_{name}") for part in ("weight", "bias") for name in names for which in ("ih", "hh")]
    flat = torch.cat([part.detach().reshape(-1) for part in parts]).numpy()

    @tf.function(input_signature=[tf.TensorSpec([None, None, features]), tf.TensorSpec([layers * ways, None, units])])
    def function(x: Any, h: Any) -> Any:
        made = tf.raw_ops.CudnnRNNV3(
            input=x, input_h=h, input_c=h, params=flat, sequence_lengths=tf.fill([tf.shape(x)[1]], tf.shape(x)[0]), rnn_mode=kind,
            direction="bidirectional" if both else "unidirectional", is_training=False,
        )  # fmt: skip
        return made.output, made.output_h

    model = onward.convert(function, verify=False)
    x, h = (np.random.default_rng(0).standard_normal(shape).astype(np.float32) for shape in ((5, 2, features), (layers * ways, 2, units)))
    start = torch.from_numpy(h)
    expected, final = source(torch.from_numpy(x), (start, start) if kind == "lstm" else start)
    ours = onward.InferenceSession(model).run(None, dict(zip((value.name for value in model.graph.inputs), (x, h), strict=True)))
    np.testing.assert_allclose(ours[0], expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours[1], (final[0] if kind == "lstm" else final).detach().numpy(), rtol=1e-5, atol=1e-6)
