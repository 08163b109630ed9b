"""The disk cache: external data, damage, processes at the same time, what is kept in memory."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import onward
from onward.compiler.targets import Target
from onward.errors import InvalidArgument, RunError
from onward.runtime import OrtValue, SessionOptions, cache, executable, garbage
from tests.shapes import draw, predict, to_model, train

NETWORK = train()
MODEL = to_model(NETWORK)
IMAGES = draw(3, 0)[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ONWARD_CACHE", str(folder))
    return folder


def entries(folder: Path) -> list[Path]:
    return [item for item in folder.iterdir() if item.name != "files"]


def write_with_external_data(place: Path, network: dict[str, np.ndarray]) -> Path:
    place.mkdir(exist_ok=True)
    proto = onnx.load_model_from_string(to_model(network).to_bytes())
    (place / "weights.bin").unlink(missing_ok=True)
    onnx.save_model(proto, place / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    return place / "model.onnx"


def test_external_data_that_changes_is_noticed(folder: Path, tmp_path: Path) -> None:
    other = {**NETWORK, "second_bias": NETWORK["second_bias"] + np.float32([3, 0, 0, 0])}
    for network in (NETWORK, other, NETWORK):
        path = write_with_external_data(tmp_path / "model", network)
        for source in (path, onward.load(path)):
            result = onward.InferenceSession(source).run(None, {"image": IMAGES})[0]
            np.testing.assert_allclose(result, predict(network, IMAGES), atol=2e-6)


def test_equal_files_with_other_external_data_beside_them(folder: Path, tmp_path: Path) -> None:
    other = {**NETWORK, "second_bias": NETWORK["second_bias"] + np.float32([3, 0, 0, 0])}
    places = [write_with_external_data(tmp_path / name, network) for name, network in (("a", NETWORK), ("b", other))]
    for path in places:  # as an archive that keeps no times would leave them
        os.utime(path.parent / "weights.bin", ns=(0, 0))
    assert places[0].read_bytes() == places[1].read_bytes()
    for path, network in (*zip(places, (NETWORK, other)), *zip(places, (NETWORK, other))):
        result = onward.InferenceSession(path).run(None, {"image": IMAGES})[0]
        np.testing.assert_allclose(result, predict(network, IMAGES), atol=2e-6)
    assert len(entries(folder)) == 2


@pytest.mark.parametrize("name", ["artifact.json", "code.bin", "weights.bin"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "emptied", "removed"])
def test_damage_is_found_and_repaired(folder: Path, name: str, damage: str) -> None:
    (expected,) = onward.InferenceSession(MODEL).run(None, {"image": IMAGES})
    (entry,) = entries(folder)
    file = entry / name
    whole = file.read_bytes()
    if damage == "removed":
        file.unlink()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        file.write_bytes({"flipped": flipped, "truncated": whole[:middle], "emptied": b"\0" * len(whole)}[damage])
    np.testing.assert_array_equal(onward.InferenceSession(MODEL).run(None, {"image": IMAGES})[0], expected)
    assert file.read_bytes() == whole


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the system does not say what is in memory")
def test_a_look_at_the_weights_leaves_none_in_memory(folder: Path) -> None:
    onward.InferenceSession(MODEL).run(None, {"image": IMAGES})
    gc.collect()
    session = onward.InferenceSession(MODEL)
    (entry,) = entries(folder)
    assert resident(entry / "weights.bin") == 0
    session.run(None, {"image": IMAGES})
    assert resident(entry / "weights.bin") > 0


def resident(path: Path) -> int:
    """KiB of a file that this process has in memory."""
    parts = Path("/proc/self/smaps").read_text().split(str(path))[1:]
    return sum(int(part.split("Rss:")[1].split()[0]) for part in parts)


def test_processes_that_start_together(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onward.save(MODEL, path)
    np.save(tmp_path / "images.npy", IMAGES)
    code = (
        "import sys, numpy, onward\n"
        "images = numpy.load(sys.argv[2])\n"
        "print(onward.InferenceSession(sys.argv[1]).run(None, {'image': images})[0].tobytes().hex())\n"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "images.npy")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    printed = {process.communicate(timeout=120)[0] for process in started}
    assert len(printed) == 1 and all(process.returncode == 0 for process in started)
    assert len(entries(folder)) == 1


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ONWARD_CACHE", str(tmp_path / "file" / "cache"))
    result = onward.InferenceSession(MODEL).run(None, {"image": IMAGES})[0]
    np.testing.assert_allclose(result, predict(NETWORK, IMAGES), atol=2e-6)


def test_weights_are_mapped_not_kept(folder: Path) -> None:
    assert onward.InferenceSession(MODEL).artifact.weights == []


def test_an_initialiser_given_by_the_options(folder: Path) -> None:
    other = {**NETWORK, "second_bias": NETWORK["second_bias"] + np.float32([3, 0, 0, 0])}
    onward.InferenceSession(MODEL)
    options = SessionOptions()
    options.add_initializer("second_bias", OrtValue.ortvalue_from_numpy(other["second_bias"]))
    result = onward.InferenceSession(MODEL, options).run(None, {"image": IMAGES})[0]
    np.testing.assert_allclose(result, predict(other, IMAGES), atol=2e-6)
    for name, value, words in (("nothing", np.zeros(4, np.float32), "nothing"), ("second_bias", np.zeros(5), "float64")):
        options = SessionOptions()
        options.add_initializer(name, value)
        with pytest.raises(InvalidArgument, match=words):
            onward.InferenceSession(MODEL, options)


def test_a_dimension_fixed_by_its_denotation(folder: Path) -> None:
    proto = onnx.load_model_from_string(MODEL.to_bytes())
    proto.graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    options = SessionOptions()
    options.add_free_dimension_override_by_denotation("DATA_BATCH", 3)
    session = onward.InferenceSession(proto.SerializeToString(), options)
    assert session.get_inputs()[0].shape == [3, 1, 12, 12]


def test_memory_that_cannot_be_had_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = onnx.parser.parse_graph("found (bool[n] x) => (int64[1, m] y) { y = NonZero(x) }")
    session = onward.InferenceSession(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)]))
    feeds = {"x": np.ones(1000, bool)}
    np.testing.assert_array_equal(session.run(None, feeds)[0], np.arange(1000)[None])
    monkeypatch.setattr(executable, "LARGEST_ARENA", 4000)
    with pytest.raises(RunError, match="not enough memory"):
        session.run(None, feeds)
    monkeypatch.undo()
    np.testing.assert_array_equal(session.run(None, feeds)[0], np.arange(1000)[None])


def test_options_refuse_what_they_do_not_know() -> None:
    options = SessionOptions()
    with pytest.raises(AttributeError, match="intra_op_threads"):
        options.intra_op_threads = 2  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        options.intra_op_num_threads = "two"  # type: ignore[assignment]
    options.intra_op_num_threads = np.int64(2)  # type: ignore[assignment]
    assert options.intra_op_num_threads == 2


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not list what is mapped")
def test_the_file_of_a_large_model_is_let_go_of(folder: Path, tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((4096, 4096), np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", 1, ["n", 4096])], [helper.make_tensor_value_info("y", 1, ["n", 4096])],
        [numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    path = tmp_path / "large.onnx"
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    session = onward.InferenceSession(path)
    assert str(path) not in Path("/proc/self/maps").read_text()
    assert gc.isenabled()
    rows = weight[:2]
    np.testing.assert_allclose(session.run(None, {"x": rows})[0], rows @ weight, rtol=1e-4, atol=1e-2)


def test_code_that_belongs_to_no_model_is_kept_and_repaired(folder: Path) -> None:
    made: list[bytes] = []

    def make() -> bytes:
        made.append(b"code")
        return b"code"

    target = Target.parse("generic")
    for name in ("support", "support", "other"):
        assert cache.code_of(name, target, make) == b"code"
    assert len(made) == 2, "each name once"
    assert folder.stat().st_mode & 0o777 == (folder / "files").stat().st_mode & 0o777 == 0o700, "what lies here is executed"
    for file in (folder / "files").iterdir():
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert cache.code_of("support", target, make) == b"code" and len(made) == 3
    assert cache.code_of("support", target, make) == b"code" and len(made) == 3


def test_a_system_whose_memory_cannot_be_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def library(name: object) -> object:
        asked.append(name)
        raise TypeError("no name")

    monkeypatch.setattr(garbage.ctypes, "CDLL", library)
    garbage.release(garbage.LARGE - 1, garbage.MANY - 1)
    assert not asked, "not worth it"
    garbage.release(0, garbage.MANY)
    garbage.release(garbage.LARGE, 0)
    assert asked == [None, None]
