"""Elements that a target lacks and keeps in bytes: rounding, limits and infinities as ml_dtypes has them."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import onward
from onward.converters.builder import ModelBuilder
from onward.converters.targets.keras import words
from onward.converters.targets.keras.words import WIDER
from onward.converters.targets.printing.storage import FLOATS, WHOLE, kept, restored
from onward.ir import Model
from onward.ir.datatypes import DataType

SMALL = [dtype for dtype in FLOATS if dtype.name.startswith(("FLOAT8", "FLOAT4")) and dtype != DataType.FLOAT8E8M0]
"""E8M0 has rounding of its own in ONNX, which the suite of the onnx package tests."""


def page_of(target: str) -> Any:
    pytest.importorskip(target)
    return importlib.import_module(f"onward.converters.targets.{target}")


def cast(source: DataType, target: DataType, saturate: int) -> Model:
    b = ModelBuilder("cast")
    options = {} if target in WHOLE else {"saturate": saturate}
    b.output(b.op("Cast", b.input("x", source, ["n"]), to=int(target), **options), "y")
    return b.model()


@pytest.mark.parametrize("target", ["tensorflow", "keras"])
@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("dtype", SMALL, ids=lambda dtype: dtype.name)
def test_floats_are_rounded_as_ml_dtypes_rounds_them(target: str, dtype: DataType, saturate: int) -> None:
    """Any bits, and all numbers of the type, the middles between them and their neighbours."""
    page = page_of(target)
    exact = np.arange(1 << dtype.bits, dtype=np.uint8).view(dtype.numpy).astype(np.float32)
    exact = np.unique(exact[np.isfinite(exact)])
    middles = (exact[1:] + exact[:-1]) / 2
    anything = np.random.default_rng(0).integers(0, 2**32, 5000, dtype=np.uint32).view(np.float32)
    x = np.concatenate([anything, exact, middles, np.nextafter(middles, np.float32(np.inf)), np.nextafter(middles, np.float32(-np.inf))])
    found = restored(page.run(page.convert(cast(DataType.FLOAT, dtype, saturate)), [x])[0], dtype)
    limit = exact[-1]
    with np.errstate(all="ignore"):
        expected = (np.where(np.isnan(x), x, np.clip(x, -limit, limit)) if saturate else x).astype(dtype.numpy)
    np.testing.assert_array_equal(found.astype(np.float32), expected.astype(np.float32))
    again = page.run(page.convert(cast(dtype, DataType.FLOAT, 1)), [expected])[0]
    np.testing.assert_array_equal(again, expected.astype(np.float32))


@pytest.mark.parametrize("target", ["tensorflow", "keras"])
@pytest.mark.parametrize("dtype", WHOLE, ids=lambda dtype: dtype.name)
def test_whole_numbers_lose_their_higher_bits(target: str, dtype: DataType) -> None:
    page = page_of(target)
    x = np.arange(-40, 40, dtype=np.int32)
    found = page.run(page.convert(cast(DataType.INT32, dtype, 1)), [x])[0]
    assert found.dtype == WHOLE[dtype].numpy
    half = 1 << (dtype.bits - 1) if dtype.is_signed else 0
    np.testing.assert_array_equal(found, (x + half) % (1 << dtype.bits) - half)


@pytest.mark.parametrize("dtype", [*WHOLE, *FLOATS], ids=lambda dtype: dtype.name)
def test_bytes_there_and_back(dtype: DataType) -> None:
    array = np.array([[0, 1], [1, 1]], dtype.numpy)
    stored = kept(array, {**WHOLE, **FLOATS})
    assert stored.dtype.itemsize == 1 and stored.shape == (2, 2) and kept(array, {}) is array
    assert restored(stored, dtype).tobytes() == array.tobytes()


@pytest.mark.parametrize("target", ["tensorflow", "keras"])
@pytest.mark.parametrize("dtype", [DataType.INT4, DataType.UINT4, DataType.FLOAT8E5M2FNUZ], ids=lambda dtype: dtype.name)
def test_weights_of_small_types(target: str, dtype: DataType) -> None:
    """The conversion proves itself."""
    page_of(target)
    b = ModelBuilder("quantised")
    numbers = np.random.default_rng(0).integers(0 if dtype == DataType.UINT4 else -7, 8, (4, 16)).astype(dtype.numpy)
    weight = b.op("DequantizeLinear", b.constant(numbers, "weight"), b.constant(np.float32(0.25), "scale"))
    b.output(b.op("MatMul", b.input("x", DataType.FLOAT, ["n", 4]), weight), "y")
    result = onward.convert(b.model(), to=target)
    found = np.asarray(result(np.eye(4, dtype=np.float32)))
    np.testing.assert_array_equal(found, numbers.astype(np.float32) / 4)


def test_arithmetic_in_wider_types_keeps_to_the_bits_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on PyTorch's backend of Keras, which has no arithmetic of unsigned numbers; larger ones are tested there (test_keras.py)."""
    page = page_of("keras")
    for place in (page, words):
        monkeypatch.setattr(place, "storage", lambda: {**WHOLE, **FLOATS, **WIDER})
    b = ModelBuilder("unsigned")
    x, y = (b.input(name, DataType.UINT16, ["n", 8]) for name in "xy")
    results = [b.op(kind, x, y) for kind in ("Add", "Sub", "Mul")] + [b.op("BitwiseNot", x), b.op("BitShift", x, y, direction="LEFT")]
    for place, result in enumerate([*results, b.op("Max", b.op("Sub", x, y), y)]):
        b.output(result, f"r{place}")
    model = b.model()
    random = np.random.default_rng(0)
    feeds = [random.integers(0, most, (3, 8), dtype=np.uint16) for most in (2**16 - 1, 12)]
    expected = onward.InferenceSession(model.to_bytes()).run(None, dict(zip("xy", feeds)))
    for ours, theirs in zip(page.run(page.convert(model), feeds), expected, strict=True):
        assert ours.dtype == np.int32
        np.testing.assert_array_equal(restored(ours, DataType.UINT16, WIDER), theirs)
