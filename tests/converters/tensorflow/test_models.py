"""Whole models: layers of Keras as SavedModels, modules with loops, branches and tables, frozen graphs; what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import onnxruntime  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2  # noqa: E402

import onward  # noqa: E402
from onward.converters import Certificate  # noqa: E402
from onward.errors import FormatError, InvalidArgument, UnsupportedOperator  # noqa: E402
from tests.converters.tensorflow.cases import constant  # noqa: E402

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the networks of Keras, which are exported by a process whose backend is TensorFlow."""
    pytest.importorskip("keras")
    folder = tmp_path_factory.mktemp("networks")
    command = [sys.executable, "-m", "tests.converters.tensorflow.networks", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "KERAS_BACKEND": "tensorflow"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def same_elsewhere(model: onward.Model, source: Any, feeds: dict[str, np.ndarray]) -> None:
    """The file gives in ONNX Runtime what TensorFlow computes."""
    session = onnxruntime.InferenceSession(model.to_bytes())
    expected = [np.asarray(item) for item in tf.nest.flatten(source(**{name: tf.constant(array) for name, array in feeds.items()}))]
    for ours, theirs in zip(session.run(None, feeds), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["convolutional", "recurrent", "transformer"])
def test_saved_model_of_keras(name: str, networks: Path) -> None:
    model = onward.convert(str(networks / name))
    (entry,) = model.graph.inputs
    held = np.load(networks / f"{name}.npz")
    for session in (onnxruntime.InferenceSession(model.to_bytes()), onward.InferenceSession(model)):
        np.testing.assert_allclose(session.run(None, {entry.name: held["x"]})[0], held["y"], rtol=1e-4, atol=1e-5)


def test_channels_last_needs_two_transpositions(networks: Path) -> None:
    kinds = [node.op_type for node in onward.convert(str(networks / "convolutional")).graph.nodes]
    assert kinds.count("Transpose") <= 2 and kinds.count("Conv") == 2


class Steps(tf.Module):
    """A loop and a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(constant(3, 3), name="weights")

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "start"), tf.TensorSpec([], tf.int32, "turns")])
    def __call__(self, start: Any, turns: Any) -> Any:
        def turn(place: Any, x: Any) -> Any:
            return place + 1, tf.tanh(x @ self.weights) + tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: -x)

        _, end = tf.while_loop(lambda place, _: place < turns, turn, [0, start])
        return {"end": end, "rows": tf.map_fn(lambda row: row * tf.reduce_sum(row), end)}

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
    def until(self, x: Any) -> Any:
        return tf.while_loop(lambda x: tf.reduce_max(x) < 100.0, lambda x: (x * 2 + 1,), [x])[0]


def test_module_with_loop_and_branch() -> None:
    module = Steps()
    model = onward.convert(module)
    assert [value.name for value in model.graph.outputs] == ["end", "rows"]
    assert "weights" in model.graph.initializers
    same_elsewhere(model, module, {"start": constant(4, 3, seed=2).numpy(), "turns": np.array(5, np.int32)})


def test_loop_that_may_not_end_is_tried_on_the_example() -> None:
    model = onward.convert(Steps(), (constant(2, 3),), methods=["until"])
    certificate = Certificate.of(model)
    assert certificate is not None and any("only the example" in note for note in certificate.notes)


class Words(tf.Module):
    """Text through a table to numbers, and back."""

    def __init__(self) -> None:
        super().__init__()
        keys, values = tf.constant(["the", "fox", "a"]), tf.constant([1, 2, 3], tf.int64)
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), 0)
        self.back = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(values, keys), "?")
        self.embedding = tf.Variable(constant(4, 5), name="embedding")

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string, "words")])
    def __call__(self, words: Any) -> Any:
        found = self.table.lookup(tf.strings.lower(words, "utf-8"))
        return {"mean": tf.reduce_mean(tf.nn.embedding_lookup(self.embedding, found), 1), "known": self.back.lookup(found)}


def test_text_with_tables(tmp_path: Path) -> None:
    module = Words()
    tf.saved_model.save(module, str(tmp_path / "saved"))
    for source in (module, str(tmp_path / "saved")):
        model = onward.convert(source)
        assert {value.name for value in model.graph.outputs} == {"mean", "known"}
        session = onward.InferenceSession(model.to_bytes())
        known = session.run(["known"], {"words": np.array([["The", "cat"]], object)})[0]
        assert known.tolist() == [["the", "?"]]


def test_frozen_graph(tmp_path: Path) -> None:
    module = Steps()
    concrete = module.__call__.get_concrete_function()
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    (tmp_path / "frozen.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString())
    model = onward.convert(str(tmp_path / "frozen.pb"))
    assert [value.name for value in model.graph.inputs] == ["start", "turns"]


def test_signatures_are_chosen_by_name(tmp_path: Path) -> None:
    module = tf.Module()
    module.double = tf.function(lambda x: {"twice": x * 2}, input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    module.half = tf.function(lambda x: {"half": x / 2}, input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    path = str(tmp_path / "saved")
    tf.saved_model.save(module, path, {"double": module.double, "half": module.half})
    assert [value.name for value in onward.convert(path, methods=["half"]).graph.outputs] == ["half"]
    with pytest.raises(InvalidArgument, match="double, half"):
        onward.convert(path)
    with pytest.raises(InvalidArgument, match="no signature or method 'other'.*signatures double, half and the methods double, half"):
        onward.convert(path, methods=["other"])
    with pytest.raises(InvalidArgument, match="methods double, half"):
        onward.convert(module)


def test_open_sizes_of_an_example() -> None:
    model = onward.convert(tf.function(lambda x: x + 1), (np.zeros((2, 3), np.float32),))
    assert not any(isinstance(extent, int) for extent in model.graph.inputs[0].shape)
    fixed = onward.convert(tf.function(lambda x: x + 1), (np.zeros((2, 3), np.float32),), dynamic_shapes={})
    assert list(fixed.graph.inputs[0].shape) == [2, 3]


def notes_of(model: onward.Model) -> str:
    certificate = Certificate.of(model)
    assert certificate is not None
    return " ".join(certificate.notes)


def test_objects_of_python_are_part_of_the_trace() -> None:
    """A list multiplied by a number is longer, multiplied by a tensor it is a sum of products."""

    def repeated(x: Any, count: Any, way: str = "up") -> Any:
        return tf.concat([x if way == "up" else -x] * count, 0)

    x = constant(2, 3)
    model = onward.convert(tf.function(repeated), (x, 4, "down"))
    assert [value.name for value in model.graph.inputs] == ["x"] and "4 of the example" in notes_of(model)
    (result,) = onward.InferenceSession(model).run(None, {"x": x.numpy()})
    np.testing.assert_array_equal(result, np.concatenate([-x.numpy()] * 4))
    typed = onward.convert(tf.function(repeated), {"x": tf.TensorSpec([None, 3], tf.float32), "count": 2})
    assert str(typed.graph.inputs[0].shape[1]) == "3"


def test_gradient_of_open_sizes() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec([None, 1]), tf.TensorSpec([3])])
    def slopes(x: Any, y: Any, z: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, y, z])
            total = tf.reduce_sum((x * y + z) ** 2)
        return tape.gradient(total, [x, y, z])

    assert len(onward.convert(slopes).graph.outputs) == 3


def test_graphs_of_version_1(tmp_path: Path) -> None:
    """A frozen graph is what data goes through; of a SavedModel with several graphs the one that serves is read."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session() as session:
        v1.placeholder(tf.bool, None, "training")
        x = v1.placeholder(tf.float32, [None, 3], "x")
        tf.identity(tf.constant([1.0]), "weights")
        y = tf.identity(x * 2, "y")
        builder = v1.saved_model.Builder(str(tmp_path / "saved"))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(session, ["train"])
        builder.add_meta_graph(["serve", "gpu"], {"serving_default": signature})
        builder.save()
    for source in (graph, str(tmp_path / "saved" / "saved_model.pb")):
        model = onward.convert(source)
        assert [value.name for value in (*model.graph.inputs, *model.graph.outputs)] == ["x", "y"]


class Picture(tf.Module):
    """Two inputs of which each has a number of rows of its own, and one that has that of the first."""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name) for name in ("rows", "boxes", "weights")])
    def __call__(self, rows: Any, boxes: Any, weights: Any) -> Any:
        return rows * weights, tf.reduce_sum(rows) + boxes


def test_first_axes_have_one_name_where_they_are_equal() -> None:
    shapes = [str(value.shape[0]) for value in onward.convert(Picture()).graph.inputs]
    assert shapes == ["batch", "boxes_0", "batch"]
    lengths = [np.zeros((length, 2), np.float32) for length in (3, 1, 3)]
    assert [str(value.shape[0]) for value in onward.convert(Picture(), tuple(lengths)).graph.inputs] == shapes


def test_ragged_and_sparse_inputs() -> None:
    table = constant(20, 4)

    @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.int32), tf.SparseTensorSpec([None, 6], tf.float32)])
    def both(words: Any, features: Any) -> Any:
        return {"mean": tf.reduce_mean(tf.gather(table, words), 1), "product": tf.sparse.sparse_dense_matmul(features, constant(6, 3)), "same": words + 1,
                "sums": tf.map_fn(tf.reduce_sum, words, fn_output_signature=tf.int32)}  # fmt: skip

    for example in (None, (tf.ragged.constant([[1, 2], [3]]), tf.sparse.from_dense(constant(2, 6)))):
        model = onward.convert(both, example)
        assert [value.name for value in model.graph.inputs] == [
            "words_values", "words_row_splits", "features_indices", "features_values", "features_dense_shape",
        ]  # fmt: skip
        assert [value.name for value in model.graph.outputs] == ["mean", "product", "same_values", "same_row_splits", "sums"]
        certificate = Certificate.of(model)
        assert certificate is not None and len(certificate.shapes) > 3


class Counter(tf.Module):
    """What a run gives depends on the runs before."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, x: Any) -> Any:
        made = x + self.runs
        self.runs.assign_add(1.0)
        return made


def test_variables_that_a_run_changes_stay_as_they_were() -> None:
    source = Counter()
    certificate = Certificate.of(onward.convert(source))
    assert certificate is not None and any("changes its variables" in note for note in certificate.notes)
    assert source.runs.numpy() == 3


def test_all_unsupported_operators_at_once() -> None:
    def both(x: Any) -> Any:
        return tf.io.decode_base64(tf.strings.as_string(x)), tf.io.encode_base64(tf.strings.as_string(x))

    with pytest.raises(UnsupportedOperator, match="2 operators(.|\n)*DecodeBase64.*test_models(.|\n)*EncodeBase64"):
        onward.convert(tf.function(both), (np.zeros(2, np.int32),))


def test_wrong_sources(tmp_path: Path) -> None:
    (tmp_path / "broken.pb").write_bytes(b"no graph")
    with pytest.raises(FormatError, match="broken.pb"):
        onward.convert(str(tmp_path / "broken.pb"))
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(FormatError, match="SavedModel"):
        onward.convert(str(tmp_path / "saved"))
    with pytest.raises(InvalidArgument, match="example_inputs"):
        onward.convert(tf.function(lambda x: x))
    with pytest.raises(InvalidArgument, match="shape"):
        onward.convert(Steps(), {"start": np.zeros((2, 4), np.float32), "turns": 3})


def test_nodes_say_where_they_are_from() -> None:
    def scaled(x: Any) -> Any:
        with tf.name_scope("inner"):
            return tf.sin(x) * 2

    model = onward.convert(tf.function(scaled), (np.zeros(2, np.float32),))
    (node,) = [node for node in model.graph.nodes if node.op_type == "Sin"]
    assert node.metadata["onward.module"] == "inner" and "test_models.py" in node.metadata["onward.source"]


def test_gelu_stays_one_operator() -> None:
    model = onward.convert(tf.function(tf.nn.gelu), (np.ones(3, np.float32),))
    assert {node.op_type for node in model.graph.nodes} == {"Gelu", "Identity"}
