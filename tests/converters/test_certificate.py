"""What a certificate accepts: the judge is the source in double precision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onward
from onward.converters.certificate import EXAMPLE, KEY, Certificate, Reference, certify, repeated
from onward.errors import ConversionMismatch, InvalidArgument
from onward.ir import Model, Tensor
from onward.ir.io import parse_text

DATA = np.full((2, 3), 1.5, np.float32)


def spread(noise: float) -> Model:
    """A model that computes 1e4 (x - mean of x) + noise."""
    return parse_text(
        f"""<ir_version: 10, opset_import: ["" : 18]>
        spread (float[N, 3] x) => (float[N, 3] y)
        {{
            axes = Constant <value_ints = [1]> ()
            scale = Constant <value_float = 1e4> ()
            noise = Constant <value_float = {noise}> ()
            mean = ReduceMean (x, axes)
            apart = Sub (x, mean)
            large = Mul (apart, scale)
            y = Add (large, noise)
        }}"""
    )


def reference(noise: float) -> Reference:
    """The same, with a noise of its own in single precision."""

    def exactly(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        x = feeds["x"].astype(np.float64)
        return {"y": 1e4 * (x - x.mean(1, keepdims=True))}

    def outputs(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": (exactly(feeds)["y"] + noise).astype(np.float32)}

    return Reference("a source", {"equal numbers": {"x": DATA}}, outputs, exactly)


def test_ill_conditioned_data_are_judged_by_what_a_small_change_does() -> None:
    """Numbers changed by 1e-6 move the exact result by some 1e-2: 1e-3 is rounding, 1 is not."""
    certificate = certify(spread(1e-3), reference(1e-4), None, None)
    assert "ill-conditioned" in certificate.notes[0] and certificate.differences["y"]["absolute"] > 5e-4
    with pytest.raises(ConversionMismatch, match="from double precision ours differs by 1, the source by 0.0001"):
        certify(spread(1.0), reference(1e-4), None, None)


def test_data_that_the_source_computes_well_are_not_ill_conditioned() -> None:
    with pytest.raises(ConversionMismatch, match="the source by 0"):
        certify(spread(1e-3), reference(0.0), None, None)


def test_the_source_s_own_rounding_is_accepted() -> None:
    certificate = certify(spread(1e-4), reference(-1e-4), None, None)
    assert certificate.notes == [] and Certificate.of(spread(0.0)) is None


def test_a_model_of_an_object_is_verified_by_what_its_certificate_keeps(tmp_path: Path) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows = np.random.default_rng(0).standard_normal((50, 3))
    model = onward.convert(linear_model.LogisticRegression().fit(rows, rows[:, 0] > 0), rows)
    onward.save(model, tmp_path / "m.onnx")
    again = onward.converters.verify(tmp_path / "m.onnx")
    assert set(again.differences) == {value.name for value in model.graph.outputs}
    assert "the source was no file" in again.notes[0] and EXAMPLE in again.notes[1]
    assert all(item["data"] != EXAMPLE for item in json.loads(model.metadata[KEY])["evidence"])
    (wrong,) = (item for item in model.graph.initializers.values() if item.shape == (3, 1) or item.shape == (1, 3))
    wrong.tensor = Tensor.of(wrong.tensor.numpy() + 0.5)
    with pytest.raises(ConversionMismatch, match="has changed since"):
        onward.converters.verify(model)


def test_evidence_tells_results_apart() -> None:
    model = spread(1e-4)
    certificate = certify(model, reference(1e-4), None, None)
    assert repeated(model).differences == certificate.differences
    kept = json.loads(model.metadata[KEY])
    right, other = (certify(spread(noise), reference(noise), None, None).evidence[0]["results"] for noise in (1e-4, 1.0))
    assert kept["evidence"][0]["results"] == right
    kept["evidence"][0]["results"] = other
    model.metadata[KEY] = json.dumps(kept)
    with pytest.raises(ConversionMismatch, match="differs from what a source gave for equal numbers"):
        repeated(model)


@pytest.mark.parametrize("spoil", [
    {"bytes": "no code"}, {"bytes": ""}, {"shape": [1 << 40]}, {"shape": [-1]}, {"type": "NONE"}, {"shape": "x"}, {"bytes": 5},
])  # fmt: skip
def test_damaged_evidence_is_told(spoil: dict[str, Any]) -> None:
    model = spread(1e-4)
    certify(model, reference(1e-4), None, None)
    kept = json.loads(model.metadata[KEY])
    (name,) = kept["evidence"][0]["results"]
    kept["evidence"][0]["results"][name] |= spoil
    model.metadata[KEY] = json.dumps(kept)
    with pytest.raises(InvalidArgument, match="damaged"):
        repeated(model)
    for evidence in ([5], [{}], [{**kept["evidence"][0], "allowed": {}}]):
        model.metadata[KEY] = json.dumps({**kept, "evidence": evidence})
        with pytest.raises(InvalidArgument, match="damaged"):
            repeated(model)
    for text in ("no JSON", "5", '{"x": 1}'):
        model.metadata[KEY] = text
        with pytest.raises(InvalidArgument, match="certificate"):
            repeated(model)


def test_a_model_without_evidence_says_what_is_missing() -> None:
    model = spread(0.0)
    with pytest.raises(InvalidArgument, match="no certificate"):
        repeated(model)
    certify(model, reference(0.0), None, None, {"path": "somewhere", "sha256": ""})
    with pytest.raises(InvalidArgument, match="too large to be kept"):
        repeated(model)
