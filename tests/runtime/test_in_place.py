"""Memory that is bound as an input and as an output: caches written in place, and everything else that must not be overwritten."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import onward
import onward.ort
from onward.errors import InvalidArgument

BATCH, HEADS, ROOM, WIDTH = 2, 3, 40, 16
CACHE, TOKENS = [BATCH, HEADS, ROOM, WIDTH], [BATCH, HEADS, "tokens", WIDTH]


def _port(name: str, shape: list[int | str], kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> bytes:
    graph = helper.make_graph(nodes, "in_place", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _decoder(mode: str) -> bytes:
    nodes = [
        helper.make_node("TensorScatter", ["past_key", "k", "place"], ["key"], axis=2, mode=mode),
        helper.make_node("TensorScatter", ["past_value", "v", "place"], ["value"], axis=2, mode=mode),
        helper.make_node("Attention", ["q", "key", "value", "", "", "", "length"], ["y"], is_causal=1),
    ]
    caches = [_port(name, CACHE) for name in ("past_key", "past_value")]
    numbers = [_port(name, [BATCH], TensorProto.INT64) for name in ("place", "length")]
    inputs = [*(_port(name, TOKENS) for name in "qkv"), *caches, *numbers]
    return _model(nodes, inputs, [_port("y", TOKENS), _port("key", CACHE), _port("value", CACHE)])


def _bound(session: object, feeds: dict[str, np.ndarray], caches: dict[str, np.ndarray]) -> np.ndarray:
    binding = session.io_binding()  # type: ignore[attr-defined]
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    binding.bind_output("y")
    for name, array in caches.items():
        binding.bind_cpu_input(f"past_{name}", array)
        binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
    session.run_with_iobinding(binding)  # type: ignore[attr-defined]
    return binding.copy_outputs_to_cpu()[0]


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_a_cache_is_written_where_it_is(mode: str) -> None:
    model, random = _decoder(mode), np.random.default_rng(0)
    ours, theirs = onward.ort.InferenceSession(model), onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert sorted(ours.artifact.in_place) == [(3, 1), (4, 2)]
    caches = [{name: np.zeros(CACHE, np.float32) for name in ("key", "value")} for _ in range(2)]
    place = np.array([0, 3])
    for tokens in (4, 1, 1, 2):
        feeds = {name: random.standard_normal((BATCH, HEADS, tokens, WIDTH), np.float32) for name in "qkv"}
        feeds |= {"place": place, "length": place + tokens}
        result = _bound(ours, feeds, caches[0])
        apart = {name: caches[1][name].copy() for name in caches[1]}
        plain = ours.run(None, {**feeds, **{f"past_{name}": array for name, array in apart.items()}})
        np.testing.assert_allclose(result, _bound(theirs, feeds, caches[1]), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(result, plain[0])
        for name in ("key", "value"):
            np.testing.assert_array_equal(caches[0][name], caches[1][name])
        place = place + tokens


def test_a_place_beyond_the_cache_is_an_error() -> None:
    session, tokens = onward.InferenceSession(_decoder("linear")), (BATCH, HEADS, 2, WIDTH)
    feeds = {name: np.ones(tokens, np.float32) for name in "qkv"} | {f"past_{name}": np.zeros(CACHE, np.float32) for name in ("key", "value")}
    with pytest.raises(onward.errors.IndexOutOfBounds, match="TensorScatter"):
        session.run(None, {**feeds, "place": np.array([0, ROOM - 1]), "length": np.array([2, ROOM])})


@pytest.mark.parametrize("later", [False, True])
def test_what_is_read_afterwards_is_not_overwritten(later: bool) -> None:
    """The old cache is also read by another node, before or after the new one is made: bound in place, it gives what it gives apart."""
    nodes = [
        helper.make_node("TensorScatter", ["past", "new", "place"], ["cache"], axis=1),
        helper.make_node("Sub", ["cache", "past"] if later else ["past", "past"], ["difference"]),
        helper.make_node("MatMul", ["difference", "weights"], ["y"]),
    ]
    inputs = [_port("past", [2, 8, 4]), _port("new", [2, 1, 4]), _port("place", [2], TensorProto.INT64), _port("weights", [4, 4])]
    session = onward.InferenceSession(_model(nodes, inputs, [_port("cache", [2, 8, 4]), _port("y", [2, 8, 4])]))
    random = np.random.default_rng(1)
    feeds = {"past": random.standard_normal((2, 8, 4), np.float32), "new": random.standard_normal((2, 1, 4), np.float32)}
    feeds |= {"place": np.array([5, 2]), "weights": random.standard_normal((4, 4), np.float32)}
    expected = session.run(None, {name: array.copy() for name, array in feeds.items()})
    binding, past = session.io_binding(), feeds["past"]
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    binding.bind_output("cache", "cpu", 0, np.float32, past.shape, past.ctypes.data)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    for result, other in zip(binding.copy_outputs_to_cpu(), expected):
        np.testing.assert_array_equal(result, other)
    assert not later or np.any(expected[1])


def test_an_input_inside_an_output_is_read_before_it_is_written() -> None:
    """The sums along a row, bound to memory that begins in the middle of the input."""
    nodes = [helper.make_node("CumSum", ["x", "axis"], ["sums"]), helper.make_node("Mul", ["sums", "x"], ["y"])]
    session = onward.InferenceSession(_model(nodes, [_port("x", [6, 50]), _port("axis", [], TensorProto.INT64)], [_port("y", [6, 50])]))
    memory = np.random.default_rng(2).standard_normal((12, 50), np.float32)
    x, axis = memory[:6], np.array(1)
    (expected,) = session.run(None, {"x": x.copy(), "axis": axis})
    for target in (memory[:6], memory[3:9]):
        given = memory.copy()
        binding = session.io_binding()
        binding.bind_cpu_input("x", x)
        binding.bind_cpu_input("axis", axis)
        binding.bind_output("y", "cpu", 0, np.float32, target.shape, target.ctypes.data)
        session.run_with_iobinding(binding)
        np.testing.assert_array_equal(target, expected)
        memory[:] = given


def test_a_loop_begins_each_turn_with_what_was_fed() -> None:
    """Each turn writes one row of the cache that was fed: the last result holds the last turn's row alone."""
    one = onnx.numpy_helper.from_array(np.ones((1, 1, 4), np.float32), "one")
    shape = onnx.numpy_helper.from_array(np.array([1]), "shape")
    nodes = [
        helper.make_node("Reshape", ["turn", "shape"], ["place"]),
        helper.make_node("TensorScatter", ["past", "one", "place"], ["next"], axis=1),
        helper.make_node("Identity", ["condition"], ["go_on"]),
    ]
    state = [1, 8, 4]
    body = helper.make_graph(
        nodes,
        "body",
        [_port("turn", [], TensorProto.INT64), _port("condition", [], TensorProto.BOOL), _port("before", state)],
        [_port("go_on", [], TensorProto.BOOL), _port("next", state)],
        [one, shape],
    )
    loop = helper.make_node("Loop", ["turns", "", "start"], ["cache"], body=body)
    inputs = [_port("turns", [], TensorProto.INT64), _port("past", state), _port("start", state)]
    session = onward.InferenceSession(_model([loop], inputs, [_port("cache", state)]))
    past = np.zeros(state, np.float32)
    binding = session.io_binding()
    for name, array in {"turns": np.array(3), "past": past, "start": np.zeros(state, np.float32)}.items():
        binding.bind_cpu_input(name, array)
    binding.bind_output("cache", "cpu", 0, np.float32, past.shape, past.ctypes.data)
    session.run_with_iobinding(binding)
    assert past[0].sum(axis=1).tolist() == [0, 0, 4, 0, 0, 0, 0, 0]


def test_outputs_that_share_memory_are_refused() -> None:
    nodes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Abs", ["x"], ["b"])]
    session = onward.InferenceSession(_model(nodes, [_port("x", [8])], [_port("a", [8]), _port("b", [8])]))
    memory, binding = np.zeros(12, np.float32), session.io_binding()
    binding.bind_cpu_input("x", np.ones(8, np.float32))
    for name, array in (("a", memory[:8]), ("b", memory[4:])):
        binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
    with pytest.raises(InvalidArgument, match="'a' and 'b'.*share"):
        session.run_with_iobinding(binding)


def test_a_reshaped_output_is_made_where_it_lies() -> None:
    """No copy stands between what is computed and its other shape."""
    nodes = [helper.make_node("MatMul", ["x", "y"], ["product"]), helper.make_node("Flatten", ["product"], ["z"], axis=1)]
    session = onward.InferenceSession(_model(nodes, [_port("x", [2, "rows", 5]), _port("y", [2, 5, 6])], [_port("z", [2, "all"])]))
    assert len(session.artifact.kernels) == 1
    random = np.random.default_rng(3)
    x, y = random.standard_normal((2, 7, 5), np.float32), random.standard_normal((2, 5, 6), np.float32)
    np.testing.assert_allclose(session.run(None, {"x": x, "y": y})[0], (x @ y).reshape(2, -1), rtol=1e-5, atol=1e-6)


def _grouped(batch: int, groups: int, options: dict[str, int | float]) -> bytes:
    """GroupQueryAttention of twice as many heads as groups, 16 wide, with a cache of any length."""
    inputs = ["q", "k", "v", "past_key", "past_value", "last", "total", *(["cosines", "sines"] if options.get("do_rotary") else [])]
    node = helper.make_node("GroupQueryAttention", inputs, ["y", "key", "value"], domain="com.microsoft", num_heads=2 * groups, kv_num_heads=groups, **options)
    cache = [batch, groups, "past", WIDTH]
    tables = [_port(name, [ROOM, WIDTH // 2]) for name in inputs[7:]]
    ports = [
        _port("q", [batch, "tokens", 2 * groups * WIDTH]), *(_port(name, [batch, "tokens", groups * WIDTH]) for name in "kv"),
        *(_port(name, cache) for name in ("past_key", "past_value")), _port("last", [batch], TensorProto.INT32), _port("total", [1], TensorProto.INT32),
        *tables,
    ]  # fmt: skip
    grown = [batch, groups, "all", WIDTH]
    graph = helper.make_graph([node], "grouped", ports, [_port("y", [batch, "tokens", 2 * groups * WIDTH]), _port("key", grown), _port("value", grown)])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


@pytest.mark.parametrize(("batch", "options"), [(1, {"do_rotary": 1}), (2, {"local_window_size": 5, "softcap": 3.0}), (1, {})])
def test_a_cache_of_groups_is_written_where_it_is(batch: int, options: dict[str, int | float]) -> None:
    """Its size is for the run to say: as long as the cache is, where that has room for all tokens."""
    groups, random = 3, np.random.default_rng(0)
    model = _grouped(batch, groups, options)
    ours, theirs = onward.ort.InferenceSession(model), onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert sorted(ours.artifact.in_place) == [(3, 1), (4, 2)]
    shape = (batch, groups, ROOM, WIDTH)
    caches = [{name: np.zeros(shape, np.float32) for name in ("key", "value")} for _ in range(2)]
    angles = random.uniform(0, 6, (ROOM, WIDTH // 2)).astype(np.float32)
    tables = {"cosines": np.cos(angles), "sines": np.sin(angles)} if options.get("do_rotary") else {}
    total = 0
    for tokens in (4, 1, 1, 3 if batch == 1 else 1):  # onnxruntime takes several tokens after others for one sequence alone
        total += tokens
        feeds = {name: random.standard_normal((batch, tokens, heads * WIDTH), np.float32) for name, heads in (("q", 2 * groups), ("k", groups), ("v", groups))}
        feeds |= {"last": np.full(batch, total - 1, np.int32), "total": np.array([total], np.int32), **tables}
        plain = ours.run(None, {**feeds, **{f"past_{name}": array.copy() for name, array in caches[0].items()}})
        result = _bound(ours, feeds, caches[0])
        np.testing.assert_array_equal(result, plain[0])
        np.testing.assert_allclose(result, _bound(theirs, feeds, caches[1]), rtol=1e-5, atol=2e-6)
        for name, whole in zip(("key", "value"), plain[1:]):
            np.testing.assert_array_equal(caches[0][name], whole)
            np.testing.assert_allclose(caches[0][name][:, :, :total], caches[1][name][:, :, :total], rtol=1e-5, atol=1e-6)


def test_memory_for_an_output_whose_size_the_run_finds() -> None:
    """It is written to where it has the right size; another size is an error."""
    batch, tokens, past = 1, 2, 3
    session, random = onward.ort.InferenceSession(_grouped(batch, 1, {})), np.random.default_rng(0)
    feeds = {name: random.standard_normal((batch, tokens, heads * WIDTH), np.float32) for name, heads in (("q", 2), ("k", 1), ("v", 1))}
    feeds |= {f"past_{name}": random.standard_normal((batch, 1, past, WIDTH), np.float32) for name in ("key", "value")}
    feeds |= {"last": np.full(batch, past + tokens - 1, np.int32), "total": np.array([past + tokens], np.int32)}
    expected = session.run(None, feeds)
    assert expected[1].shape == (batch, 1, past + tokens, WIDTH)
    given = {"key": np.full((batch, 1, past + tokens, WIDTH), 7, np.float32), "value": np.full((batch, 1, past + tokens, WIDTH), 7, np.float32)}
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    binding.bind_output("y")
    for name, array in given.items():
        binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
    session.run_with_iobinding(binding)
    for found, wanted in zip((binding.copy_outputs_to_cpu()[0], *given.values()), expected):
        np.testing.assert_array_equal(found, wanted)
    longer = np.zeros((batch, 1, past + 4, WIDTH), np.float32)
    binding.bind_output("key", "cpu", 0, np.float32, longer.shape, longer.ctypes.data)
    with pytest.raises(ValueError, match="broadcast"):
        session.run_with_iobinding(binding)


def test_runs_with_one_binding() -> None:
    """What memory holds counts at each run, a copy of which must not be kept, and what is bound anew counts from then on."""
    session = onward.InferenceSession(
        _model([helper.make_node("Sub", ["x", "z"], ["y"])], [_port("x", ["n", 3]), _port("z", ["n", 3])], [_port("y", ["n", 3])])
    )
    binding, random = session.io_binding(), np.random.default_rng(4)

    def check(x: np.ndarray, z: np.ndarray, memory: np.ndarray | None) -> None:
        for _ in range(3):
            x[:], z[:] = (random.standard_normal(array.shape, np.float32) for array in (x, z))
            expected = x - z
            session.run_with_iobinding(binding)
            (found,) = binding.copy_outputs_to_cpu()
            np.testing.assert_array_equal(found, expected)
            if memory is not None:
                np.testing.assert_array_equal(memory, expected)

    for rows in (4, 2):
        x, z, memory = np.empty((rows, 3), np.float32), np.empty((3, rows), np.float32).T, np.empty((rows, 3), np.float32)
        binding.bind_cpu_input("x", x)
        binding.bind_cpu_input("z", z)
        binding.bind_output("y")
        check(x, z, None)
        binding.bind_output("y", "cpu", 0, np.float32, memory.shape, memory.ctypes.data)
        check(x, z, memory)
        z = np.empty((rows, 3), np.float32)
        binding.bind_cpu_input("z", z)
        check(x, z, memory)
        binding.bind_cpu_input("x", memory)  # the same memory as the output's
        check(memory, z, memory)
        binding.bind_cpu_input("x", x)
        check(x, z, memory)
    binding.clear_binding_inputs()
    with pytest.raises(onward.errors.InvalidInput, match="missing"):
        session.run_with_iobinding(binding)
