"""Operators in files written for the purpose: recurrent layers, of which TensorFlow's converter makes loops, and those of StableHLO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.converters.tflite.making import converted

schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
flatbuffers = pytest.importorskip("flatbuffers")

CELLS, WIDTH, STEPS, BATCH = 5, 4, 6, 2


def file_of(
    operator: str, entry: tuple[int, ...], shapes: dict[int, Any], states: dict[int, tuple[int, ...]], results: list[tuple[int, ...]],
    count: int = 0, kind: str = "FLOAT32", later: Any = None, inner: str | None = None, **options: Any,
) -> bytes:  # fmt: skip
    """A file of one operator with `count` inputs: the first is the model's, `shapes` are those of its parameters by place, or these themselves, `states`
    of what it keeps. `later` are options of the second table, `inner` the operator of a second
    subgraph of two numbers, "" for none."""
    rng = np.random.default_rng(5)
    model, graph, node = schema.ModelT(), schema.SubGraphT(), schema.OperatorT()
    model.version, model.subgraphs, model.buffers, model.description = 3, [graph], [schema.BufferT()], operator.lower()
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, operator)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
    model.operatorCodes, graph.tensors, graph.operators, node.inputs = [code], [], [node], [-1] * (count or len(shapes) + 1)

    def tensor(shape: tuple[int, ...], data: np.ndarray | None = None, variable: bool = False) -> int:
        item = schema.TensorT()
        own = kind if data is None or data.dtype == np.float64 else data.dtype.name.upper()
        item.shape, item.type, item.name, item.isVariable = list(shape), getattr(schema.TensorType, own), f"t{len(graph.tensors)}", variable
        if data is not None:
            held = schema.BufferT()
            held.data = np.frombuffer(data.astype(own.lower()).tobytes(), np.uint8)
            model.buffers.append(held)
            item.buffer = len(model.buffers) - 1
        graph.tensors.append(item)
        return len(graph.tensors) - 1

    node.inputs[0] = tensor(entry)
    for place, shape in shapes.items():
        given = isinstance(shape, np.ndarray)
        node.inputs[place] = tensor(shape.shape if given else shape, shape if given else rng.normal(size=shape) * (0.5 if kind == "FLOAT32" else 3))
    for place, shape in states.items():
        node.inputs[place] = tensor(shape, variable=True)
    node.outputs = [tensor(shape) for shape in results]
    if options:
        table = "".join(part.capitalize() for part in operator.split("_")).replace("Lstm", "LSTM").replace("Rnn", "RNN") + "Options"
        table = {"UnidirectionalSequenceRNNOptions": "SequenceRNNOptions"}.get(table, table)
        node.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        node.builtinOptions = getattr(schema, f"{table}T")()
        node.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.TANH
    for name, value in options.items():
        setattr(node.builtinOptions, name, value)
    if later is not None:
        node.builtinOptions2, node.builtinOptions2Type = later, getattr(schema.BuiltinOptions2, type(later).__name__.removesuffix("T"))
    graph.inputs, graph.outputs = [node.inputs[0]], node.outputs
    if inner is not None:
        model.subgraphs.append(_of_two_numbers(model, inner, getattr(schema.TensorType, kind)))
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _of_two_numbers(model: Any, operator: str, kind: int) -> Any:
    graph, node, code = schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    graph.tensors = [schema.TensorT() for _ in range(3)]
    for place, item in enumerate(graph.tensors):
        item.shape, item.type, item.name, item.buffer = [], kind, f"n{place}", 0
    graph.inputs, graph.outputs, graph.operators = [0, 1], [2 if operator else 1], [node] if operator else []
    if operator:
        code.builtinCode = getattr(schema.BuiltinOperator, operator)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        model.operatorCodes.append(code)
    node.opcodeIndex, node.inputs, node.outputs = 1, [0, 1], [2]
    return graph


def parameters(hidden: int = CELLS) -> dict[int, tuple[int, ...]]:
    made: dict[int, tuple[int, ...]] = {place: (CELLS, WIDTH) for place in range(1, 5)}
    made |= {place: (CELLS, hidden) for place in range(5, 9)}
    return made | {place: (CELLS,) for place in range(12, 16)}


PEEPHOLES = {place: (CELLS,) for place in (9, 10, 11)}
COUPLED = {place: shape for place, shape in parameters().items() if place not in (1, 5, 12)}
CASES = {
    "plain": (parameters(), CELLS, {}),
    "time first": (parameters(), CELLS, {"timeMajor": True}),
    "peepholes": (parameters() | PEEPHOLES, CELLS, {}),
    "coupled": (COUPLED, CELLS, {}),
    "clipped": (parameters(), CELLS, {"cellClip": 0.3}),
    "projected": (parameters(3) | {16: (3, CELLS)}, 3, {}),
    "projected, clipped": (parameters(3) | {16: (3, CELLS), 17: (3,)}, 3, {"projClip": 0.2}),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_lstm(name: str, tmp_path: Path) -> None:
    shapes, hidden, options = CASES[name]
    lead = (STEPS, BATCH) if options.get("timeMajor", False) else (BATCH, STEPS)
    states = {18: (BATCH, hidden), 19: (BATCH, CELLS)}
    data = file_of("UNIDIRECTIONAL_SEQUENCE_LSTM", (*lead, WIDTH), shapes, states, [(*lead, hidden)], 24, **{"timeMajor": False, **options})
    model, _ = converted(data, tmp_path)
    whole = name in ("plain", "time first", "peepholes")
    assert ("LSTM" if whole else "Scan") in {node.op_type for node in model.graph.nodes}


STATE = (BATCH, CELLS)
BASIC = {1: (CELLS, WIDTH), 2: (CELLS, CELLS), 3: (CELLS,)}
BOTH = BASIC | {place + 4: shape for place, shape in BASIC.items()}
GATES = parameters() | {place + 17: shape for place, shape in parameters().items()}


@pytest.mark.parametrize("time_major", [False, True])
def test_layers_both_ways(time_major: bool, tmp_path: Path) -> None:
    lead = (STEPS, BATCH) if time_major else (BATCH, STEPS)
    entry, once, both = (*lead, WIDTH), (*lead, CELLS), (*lead, 2 * CELLS)
    files = {
        "RNN": file_of("UNIDIRECTIONAL_SEQUENCE_RNN", entry, BASIC, {4: STATE}, [once], 5, timeMajor=time_major),
        "RNN of two": file_of("BIDIRECTIONAL_SEQUENCE_RNN", entry, BOTH, {4: STATE, 8: STATE}, [once, once], 12, timeMajor=time_major, mergeOutputs=False),
        "LSTM of two": file_of("BIDIRECTIONAL_SEQUENCE_LSTM", entry, GATES, dict.fromkeys(range(35, 39), STATE), [both] if time_major else [once, once], 48,
                               timeMajor=time_major, mergeOutputs=time_major),
    }  # fmt: skip
    for name, data in files.items():
        model, certificate = converted(data, tmp_path)
        assert name[:3] in {node.op_type for node in model.graph.nodes} | {"LST"}, name
        assert len(certificate.differences) == len(model.graph.outputs)


@pytest.mark.parametrize("operator", ["ADD", "MULTIPLY", "MAXIMUM", "MINIMUM"])
def test_operators_of_stablehlo(operator: str, tmp_path: Path) -> None:
    _, certificate = converted(file_of(f"STABLEHLO_{operator}", (2, 3), {1: (2, 3)}, {}, [(2, 3)]), tmp_path)
    assert certificate.differences


def options_of(table: str, **values: Any) -> Any:
    made = getattr(schema, f"{table}OptionsT")()
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("function", ["ADD", "MUL", "MINIMUM", "MAXIMUM"])
def test_reductions_of_windows(function: str, tmp_path: Path) -> None:
    later = options_of("ReduceWindow", reduceFunction=getattr(schema.ReduceWindowFunction, function))
    sizes = [np.array(item, np.int64) for item in ([1, 3, 2], [2, 2, 1], [1, 2, 1])]
    shapes = {1: np.array(0.5, np.float32), **{place + 2: item for place, item in enumerate(sizes)}}
    _, certificate = converted(file_of("REDUCE_WINDOW", (4, 9, 5), shapes, {}, [(2, 3, 4)], later=later), tmp_path)
    assert certificate.differences


@pytest.mark.parametrize(
    ("low", "high", "between", "result"), [([1, 0], [0, 2], [0, 0], (4, 6)), ([0, 2], [1, 0], [2, 1], (8, 9)), ([-1, 1], [2, -2], [1, 0], (6, 3))]
)
def test_padding_of_stablehlo(low: list[int], high: list[int], between: list[int], result: tuple[int, int], tmp_path: Path) -> None:
    later = options_of("StablehloPad", edgePaddingLow=low, edgePaddingHigh=high, interiorPadding=between)
    _, certificate = converted(file_of("STABLEHLO_PAD", (3, 4), {1: np.array(7.5, np.float32)}, {}, [result], later=later), tmp_path)
    assert certificate.differences


@pytest.mark.parametrize(
    ("entry", "places", "options", "result"),
    [
        ((5, 4), [[0], [4], [9], [2]], {"offsetDims": [1], "collapsedSliceDims": [0], "startIndexMap": [0], "indexVectorDim": 1, "sliceSizes": [1, 4]}, (4, 4)),
        ((5, 6, 3), [[0, 4, 3], [2, 1, 9]], {"offsetDims": [0, 2], "collapsedSliceDims": [0], "startIndexMap": [1, 0], "indexVectorDim": 0, "sliceSizes": [1, 2, 3]}, (2, 3, 3)),
    ],
)  # fmt: skip
def test_slices_at_places(entry: tuple[int, ...], places: Any, options: dict[str, Any], result: tuple[int, ...], tmp_path: Path) -> None:
    later = options_of("StablehloGather", indicesAreSorted=False, **options)
    _, certificate = converted(file_of("STABLEHLO_GATHER", entry, {1: np.array(places, np.int64)}, {}, [result], later=later), tmp_path)
    assert certificate.differences


@pytest.mark.parametrize("inner", ["ADD", "MULTIPLY", "MINIMUM", "MAXIMUM"])
def test_reductions_of_dilated_windows(inner: str, tmp_path: Path) -> None:
    later = options_of(
        "StablehloReduceWindow", windowDimensions=[2, 3], windowStrides=[2, 1], baseDilations=[1, 2], windowDilations=[2, 1], padding=[1, 2, 0, 1],
        bodySubgraphIndex=1,
    )  # fmt: skip
    start = np.array({"ADD": 0, "MULTIPLY": 1, "MINIMUM": 1e9, "MAXIMUM": -1e9}[inner], np.float32)
    _, certificate = converted(file_of("STABLEHLO_REDUCE_WINDOW", (5, 4), {1: start}, {}, [(3, 6)], later=later, inner=f"STABLEHLO_{inner}"), tmp_path)
    assert certificate.differences


@pytest.mark.parametrize("inner", ["", "ADD", "MULTIPLY", "MAXIMUM"])
def test_slices_written_at_places(inner: str, tmp_path: Path) -> None:
    """One of the slices reaches beyond the end. For those that begin before the start the interpreter writes elsewhere."""
    later = options_of(
        "StablehloScatter", indicesAreSorted=False, updateWindowDims=[1, 2], insertedWindowDims=[0], scatterDimsToOperandDims=[0, 2], indexVectorDim=1,
        uniqueIndices=False, updateComputationSubgraphIndex=1,
    )  # fmt: skip
    shapes = {1: np.array([[0, 1], [3, 0], [3, 2], [1, 4], [2, 3]], np.int64), 2: (5, 3, 2)}
    inner = inner and f"STABLEHLO_{inner}"
    _, certificate = converted(file_of("STABLEHLO_SCATTER", (4, 3, 5), shapes, {}, [(4, 3, 5)], later=later, inner=inner), tmp_path)
    assert certificate.differences
