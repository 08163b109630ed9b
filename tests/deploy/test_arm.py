"""Code for 64-bit ARM (NEON), run by an emulator of the processor: networks, and node tests of the onnx package.

Needs the user-mode emulator of QEMU and a cross compiler (Debian: qemu-user, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross).
"""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

import onward
from onward.compiler.artifact import Artifact, CompileOptions
from onward.compiler.driver import compile_model
from onward.deploy.library import build
from onward.deploy.source import identifiers
from onward.errors import OnwardError
from onward.ir.expressions import evaluate
from tests.converters.targets.suite import compare
from tests.shapes import to_model, train

COMPILER, EMULATOR, ROOT = "aarch64-linux-gnu-gcc", "qemu-aarch64", "/usr/aarch64-linux-gnu"
EVERY = 20
"""Of so many node tests one is run."""

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(shutil.which(COMPILER) is None or shutil.which(EMULATOR) is None, reason=f"needs {COMPILER} and {EMULATOR}"),
]


def program(artifact: Artifact, sizes: Sequence[int], inputs: Sequence[np.ndarray], outputs: Sequence[int]) -> str:
    """A C program that reads the inputs from files, runs the model twice, and writes the outputs, of so many bytes, to files."""
    reads = [f'    void *input{n} = read_file("input{n}", {array.nbytes});' for n, array in enumerate(inputs)]
    makes = [f"    void *output{n} = calloc(1, {count} + 1);" for n, count in enumerate(outputs)]
    given = ", ".join([*map(str, sizes), *(f"input{n}" for n in range(len(inputs))), *(f"output{n}" for n in range(len(outputs)))])
    writes = [f'    write_file("output{n}", output{n}, {count});' for n, count in enumerate(outputs)]
    return "\n".join(
        [
            "#include <stdio.h>\n#include <stdlib.h>\n" + '#include "network.h"',
            "static void *read_file(const char *name, size_t size) {",
            '    void *data = malloc(size + 1); FILE *file = fopen(name, "rb");',
            "    if (fread(data, 1, size, file) != size) exit(3); fclose(file); return data;\n}",
            "static void write_file(const char *name, const void *data, size_t size) {",
            '    FILE *file = fopen(name, "wb"); if (fwrite(data, 1, size, file) != size) exit(4); fclose(file);\n}',
            'int main(void) {\n    network_model *model = network_create("network.weights", 2);',
            *reads, *makes,
            "    if (!model) return 2;",
            "    for (int turn = 0; turn < 2; ++turn) {",
            f"        int status = network_run(model, {given});",
            "        if (status) { puts(network_error(status)); return 5; }\n    }",
            *writes,
            "    network_destroy(model);\n    return 0;\n}",
        ]
    )  # fmt: skip


def run_on_arm(model: Any, feeds: dict[str, np.ndarray], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The outputs that the emulated processor computes."""
    monkeypatch.setenv("CC", COMPILER)
    build(model, folder, name="network", target="aarch64")
    artifact = compile_model(onward.load(model), CompileOptions(target="aarch64"))
    assert set(identifiers(artifact)) >= {f"in:{name}" for name in feeds}
    arrays = [np.ascontiguousarray(feeds[port.name]) for port in artifact.inputs]
    known: dict[str, int] = {}
    for port, array in zip(artifact.inputs, arrays):
        known.update({str(extent): number for extent, number in zip(port.shape, array.shape) if not isinstance(extent, int)})
    shapes = [tuple(evaluate(extent, known) for extent in port.shape) for port in artifact.outputs]
    kinds = [port.dtype.numpy for port in artifact.outputs]
    counts = [int(np.prod(shape)) * kind.itemsize for shape, kind in zip(shapes, kinds)]
    for number, array in enumerate(arrays):
        (folder / f"input{number}").write_bytes(array.tobytes())
    sizes = [known[name] for name in artifact.symbols[: artifact.bound_symbols]]
    (folder / "main.c").write_text(program(artifact, sizes, arrays, counts))
    subprocess.run([COMPILER, "-o", "program", "main.c", "-L.", "-lnetwork", "-Wl,-rpath,."], cwd=folder, check=True)
    done = subprocess.run([EMULATOR, "-L", ROOT, "./program"], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{done.returncode}: {done.stdout} {done.stderr}"
    data = [(folder / f"output{number}").read_bytes() for number in range(len(counts))]
    return [np.frombuffer(item, kind).reshape(shape) for item, kind, shape in zip(data, kinds, shapes)]


def test_a_trained_network_with_an_open_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = to_model(train())
    image = np.random.default_rng(0).standard_normal((5, 1, 12, 12)).astype(np.float32)
    expected = onward.InferenceSession(model).run(None, {"image": image})[0]
    np.testing.assert_allclose(run_on_arm(model, {"image": image}, tmp_path, monkeypatch)[0], expected, rtol=1e-6, atol=1e-7)


NETWORKS = {
    "convolutions": """<ir_version: 9, opset_import: ["": 19]>
        network (float[2, 3, 17, 19] x, float[24, 3, 3, 3] a, float[24, 1, 3, 3] b, float[40, 24, 1, 1] c) => (float[N, M, H, W] y) {
            first = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, a)
            rectified = Relu (first)
            depthwise = Conv <group = 24, pads = [1, 1, 1, 1]> (rectified, b)
            sigmoid = Sigmoid (depthwise)
            product = Mul (depthwise, sigmoid)
            last = Conv (product, c)
            y = AveragePool <kernel_shape = [2, 2]> (last)
        }""",
    "attention": """<ir_version: 9, opset_import: ["": 20]>
        network (float[2, 3, 13, 21] q, float[2, 3, 17, 21] k, float[2, 3, 17, 11] v, float[11] scale, float[11, 33] w) => (float[A, B, C, D] y) {
            t = Transpose <perm = [0, 1, 3, 2]> (k)
            scores = MatMul (q, t)
            p = Softmax (scores)
            mixed = MatMul (p, v)
            normal = LayerNormalization (mixed, scale)
            wide = MatMul (normal, w)
            y = Gelu (wide)
        }""",
    "bytes": """<ir_version: 9, opset_import: ["": 19]>
        network (uint8[7, 70] x, int8[70, 50] w, uint8[1, 6, 9, 9] image, int8[20, 6, 3, 3] kernels) => (int32[M, N] y, int32[A, B, C, D] z) {
            y = MatMulInteger (x, w)
            z = ConvInteger (image, kernels)
        }""",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx.parser.parse_model(NETWORKS[name])
    generator = np.random.default_rng(1)
    feeds = {}
    for value in model.graph.input:
        shape = [extent.dim_value for extent in value.type.tensor_type.shape.dim]
        kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        feeds[value.name] = (
            generator.integers(-128 if kind == np.int8 else 0, 128, shape).astype(kind) if kind.kind in "iu" else generator.standard_normal(shape).astype(kind)
        )
    weights = [numpy_helper.from_array(array, key) for key, array in feeds.items() if len(array.shape) != 4 or key in "abc" or key == "kernels"]
    model.graph.initializer.extend(weights)
    for value in [item for item in model.graph.input if item.name in {weight.name for weight in weights}]:
        model.graph.input.remove(value)
    data = model.SerializeToString()
    given = {key: feeds[key] for key in (value.name for value in model.graph.input)}
    expected = onward.InferenceSession(data).run(None, given)
    for ours, theirs in zip(run_on_arm(data, given, tmp_path, monkeypatch), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def test_node_tests_of_the_onnx_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")[::EVERY]
    failed, passed = [], 0
    for case in cases:
        folder = tmp_path / case.name
        folder.mkdir()
        try:
            feeds, expected = _tensors(case)
        except TypeError:
            continue  # sequences and optional values are not for C
        try:
            results = run_on_arm(case.model.SerializeToString(), feeds, folder, monkeypatch)
        except OnwardError:
            continue  # text, and outputs whose sizes only the run knows: tests/deploy/test_library.py
        except (AssertionError, subprocess.SubprocessError) as problem:
            failed.append(f"{case.name}: {problem}")
            continue
        try:
            for ours, theirs in zip(results, expected, strict=True):
                compare(ours, theirs, case)
            passed += 1
        except AssertionError as problem:
            failed.append(f"{case.name}: {problem}")
    assert not failed, "\n".join(failed)
    assert passed > 0.75 * len(cases)


def _tensors(case: Any) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    inputs, outputs = case.data_sets[0]
    given = dict(zip([value.name for value in case.model.graph.input], map(_array, inputs)))
    return given, [_array(item) for item in outputs]


def _array(item: Any) -> np.ndarray:
    if isinstance(item, list) or item is None:
        raise TypeError("no tensor")
    array = numpy_helper.to_array(item) if isinstance(item, onnx.TensorProto) else np.asarray(item)
    if array.dtype.kind in "OUS":
        raise TypeError("text")
    return array
