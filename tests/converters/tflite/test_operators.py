"""Each function through TensorFlow's converter: the interpreter and the ONNX model agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onward.errors import UnsupportedOperator
from tests.converters.tflite.cases import CASES
from tests.converters.tflite.making import converted, make, spec, tf, weights
from tests.converters.tflite.test_recurrent import file_of, flatbuffers, schema


@pytest.mark.parametrize("name", sorted(CASES))
def test_float(name: str, tmp_path: Path) -> None:
    model, certificate = converted(make(*CASES[name]), tmp_path)
    assert set(certificate.differences) == {value.name for value in model.graph.outputs}


@pytest.mark.parametrize("name", ["net", "shapes", "dil", "while", "gather"])
def test_other_runtime(name: str, tmp_path: Path) -> None:
    """onnxruntime computes the same from the file."""
    onnxruntime = pytest.importorskip("onnxruntime")
    from onward.converters.tflite.reference import interpreter_class, runner

    data = make(*CASES[name])
    model, _ = converted(data, tmp_path)
    names = [value.name for value in model.graph.inputs]
    rng = np.random.default_rng(3)
    feeds = {
        value.name: rng.normal(size=[2 if not isinstance(extent, int) else extent for extent in value.shape]).astype(np.float32) for value in model.graph.inputs
    }
    found = interpreter_class()
    assert found is not None
    expected = runner(data, found, names, [value.name for value in model.graph.outputs])(feeds)
    session = onnxruntime.InferenceSession(model.to_bytes(), providers=["CPUExecutionProvider"])
    assert expected is not None
    for ours, theirs in zip(session.run(None, feeds), expected.values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_layout(tmp_path: Path) -> None:
    """A chain of convolutions, additions and pools is turned once at its start and nowhere else."""
    model, _ = converted(make(*CASES["net"]), tmp_path)
    assert sum(node.op_type == "Transpose" for node in model.graph.nodes) == 1


def test_provenance_and_names(tmp_path: Path) -> None:
    model, _ = converted(make(lambda picture: tf.nn.relu(picture @ weights(4, 3)), spec(None, 4)), tmp_path)
    assert [value.name for value in model.graph.inputs] == ["picture"]
    kinds = {node.metadata.get("onward.class") for node in model.graph.nodes}
    assert "FULLY_CONNECTED" in kinds


def test_random_numbers(tmp_path: Path) -> None:
    def drawn(x):
        return tf.random.uniform([3]) + tf.random.normal([3]), tf.random.categorical(tf.reshape(x, [1, 4]), 3)

    model, _ = converted(make(drawn, spec(4)), tmp_path)
    assert {node.op_type for node in model.graph.nodes} >= {"RandomUniformLike", "RandomNormalLike", "ArgMax"}


def test_all_refusals_at_once(tmp_path: Path) -> None:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file_of("STABLEHLO_COSINE", (2, 3), {}, {}, [(2, 3)])))
    (graph,), (code,) = model.subgraphs, model.operatorCodes
    (first,) = graph.operators
    second = schema.OperatorT()
    second.opcodeIndex, second.inputs, second.outputs = 1, first.inputs, first.outputs
    other = schema.OperatorCodeT()
    other.builtinCode, other.deprecatedBuiltinCode, other.version = schema.BuiltinOperator.STABLEHLO_TANH, code.deprecatedBuiltinCode, 1
    graph.operators, model.operatorCodes = [first, second], [code, other]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(UnsupportedOperator) as refusal:
        converted(bytes(builder.Output()), tmp_path)
    for name in ("STABLEHLO_COSINE", "STABLEHLO_TANH"):
        assert name in str(refusal.value)


class Tables(tf.Module):
    """A table and a variable that are filled before the first run."""

    def __init__(self):
        super().__init__()
        words = tf.lookup.KeyValueTensorInitializer(tf.constant(["a", "the", "unknown"]), tf.constant([3, 1, 7], tf.int64))
        self.table = tf.lookup.StaticHashTable(words, -1)
        self.weights = tf.Variable(weights(3))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words"), spec(None, 3)])
    def __call__(self, words, x):
        return {"numbers": self.table.lookup(words), "size": self.table.size(), "sums": x + self.weights}


def test_tables_and_variables(tmp_path: Path) -> None:
    module = Tables()
    tf.saved_model.save(module, str(tmp_path / "saved"))
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.experimental_enable_resource_variables = True
    data = converter.convert()
    model, certificate = converted(bytes(data), tmp_path)
    kinds = {node.metadata.get("onward.class") for node in model.graph.nodes}
    assert "HASHTABLE_FIND" in kinds and certificate.differences


def test_every_signature_is_compared(tmp_path: Path) -> None:
    module = tf.Module()
    module.double = tf.function(lambda x: {"made": x * weights(3), "x": x + 1}, input_signature=[spec(None, 3)])
    module.other = tf.function(lambda x: {"most": tf.reduce_max(x, 1)}, input_signature=[spec(None, 4)])
    tf.saved_model.save(module, str(tmp_path / "saved"), {"other": module.other, "double": module.double})
    data = bytes(tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert())
    for method, outputs in (("double", {"made", "x_output"}), ("other", {"most"})):
        model, certificate = converted(data, tmp_path, methods=[method])
        assert certificate.differences.keys() == outputs == {value.name for value in model.graph.outputs}
