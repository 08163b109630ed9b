"""Caches that grow: the kernel that reads one copies it on the way, where there is one query; results are those of a copy made before, bit for bit."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from onward import program as P
from onward.compiler import driver
from onward.compiler.artifact import Artifact, CompileOptions
from onward.compiler.entry import Event, Launch
from onward.compiler.schedule import growth
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Symbol, evaluate
from onward.ir.io import as_model
from onward.runtime.executable import Executable
from tests.compiler.native import TARGETS, compile_arrays

Feeds = dict[str, np.ndarray]
NEVER = 1 << 60


def _port(name: str, shape: list[int | str] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _decoder(heads: tuple[int, int, int, int], tokens: int | str, past: int | str, causal: bool, masked: bool) -> bytes:
    """Attention of (batch, heads, heads of keys, width) whose caches grow."""
    batch, queries, keys, width = heads
    names = ["q", "k", "v", "mask" if masked else "", "past_key", "past_value"]
    node = helper.make_node("Attention", names, ["y", "key", "value"], is_causal=int(causal))
    inputs = [_port("q", [batch, queries, tokens, width]), *(_port(name, [batch, keys, tokens, width]) for name in "kv")]
    inputs += [_port("mask", [tokens, "all"])] if masked else []
    inputs += [_port(name, [batch, keys, past, width]) for name in ("past_key", "past_value")]
    graph = helper.make_graph([node], "decoder", inputs, [_port(name, None) for name in ("y", "key", "value")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11).SerializeToString()


def _feeds(heads: tuple[int, int, int, int], tokens: int, past: int) -> Feeds:
    (batch, queries, keys, width), random = heads, np.random.default_rng(0)
    shapes = {"q": (batch, queries, tokens, width), "k": (batch, keys, tokens, width), "v": (batch, keys, tokens, width), "mask": (tokens, past + tokens)}
    shapes |= {name: (batch, keys, past, width) for name in ("past_key", "past_value")}
    return {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()}


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> dict[str, Dimension]:
    """What is compiled last copies these on the way, where their numbers are 1; any size is worth it."""
    found: dict[str, Dimension] = {}
    original = driver._without_copies

    def keep(events: list[Event]) -> list[Event]:
        kernels = [kernel for event in events if isinstance(event, Launch) for kernel in (event.kernel, *event.kernel.parts)]
        found.clear()
        found.update({kernel.carrier.growth.source.label: kernel.carrier.share for kernel in kernels if kernel.carrier is not None})
        return original(events)

    monkeypatch.setattr(driver, "_without_copies", keep)
    monkeypatch.setattr(growth, "LEAST_ELEMENTS", 1)
    return found


def _compiled(model: bytes, target: str) -> Artifact:
    return driver.compile_model(as_model(model), CompileOptions(target=target))


HEADS = [(1, 3, 3, 64), (2, 3, 3, 20), (1, 1, 1, 16), (1, 4, 2, 32)]
"""Batch, heads, heads of keys, and width: the last one shares keys among queries, so that they are copied before."""
SIZES = [(1, 37), (1, 0), (1, 300), (2, 37), (3, 5), (40, 90), (0, 3)]


KNOWN, OPEN = (1, 37), ("tokens", "past")
CASES = [
    *(("host", heads, numbers, False, False) for heads in HEADS for numbers in (KNOWN, OPEN)),
    *((target, HEADS[1], numbers, False, False) for target in TARGETS[1:] for numbers in (KNOWN, OPEN)),
    *(("host", HEADS[1], numbers, causal, not causal) for numbers in (KNOWN, (1, "past"), OPEN) for causal in (False, True)),
]


@pytest.mark.parametrize("target, heads, numbers, causal, masked", CASES)
def test_attention(
    target: str, heads: tuple[int, int, int, int], numbers: tuple[int | str, int | str], causal: bool, masked: bool,
    shares: dict[str, Dimension], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tokens, past = numbers
    model = _decoder(heads, tokens, past, causal, masked)
    carrying, found = Executable(_compiled(model, target), threads=2), dict(shares)
    monkeypatch.setattr(growth, "LEAST_ELEMENTS", NEVER)
    copying = Executable(_compiled(model, target), threads=1)
    judge = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert set(found) == (set() if heads[1] != heads[2] else {"past_key", "past_value"})
    for sizes in SIZES:
        if tokens not in (sizes[0], "tokens") or past not in (sizes[1], "past"):
            continue
        feeds = _feeds(heads, *sizes)
        inputs = [feeds[port.name] for port in carrying.artifact.inputs]
        result, wanted = carrying.run(inputs), copying.run(inputs)
        for name, one, other in zip(("y", "key", "value"), result, wanted):
            np.testing.assert_array_equal(one, other, err_msg=f"{name} {sizes}")
        for name, cache in zip(("key", "value"), result[1:]):
            np.testing.assert_array_equal(cache, np.concatenate([feeds[f"past_{name}"], feeds[name[0]]], axis=2))
        if 0 not in sizes:
            theirs = judge.run(None, {port.name: feeds[port.name] for port in judge.get_inputs()})
            np.testing.assert_allclose(result[0], theirs[0], rtol=2e-5, atol=2e-5, err_msg=str(sizes))
        for share in found.values():
            assert evaluate(share, {"tokens": sizes[0], "past": sizes[1]}) == (sizes[0] == 1 and sizes[1] > 0)


def test_memory_of_the_caller_may_lie_anywhere(shares: dict[str, Dimension]) -> None:
    heads = HEADS[0]
    executable, feeds = Executable(_compiled(_decoder(heads, 1, "past", False, False), "host")), _feeds(heads, 1, 37)
    inputs = [feeds[port.name] for port in executable.artifact.inputs]
    plain = executable.run(inputs)
    assert len(shares) == 2
    for shift in (0, 1, 4, 12, 16):
        memory = [np.full(result.size + shift + 1, np.nan, np.float32) for result in plain]
        outputs = [part[shift:-1].reshape(result.shape) for part, result in zip(memory, plain)]
        for result, given, whole in zip(plain, executable.run(inputs, outputs), memory):
            np.testing.assert_array_equal(given, result)
            assert np.isnan(whole[:shift]).all()
            assert np.isnan(whole[-1])


def test_checked_code(shares: dict[str, Dimension], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONWARD_CHECKED", "1")
    heads = HEADS[1]
    executable, feeds = Executable(_compiled(_decoder(heads, "tokens", "past", False, False), "host")), _feeds(heads, 1, 37)
    _, key, value = executable.run([feeds[port.name] for port in executable.artifact.inputs])
    assert len(shares) == 2
    for cache, name in ((key, "key"), (value, "value")):
        np.testing.assert_array_equal(cache, np.concatenate([feeds[f"past_{name}"], feeds[name[0]]], axis=2))


def test_a_small_cache_is_copied(shares: dict[str, Dimension], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the run knows how large it is, it chooses."""
    monkeypatch.setattr(growth, "LEAST_ELEMENTS", 1000)
    _compiled(_decoder((1, 1, 1, 16), 1, 62, False, False), "host")
    assert not shares
    _compiled(_decoder((1, 1, 1, 16), 1, "past", False, False), "host")
    assert [[evaluate(share, {"past": past}) for past in (62, 63)] for share in shares.values()] == [[0, 1], [0, 1]]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", ["keys", "values", "last axis", "new before", "read twice", "a part"])
def test_other_programs(form: str, target: str, shares: dict[str, Dimension]) -> None:
    """A row times an output that grows, and what looks like it. Where a part of it is read, all of it is copied before."""
    heads, past, width = Symbol("heads"), Symbol("past"), 24
    old, new = P.Input((heads, past, width), DataType.FLOAT, "old"), P.Input((heads, 3, width), DataType.FLOAT, "new")
    if form == "last axis":
        old, new = P.Input((heads, width, past), DataType.FLOAT, "old"), P.Input((heads, width, 3), DataType.FLOAT, "new")
    cache = P.concatenate([new, old] if form == "new before" else [old, new], 2 if form == "last axis" else 1)
    rows, columns = cache.shape[1:]
    over_rows = form in ("values", "last axis", "new before")
    x = P.Input((heads, rows if over_rows else columns), DataType.FLOAT, "x")
    if over_rows:
        y = P.reduce("sum", (heads, columns), (rows,), lambda h, j, k: x[h, k] * cache[h, k, j])
    else:
        count = 3 if form == "a part" else rows
        y = P.reduce("sum", (heads, count), (columns,), lambda h, j, k: x[h, k] * cache[h, j, k])
    outputs = {"y": y, "cache": cache} | ({"twice": cache * 2.0} if form == "read twice" else {})
    executable, found = Executable(compile_arrays([x, old, new], outputs, target)), dict(shares)
    assert len(found) == (form in ("keys", "values", "new before", "a part"))
    random = np.random.default_rng(0)
    for sizes in itertools.product((1, 3), (0, 1, 29)):
        named = dict(zip(("heads", "past"), sizes))
        arrays = [random.standard_normal([evaluate(extent, named) for extent in item.shape], np.float32) for item in (x, old, new)]
        wanted = P.evaluate(list(outputs.values()), dict(zip((x, old, new), arrays)))
        for ours, reference in zip(executable.run(arrays), wanted):
            np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-5)
        whole = {"keys": sizes[1] > 0, "values": sizes[1] > 0, "new before": True, "a part": False}
        for share in found.values():
            assert evaluate(share, named) == whole[form]
