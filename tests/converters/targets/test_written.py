"""Files and folders that targets wrote are compared again with the model that they were made of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import onward
from onward.cli import converting  # noqa: F401 (registers its commands)
from onward.cli.commands import app
from onward.converters import verify
from onward.converters.builder import ModelBuilder
from onward.errors import ConversionMismatch, InvalidArgument
from onward.ir import Model
from onward.ir.datatypes import DataType


def network(scale: float = 1.0, wide: bool = True) -> Model:
    """Labels and probabilities, of an activation that no estimator has; or the probabilities alone."""
    random = np.random.default_rng(0)
    b = ModelBuilder("network")
    x = b.input("x", DataType.FLOAT, ["rows", 4])
    weights = [b.constant((scale * random.standard_normal(shape)).astype(np.float32), f"{shape[0]}.weight") for shape in ((4, 5), (5, 3))]
    found = b.op("Softmax", b.op("MatMul", b.op("Abs", b.op("MatMul", x, weights[0])), weights[1]), axis=-1)
    if wide:
        b.output(b.op("ArgMax", found, axis=1, keepdims=0), "place")
    b.output(found, "chances")
    return b.model()


@pytest.mark.parametrize(
    ("target", "name"), [("numpy", "folder"), ("sklearn", "m.joblib"), ("torch", "m.pt2"), ("torch-source", "folder"), ("keras", "m.keras"), ("jax", "folder")]
)
def test_what_was_written_is_compared_again(target: str, name: str, tmp_path: Path) -> None:
    pytest.importorskip(target.removesuffix("-source"))
    source, written = tmp_path / "m.onnx", tmp_path / name
    onward.save(network(), source)
    onward.convert(source, to=target, output=written)
    for arguments in ((written,), (source, written), (written, source), (onward.load(source), written)):
        certificate = verify(*arguments, trust=True)
        assert certificate.differences["place"]["different"] == 0 and 0 <= certificate.differences["chances"]["relative"] < 1e-6
        assert len(certificate.shapes) > 3
    onward.save(network(1.5), tmp_path / "other.onnx")
    with pytest.raises(ConversionMismatch):
        verify(tmp_path / "other.onnx", written, trust=True)
    onward.save(network(1.5), source)
    with pytest.raises(ConversionMismatch, match="has changed since"):
        verify(written, trust=True)


def test_probabilities_alone_are_those_of_a_wrapped_classifier(tmp_path: Path) -> None:
    """Which has labels, too."""
    pytest.importorskip("sklearn")
    onward.save(network(wide=False), tmp_path / "m.onnx")
    assert type(onward.convert(tmp_path / "m.onnx", to="sklearn", output=tmp_path / "m.joblib")).__name__ == "OnnxClassifier"
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "m.onnx"), str(tmp_path / "m.joblib"), "--trust"])
    assert done.exit_code == 0 and "chances" in done.output, done.output
    again = onward.convert(tmp_path / "m.joblib", trust=True)
    assert [value.name for value in again.graph.outputs] == ["label", "probabilities"], "it is a source like any other"


def test_trees_by_their_limits(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    rows = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    for name, labels in (("m", rows[:, 0]), ("other", rows[:, 1])):
        xgboost.train({"max_depth": 2}, xgboost.DMatrix(rows, label=labels), 3).save_model(tmp_path / f"{name}.json")
    onward.convert(tmp_path / "m.json", to="xgboost", output=tmp_path / "again.ubj")
    assert verify(tmp_path / "again.ubj").differences["prediction"]["absolute"] == 0
    assert verify(tmp_path / "m.json", tmp_path / "again.ubj").differences["prediction"]["absolute"] == 0
    with pytest.raises(ConversionMismatch):
        verify(tmp_path / "other.json", tmp_path / "again.ubj")


def test_what_is_not_known_is_asked_for(tmp_path: Path) -> None:
    onward.convert(network(), to="numpy", output=tmp_path / "folder")
    with pytest.raises(InvalidArgument, match=r"was made of an object.*pass that as well"):
        verify(tmp_path / "folder", trust=True)
    with pytest.raises(InvalidArgument, match=r"model\.py' is code.*--trust"):
        verify(network(), tmp_path / "folder")
    assert verify(network(), tmp_path / "folder", trust=True).failures == []
    (tmp_path / "folder" / "certificate.json").write_text("{}")
    with pytest.raises(InvalidArgument, match="cannot be read"):
        verify(network(), tmp_path / "folder", trust=True)
    (tmp_path / "folder" / "certificate.json").unlink()
    with pytest.raises(InvalidArgument, match="no certificate beside it"):
        verify(tmp_path / "folder", trust=True)


def test_a_certificate_of_another_time_is_taken_away(tmp_path: Path) -> None:
    onward.convert(network(), to="numpy", output=tmp_path)
    assert json.loads((tmp_path / "certificate.json").read_text())["framework"] == "NumPy"
    onward.convert(network(2.0), to="numpy", output=tmp_path, verify=False)
    assert not (tmp_path / "certificate.json").exists()


def test_jax_keeps_double_precision(tmp_path: Path) -> None:
    """Weights are not shortened when they are read again."""
    pytest.importorskip("jax")
    b = ModelBuilder("double")
    b.output(b.op("MatMul", b.input("x", DataType.DOUBLE, ["rows", 2]), b.constant(np.array([[1 / 3], [1 / 7]]), "weight")), "y")
    model = b.model()
    onward.convert(model, to="jax", output=tmp_path / "folder")
    assert verify(model, tmp_path / "folder", trust=True).differences["y"]["relative"] < 1e-15
