"""The LSTM operator in files written for the purpose: TensorFlow's converter makes loops of today's Keras layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.converters.tflite.making import converted

schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
flatbuffers = pytest.importorskip("flatbuffers")

CELLS, WIDTH, STEPS, BATCH = 5, 4, 6, 2


def file_of(shapes: dict[int, tuple[int, ...]], hidden: int, **options: Any) -> bytes:
    """A file of one LSTM; `shapes` are those of its parameters by place."""
    rng = np.random.default_rng(5)
    model, graph, node = schema.ModelT(), schema.SubGraphT(), schema.OperatorT()
    model.version, model.subgraphs, model.buffers, model.description = 3, [graph], [schema.BufferT()], "lstm"
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    code.version = 1
    model.operatorCodes, graph.tensors, graph.operators, node.inputs = [code], [], [node], [-1] * 24
    time_major = options.get("timeMajor", False)
    lead = (STEPS, BATCH) if time_major else (BATCH, STEPS)

    def tensor(shape: tuple[int, ...], data: np.ndarray | None = None, variable: bool = False) -> int:
        item = schema.TensorT()
        item.shape, item.type, item.name, item.isVariable = list(shape), schema.TensorType.FLOAT32, f"t{len(graph.tensors)}", variable
        if data is not None:
            held = schema.BufferT()
            held.data = np.frombuffer(data.astype(np.float32).tobytes(), np.uint8)
            model.buffers.append(held)
            item.buffer = len(model.buffers) - 1
        graph.tensors.append(item)
        return len(graph.tensors) - 1

    node.inputs[0] = tensor((*lead, WIDTH))
    for place, shape in shapes.items():
        node.inputs[place] = tensor(shape, rng.normal(size=shape) * 0.5)
    node.inputs[18], node.inputs[19] = tensor((BATCH, hidden), variable=True), tensor((BATCH, CELLS), variable=True)
    node.outputs = [tensor((*lead, hidden))]
    node.builtinOptionsType = schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions
    node.builtinOptions = schema.UnidirectionalSequenceLSTMOptionsT()
    node.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.TANH
    for name, value in options.items():
        setattr(node.builtinOptions, name, value)
    graph.inputs, graph.outputs = [node.inputs[0]], node.outputs
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


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
    model, _ = converted(file_of(shapes, hidden, **options), tmp_path)
    whole = name in ("plain", "time first", "peepholes")
    assert ("LSTM" if whole else "Scan") in {node.op_type for node in model.graph.nodes}
