"""Models with quantised weights, themselves and from their files; files that hold weights alone, or code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onward
from onward.converters import Certificate
from onward.errors import FormatError, UnsupportedModel

keras = pytest.importorskip("keras")
pytest.importorskip("jax")

L = keras.layers


def network() -> Any:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5,), dtype="int32")
    x = L.Embedding(10, 6)(inputs)
    x = L.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d", activation="relu")(x)
    return keras.Model(inputs, L.Dense(3)(x))


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_quantized_model(mode: str, tmp_path: Path) -> None:
    model = network()
    model.quantize(mode)
    converted = onward.convert(model)
    certificate = Certificate.of(converted)
    assert certificate is not None and certificate.differences
    if mode == "int8":
        assert any(value.tensor is not None and value.tensor.dtype.name == "INT8" for value in converted.graph.initializers.values())
        model.save(tmp_path / "model.keras")
        x = np.arange(10, dtype=np.int32).reshape(2, 5)
        found = [onward.InferenceSession(item).run(None, {item.graph.inputs[0].name: x})[0] for item in (converted, onward.convert(tmp_path / "model.keras"))]
        np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("name", "size"), [("model.weights.h5", None), ("model.weights.json", 3e-7)])
def test_weights_alone_are_no_model(name: str, size: float | None, tmp_path: Path) -> None:
    network().save_weights(tmp_path / name, max_shard_size=size)
    with pytest.raises(UnsupportedModel, match="weights alone.*load the weights"):
        onward.convert(tmp_path / name)


def test_code_in_a_file_needs_trust(tmp_path: Path) -> None:
    inputs = keras.Input((3,))
    keras.Model(inputs, L.Lambda(lambda x: x * 2)(inputs)).save(tmp_path / "code.keras")
    with pytest.raises(FormatError, match="Lambda.*--trust"):
        onward.convert(tmp_path / "code.keras")
    assert Certificate.of(onward.convert(tmp_path / "code.keras", trust=True)) is not None
