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


def calibrated(layer: Any, mode: str, bits: int, group: int) -> None:
    """Gives a layer codes as calibration does, with scales and zeros for groups of its inputs."""
    random = np.random.default_rng(0)
    options = {"dataset": ["a"], "tokenizer": str, "group_size": group}
    layer.quantize(mode, config=keras.quantizers.AWQConfig(**options) if mode == "awq" else keras.quantizers.GPTQConfig(weight_bits=bits, **options))
    layer.quantized_kernel.assign(random.integers(0, 256, layer.quantized_kernel.shape).astype(np.uint8))
    layer.kernel_zero.assign(random.integers(0, 2**bits, layer.kernel_zero.shape).astype(np.uint8))
    layer.kernel_scale.assign(random.uniform(0.01, 0.1, layer.kernel_scale.shape))
    layer.g_idx.assign(np.arange(layer.g_idx.shape[0]) // (group if group > 0 else layer.g_idx.shape[0]))
    if mode == "awq":
        layer.awq_scales.assign(random.uniform(0.5, 2.0, layer.awq_scales.shape))
    setattr(layer, f"is_{mode}_calibrated", True)


@pytest.mark.parametrize(("mode", "bits", "group"), [("gptq", 4, 2), ("gptq", 8, -1), ("awq", 4, 3)])
def test_calibrated_codes_stay_codes(mode: str, bits: int, group: int) -> None:
    inputs = keras.Input((5, 6))
    wide, narrow = L.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="de"), L.Dense(3)
    model = keras.Model(inputs, narrow(wide(inputs)))
    calibrated(wide, mode, bits, group)
    calibrated(narrow, mode, bits, group)
    converted = onward.convert(model)
    kinds = [value.tensor.dtype.name for value in converted.graph.initializers.values() if value.tensor is not None]
    assert kinds.count("UINT4" if bits == 4 else "UINT8") >= 2


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
