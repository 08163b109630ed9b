"""Which operators of TensorFlow have a translation: each name is one of TensorFlow's, and of those that tf2onnx 1.17 knows all do but a few."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

from tensorflow.python.framework import op_def_registry  # noqa: E402

from onward.converters.tensorflow.capture import SOURCES  # noqa: E402
from onward.converters.tensorflow.refusals import REFUSALS  # noqa: E402
from onward.converters.tensorflow.registry import COMPLEX, OPERATORS, STRUCTURE  # noqa: E402

PEER = Path(__file__).with_name("peer_operators.txt").read_text().split()
"""Names for which tf2onnx 1.17 registers a handler."""

WHERE_DATA_COMES_FROM = {*SOURCES, "FIFOQueueV2", "IteratorV2"}
"""Their results are inputs of the model."""
MISSING = {
    "SampleDistortedBoundingBox": "draws crops at random, with which pictures for training are made",
    "SampleDistortedBoundingBoxV2": "as SampleDistortedBoundingBox",
}


def test_names_are_those_of_tensorflow(capsys: pytest.CaptureFixture[str]) -> None:
    import onward.converters.tensorflow  # noqa: F401 (registers)

    names = {*OPERATORS, *COMPLEX, *STRUCTURE}
    assert not [name for name in names if op_def_registry.get(name) is None]
    with capsys.disabled():
        print(f" {len(names)} operators of TensorFlow")
    assert len(names) > len(PEER)


def test_what_is_refused_with_a_reason_has_no_translation() -> None:
    import onward.converters.tensorflow  # noqa: F401 (registers)

    assert not REFUSALS.keys() & {*OPERATORS, *COMPLEX, *STRUCTURE}
    assert not [name for name in REFUSALS if op_def_registry.get(name) is None]
    assert {"SampleDistortedBoundingBox", "SampleDistortedBoundingBoxV2"} <= REFUSALS.keys()


def test_what_the_peer_has() -> None:
    import onward.converters.tensorflow  # noqa: F401 (registers)

    real = {name for name in PEER if op_def_registry.get(name) is not None}
    assert len(real) == 264
    assert real - {*OPERATORS, *COMPLEX, *STRUCTURE} - WHERE_DATA_COMES_FROM == set(MISSING)
