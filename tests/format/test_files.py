"""Files: byte for byte as they were, tensors outside, the text syntax, and whatever a hostile file may hold."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper, parser, printer
from onnx.backend.test.loader import load_model_tests

import onward
from onward.errors import CheckError, ExternalDataError, FormatError, InvalidGraph, OnwardError
from onward.format.mapping import let_go
from onward.format.schema import MESSAGES
from onward.format.text import parse_model_text, print_model_text
from onward.format.wire import decode, encode
from onward.ir import Graph, Model, Tensor, parse_text
from tests.shapes import to_model, train

NODE_MODELS = {test.name: test.model for test in load_model_tests(kind="node")}
FILES = sorted((Path(onnx.__file__).parent / "backend" / "test" / "data").rglob("*.onnx"))
SHAPES = to_model(train()).to_bytes()


def test_the_table_of_messages_is_that_of_onnx() -> None:
    from onnx import onnx_ml_pb2

    found = {}

    def visit(descriptor: Any) -> None:
        found[descriptor.full_name.removeprefix("onnx.")] = {(field.number, field.name) for field in descriptor.fields}
        for nested in descriptor.nested_types:
            visit(nested)

    for descriptor in onnx_ml_pb2.DESCRIPTOR.message_types_by_name.values():
        visit(descriptor)
    assert {name: {row[:2] for row in rows} for name, rows in MESSAGES.items()} == found


# -- round trips ------------------------------------------------------------------------------------------------------
def test_every_node_model_is_written_as_it_was() -> None:
    different = []
    for name, model in NODE_MODELS.items():
        data = model.SerializeToString()
        if onward.load(data).to_bytes() != data:
            different.append(name)
    assert not different


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_files_are_written_as_they_were(path: Path, tmp_path: Path) -> None:
    onward.save(onward.load(path), tmp_path / "copy.onnx")
    assert (tmp_path / "copy.onnx").read_bytes() == path.read_bytes()


def test_what_the_graph_does_not_look_into_comes_back() -> None:
    model = onnx.load_model_from_string(SHAPES)
    model.configuration.add(name="pair", num_devices=2)
    model.graph.node[0].device_configurations.add(configuration_id="pair")
    model.graph.value_info.add().CopyFrom(model.graph.output[0])
    data = model.SerializeToString() + b"\xfa\x07\x03new"  # field 127, which no version knows
    assert onnx.load_model_from_string(onward.load(data).to_bytes()) == onnx.load_model_from_string(data)
    assert onward.load(data).to_bytes().endswith(b"\xfa\x07\x03new")


def test_a_touched_model_is_still_the_same_to_onnx() -> None:
    for name in ("test_if", "test_loop11", "test_sequence_insert_at_back", "test_softmax_axis_0_expanded"):
        data = NODE_MODELS[name].SerializeToString()
        model = onward.load(data).copy()
        assert onnx.load_model_from_string(model.to_bytes()) == NODE_MODELS[name]


# -- external data ----------------------------------------------------------------------------------------------------
def test_large_tensors_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    model = onward.load(SHAPES)
    onward.save(model, tmp_path / "m.onnx", external_data="m.weights", size_threshold=64)
    assert (tmp_path / "m.onnx").stat().st_size < 3000 < (tmp_path / "m.weights").stat().st_size
    assert (tmp_path / "m.onnx").stat().st_mode & 0o777 == 0o666 & ~_umask()
    theirs = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(tmp_path / "m.onnx").graph.initializer}
    ours = onward.load(tmp_path / "m.onnx").graph.initializers
    for name, value in model.graph.initializers.items():
        assert value.tensor is not None and ours[name].tensor is not None
        np.testing.assert_array_equal(ours[name].tensor.numpy(), value.tensor.numpy())
        np.testing.assert_array_equal(theirs[name], value.tensor.numpy())
    image = np.zeros((1, 1, 12, 12), np.float32)
    both = [onward.InferenceSession(item).run(None, {"image": image})[0] for item in (SHAPES, tmp_path / "m.onnx")]
    np.testing.assert_array_equal(*both)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("name", ["../w", "/tmp/w", "a/b", "", "..", "m.onnx"])
def test_external_data_is_never_written_elsewhere(name: str, tmp_path: Path) -> None:
    with pytest.raises(ExternalDataError):
        onward.save(onward.load(SHAPES), tmp_path / "m.onnx", external_data=name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "../secret"}, {"location": "/etc/hostname"}, {"location": "link"}, {"location": "hard"},
        {"location": "folder"}, {"location": "missing"}, {"location": ""}, {"location": "x" * 5000}, {"location": "C:\\w"},
        {"location": "good", "offset": "100"}, {"location": "good", "offset": "-4"}, {"location": "good", "length": "4000"},
        {"location": "good", "offset": "9" * 30}, {"location": "good", "offset": "\u0663"}, {"location": "good", "length": "4"},
        {"location": "good", "checksum": "0" * 40},
    ],
    ids=lambda entries: str(entries)[:40],
)  # fmt: skip
def test_hostile_external_data_is_refused(entries: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "secret").write_bytes(bytes(16))
    (home / "good").write_bytes(bytes(16))
    (home / "folder").mkdir()
    os.symlink(tmp_path / "secret", home / "link")
    os.link(tmp_path / "secret", home / "hard")
    tensor = TensorProto(name="w", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    info = helper.make_tensor_value_info("y", 1, [4])
    graph = helper.make_graph([helper.make_node("Relu", ["w"], ["y"])], "g", [], [info], [tensor])
    (home / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(FormatError):
        tensor_read = onward.load(home / "m.onnx").graph.initializers["w"].tensor
        assert tensor_read is not None
        tensor_read.numpy()
    with pytest.raises(OnwardError):
        onward.InferenceSession(home / "m.onnx")


# -- the text syntax --------------------------------------------------------------------------------------------------
def test_text_is_what_onnx_reads_and_writes() -> None:
    """Ours is read by onnx as its own, and its own is read by us as by itself (as far as its parser reads it)."""
    for name, model in NODE_MODELS.items():
        theirs = printer.to_text(model)
        try:
            expected = parser.parse_model(theirs)
        except parser.ParseError:
            continue
        ours = print_model_text(decode("ModelProto", model.SerializeToString()))
        assert parser.parse_model(ours) == expected, name
        read = onnx.load_model_from_string(encode(parse_model_text(theirs)))
        assert printer.to_text(read) == printer.to_text(expected), name
        assert print_model_text(parse_model_text(ours)) == ours, name


def test_a_text_file_is_a_model(tmp_path: Path) -> None:
    path = tmp_path / "m.onnxtxt"
    path.write_text('<ir_version: 9, opset_import: ["" : 18]>\ng (float[n] x) => (float[n] y) { y = Relu (x) }')
    session = onward.InferenceSession(path)
    np.testing.assert_array_equal(session.run(None, {"x": np.float32([-1, 2])})[0], [0, 2])
    onward.save(onward.load(path), tmp_path / "again.onnxtxt")
    assert onward.load(tmp_path / "again.onnxtxt").to_bytes() == onward.load(path).to_bytes()


@pytest.mark.parametrize(
    "text", ["", "<", "g", "g () => (", '<ir_version: "x"> g () => () {}', "g () => () { y = }", "g (float[n x) => () {}", "\0", '"'],
)  # fmt: skip
def test_broken_text_names_its_place(text: str) -> None:
    with pytest.raises(FormatError, match="line 1, column"):
        parse_text(text)


# -- hostile files ----------------------------------------------------------------------------------------------------
def _use(data: bytes) -> None:
    """Everything a user would do with a file; only our own exceptions may come out, and soon."""
    begin = time.perf_counter()
    try:
        model = onward.load(data)
        onward.check(model)
        for value in model.graph.initializers.values():
            if value.tensor is not None:
                value.tensor.numpy()
    except OnwardError:
        pass
    assert time.perf_counter() - begin < 5


def test_truncated_files() -> None:
    for length in range(0, len(SHAPES), 97):
        _use(SHAPES[:length])


def test_flipped_bits() -> None:
    generator = np.random.default_rng(0)
    head = [*range(600), *range(len(SHAPES) - 700, len(SHAPES))]
    for _ in range(500):
        data = bytearray(SHAPES)
        for place in generator.choice(head, generator.integers(1, 4)):
            data[place] ^= 1 << int(generator.integers(8))
        _use(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    _use(data)


def test_many_unknown_fields_take_no_longer() -> None:
    begin = time.perf_counter()
    _use(SHAPES + b"\xfa\x07\x01x" * 100_000)
    assert time.perf_counter() - begin < 3


def _model(nodes: list[Any], tensors: list[Any] = [], **arguments: Any) -> bytes:  # noqa: B006 (only read)
    info = helper.make_tensor_value_info("x", 1, [2]), helper.make_tensor_value_info("y", 1, [2])
    graph = helper.make_graph(nodes, "g", [info[0]], [info[1]], tensors)
    return helper.make_model(graph, **arguments).SerializeToString()


def _tensor(**fields: Any) -> TensorProto:
    return TensorProto(name="w", **{"data_type": 1, "dims": [2], "raw_data": bytes(8), **fields})


BROKEN = {
    "a cycle": _model([helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Relu", ["b"], ["y"])]),
    "an undefined value": _model([helper.make_node("Relu", ["nothing"], ["y"])]),
    "two makers": _model([helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Relu", ["x"], ["y"])]),
    "no maker of an output": _model([]),
    "an unknown operator": _model([helper.make_node("Fly", ["x"], ["y"])]),
    "an unknown domain": _model([helper.make_node("Relu", ["x"], ["y"], domain="moon")]),
    "a future opset": _model([helper.make_node("Relu", ["x"], ["y"])], opset_imports=[helper.make_opsetid("", 999)]),
    "a negative extent": _model([helper.make_node("Add", ["x", "w"], ["y"])], [_tensor(dims=[-2])]),
    "a huge extent": _model([helper.make_node("Add", ["x", "w"], ["y"])], [_tensor(dims=[2**40, 2**40])]),
    "too few bytes": _model([helper.make_node("Add", ["x", "w"], ["y"])], [_tensor(raw_data=bytes(7))]),
    "an undefined data type": _model([helper.make_node("Add", ["x", "w"], ["y"])], [_tensor(data_type=0)]),
    "an unknown data type": _model([helper.make_node("Add", ["x", "w"], ["y"])], [_tensor(data_type=99)]),
    "shapes that contradict": _model([helper.make_node("Add", ["x", "w"], ["y"])], [_tensor(dims=[3], raw_data=bytes(12))]),
    "a wrong attribute": _model([helper.make_node("Softmax", ["x"], ["y"], axis=7)]),
    "no bytes": b"",
    "text": b"this is no model at all",
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_models_are_refused_by_a_session(name: str) -> None:
    with pytest.raises(OnwardError) as caught:
        onward.InferenceSession(BROKEN[name])
    assert len(str(caught.value)) > 20


def test_deep_nesting_is_refused() -> None:
    graph = helper.make_graph([], "inner", [], [])
    for _ in range(60):
        node = helper.make_node("If", ["c"], ["z"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([node], "g", [], [])
        if len(graph.SerializeToString()) > 1 << 22:
            break
    data = b"\x3a\x02\x3a\x00"
    for _ in range(300):  # messages inside messages, far deeper than any model
        data = b"\x2a" + _varint(len(data)) + data
    with pytest.raises((FormatError, InvalidGraph)):
        onward.load(b"\x3a" + _varint(len(data) + 0) + b"\x0a" + _varint(len(data)) + data)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def test_all_problems_are_listed() -> None:
    nodes = [helper.make_node("Softmax", ["x"], ["a"], axes=[1]), helper.make_node("Fly", ["a"], ["y"])]
    with pytest.raises(CheckError) as caught:
        onward.check(_model(nodes))
    assert len(caught.value.problems) >= 2


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the system does not say what it holds of a file")
@pytest.mark.parametrize("external", [None, "m.weights"])
def test_what_was_read_of_a_file_is_given_back(tmp_path: Path, external: str | None) -> None:
    weight = np.random.default_rng(0).standard_normal((512, 1024)).astype(np.float32)
    graph = Graph("g")
    graph.add_initializer(Tensor.of(weight, "w"))
    onward.save(Model(graph, {"": 21}, 10), tmp_path / "m.onnx", external_data=external)
    array = onward.load(tmp_path / "m.onnx").graph.initializers["w"].tensor.numpy()  # type: ignore[union-attr]

    def held() -> int:
        entries = Path("/proc/self/smaps").read_text().split(str(tmp_path / (external or "m.onnx")))[1:]
        return sum(int(re.findall(r"Rss: *(\d+)", entry)[0]) for entry in entries)

    np.testing.assert_array_equal(array, weight)
    assert held() > 1900
    let_go(array[100:200])
    assert held() < 1900
    let_go(array)
    assert held() < 100
    np.testing.assert_array_equal(array, weight)
    let_go(weight)
    let_go(array.T)
    assert held() > 1900
