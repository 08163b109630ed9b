"""Quantised files: codes equal but for a few that are one step apart; real numbers within the source's own rounding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.converters.tflite.cases import CASES
from tests.converters.tflite.making import converted, make, spec, tf, weights

ONE_STEP = ["acts", "binary", "bmm", "deconv", "dil", "fc", "pads", "reduce", "resize", "s2d", "shapes", "splits", "unary"]


@pytest.mark.parametrize("kind", ["int8_codes", "uint8_codes"])
@pytest.mark.parametrize("name", ONE_STEP)
def test_codes(name: str, kind: str, tmp_path: Path) -> None:
    _, certificate = converted(make(*CASES[name], kind=kind), tmp_path)
    for found in certificate.differences.values():
        assert found.get("steps", 0) <= 1


@pytest.mark.parametrize("kind", ["dynamic", "float16", "int8", "int8_codes", "int16"])
@pytest.mark.parametrize("name", ["net", "fc", "dil"])
def test_whole(name: str, kind: str, tmp_path: Path) -> None:
    converted(make(*CASES[name], kind=kind), tmp_path)


def test_weights_stay_codes(tmp_path: Path) -> None:
    model, _ = converted(make(*CASES["net"], kind="int8"), tmp_path)
    kept = [value.tensor for value in model.graph.initializers.values() if value.tensor is not None and value.tensor.nbytes >= 160]
    assert kept and all(tensor.numpy().dtype == np.int8 for tensor in kept)


@pytest.mark.parametrize("rank", [2, 3])
def test_rounded_as_it_runs(rank: int, tmp_path: Path) -> None:
    """Weights of 8 bits with real inputs: TFLite rounds the inputs row by row, and so does the model."""
    shape = [None, 64] if rank == 2 else [None, 5, 64]
    model, certificate = converted(make(lambda x: x @ weights(64, 48), spec(*shape), kind="dynamic"), tmp_path)
    assert any(node.op_type == "Round" for node in model.graph.nodes)
    assert all(found["relative"] < 1e-5 for found in certificate.differences.values())


def test_share_that_differs() -> None:
    """What is said in the docs: of codes that one operator computes, few are one step apart and none more."""
    from onward.converters.request import Request
    from onward.converters.tflite import convert
    from onward.runtime import InferenceSession

    data = make(lambda x: tf.nn.relu(tf.nn.conv2d(x, weights(3, 3, 8, 16), 1, "SAME")), spec(None, 16, 16, 8), kind="int8_codes")
    model, reference = convert(Request(data))
    session = InferenceSession(model.to_bytes())
    codes = np.random.default_rng(0).integers(-128, 128, (8, 16, 16, 8)).astype(np.int8)
    feeds = {model.graph.inputs[0].name: codes}
    (ours,) = session.run(None, feeds)
    expected = reference.outputs(feeds)
    assert expected is not None
    (theirs,) = expected.values()
    gap = np.abs(ours.astype(int) - theirs)
    assert gap.max() <= 1
    assert np.mean(gap) < 0.002
