"""How many operators of TensorFlow have a translation, and that each name is one of TensorFlow's."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow")

from tensorflow.python.framework import op_def_registry  # noqa: E402

from onward.converters.tensorflow.registry import COMPLEX, OPERATORS, STRUCTURE  # noqa: E402

PEER = 264
"""Operators of TensorFlow that tf2onnx 1.17 translates."""


def test_names_are_those_of_tensorflow_and_more_than_the_peer_has(capsys: pytest.CaptureFixture[str]) -> None:
    import onward.converters.tensorflow  # noqa: F401 (registers)

    names = {*OPERATORS, *COMPLEX, *STRUCTURE}
    assert not [name for name in names if op_def_registry.get(name) is None]
    with capsys.disabled():
        print(f" {len(names)} operators of TensorFlow")
    assert len(names) > PEER
