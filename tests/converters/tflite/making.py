"""TFLite files made by TensorFlow's converter, and their conversion."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow")

import onward  # noqa: E402
from onward.converters.certificate import Certificate  # noqa: E402


def spec(*shape: int | None, dtype: Any = tf.float32) -> Any:
    return tf.TensorSpec(list(shape), dtype)


def weights(*shape: int) -> Any:
    """Constants that are the same every time, of a size that keeps results near one."""
    return tf.constant(np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32) * 0.3)


def make(function: Callable[..., Any], *specs: Any, kind: str = "float") -> bytes:
    """The file of a function: `kind` is float, dynamic, float16, int8, int8_codes, uint8_codes or int16."""
    traced = tf.function(tf.autograph.experimental.do_not_convert(function), input_signature=list(specs)).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module())
    return bytes(finished(converter, specs, kind).convert())


def finished(converter: Any, specs: Any, kind: str) -> Any:
    if kind != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind.startswith(("int", "uint")):
        rng = np.random.default_rng(0)
        sizes = [[4 if extent is None else extent for extent in item.shape] for item in specs]
        converter.representative_dataset = lambda: ([rng.normal(size=size).astype(np.float32) for size in sizes] for _ in range(20))
        wide = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [wide if kind == "int16" else tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if kind.endswith("codes"):
        converter.inference_input_type = converter.inference_output_type = tf.uint8 if kind.startswith("u") else tf.int8
    return converter


def converted(data: bytes, folder: Path, **options: Any) -> tuple[Any, Certificate]:
    """The model of a file, which `convert` has compared with the interpreter, and the certificate."""
    path = folder / "model.tflite"
    path.write_bytes(data)
    model = onward.convert(path, **options)
    certificate = Certificate.of(model)
    assert certificate is not None and certificate.shapes
    return model, certificate
