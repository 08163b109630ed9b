"""A model as a C library, compared with Python from a C++ program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

import onward
from onward.deploy.library import build
from onward.errors import CompileError, InvalidArgument
from tests.shapes import to_model, train

PROGRAM = r"""
#include <cstdio>
#include <vector>
#include "shapes.h"

int main(int count, char **arguments) {
    const int64_t batch = 5;
    std::vector<float> image(batch * 144), result(batch * 4);
    FILE *file = std::fopen(arguments[1], "rb");
    if (std::fread(image.data(), 4, image.size(), file) != image.size()) return 3;
    std::fclose(file);
    shapes_model *model = shapes_create(arguments[2], 2);
    if (!model) return 4;
    for (int turn = 0; turn < 100; ++turn) {
        int status = shapes_run(model, batch, image.data(), result.data());
        if (status) { std::puts(shapes_error(status)); return 5; }
    }
    shapes_destroy(model);
    for (float value : result) std::printf("%.9g\n", value);
    return shapes_create("/no/such/file", 1) == nullptr || count < 3 ? 0 : 6;
}
"""


@pytest.fixture(scope="module")
def model() -> onward.Model:
    return to_model(train())


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("embed", [False, True])
def test_cpp_program_gets_the_numbers_of_python(model: onward.Model, tmp_path: Path, embed: bool) -> None:
    built = build(model, tmp_path, name="shapes", embed_weights=embed)
    assert [path.suffix for path in built] == [".so", ".h"] + ([] if embed else [".weights"])
    image = np.random.default_rng(0).standard_normal((5, 1, 12, 12)).astype(np.float32)
    image.tofile(tmp_path / "image.bin")
    (tmp_path / "main.cpp").write_text(PROGRAM if not embed else PROGRAM.replace("== nullptr ||", "!= nullptr ||"))
    subprocess.run(
        ["g++", "-o", "program", "main.cpp", "-L.", "-lshapes", "-Wl,-rpath,."], cwd=tmp_path, check=True
    )  # fmt: skip
    result = subprocess.run(["./program", "image.bin", "shapes.weights"], cwd=tmp_path, check=True, capture_output=True, text=True)
    numbers = np.array(result.stdout.split(), np.float32).reshape(5, 4)
    expected = onward.InferenceSession(model).run(None, {"image": image})[0]
    np.testing.assert_allclose(numbers, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
def test_only_the_interface_is_visible(model: onward.Model, tmp_path: Path) -> None:
    library = build(model, tmp_path, name="shapes")[0]
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    names = sorted(line.split()[-1] for line in symbols.splitlines())
    assert names == ["shapes_create", "shapes_destroy", "shapes_error", "shapes_run"]


def test_a_name_that_c_cannot_take_is_refused(model: onward.Model, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="C identifier"):
        build(model, tmp_path, name="two words")


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_weights_of_another_build_are_refused(model: onward.Model, tmp_path: Path) -> None:
    import ctypes

    library, _, weights = build(model, tmp_path, name="shapes")
    create = ctypes.CDLL(str(library)).shapes_create
    destroy = ctypes.CDLL(str(library)).shapes_destroy
    create.argtypes, create.restype, destroy.argtypes = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p, [ctypes.c_void_p]
    made = create(str(weights).encode(), 3)
    assert made
    destroy(made)
    other = to_model({**train(), "second_bias": np.zeros(4, np.float32)})
    theirs = build(other, tmp_path / "other", name="shapes")[2]
    assert theirs.stat().st_size == weights.stat().st_size
    assert not create(str(theirs).encode(), 1)
    weights.write_bytes(weights.read_bytes()[:-1])
    assert not create(str(weights).encode(), 1)


@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf")
def test_only_libc_is_needed(model: onward.Model, tmp_path: Path) -> None:
    library = build(model, tmp_path, name="shapes")[0]
    needed = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    names = [line.split("[")[1].rstrip("]") for line in needed.splitlines() if "NEEDED" in line]
    assert all(name.startswith(("libc.", "libpthread.", "ld-")) for name in names), names
    assert "libshapes.so" in needed


def test_without_a_compiler_the_way_out_is_named(model: onward.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CompileError, match=r"onward\[build\]"):
        build(model, tmp_path, name="shapes")
    assert list(tmp_path.iterdir()) == []


def test_sizes_that_only_the_run_knows_are_refused(tmp_path: Path) -> None:
    graph = onnx.parser.parse_graph("found (bool[n] x) => (int64[1, m] y) { y = NonZero(x) }")
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    with pytest.raises(InvalidArgument, match="'y'"):
        build(model, tmp_path)
