"""Makes the convolutional networks that the onnx package ships without weights runnable: random weights, and references.

    python tools/light_models.py [--output build/models] [--only vgg19 squeezenet]

For each model `NAME` the folder then holds NAME_static.onnx, NAME_dynamic.onnx for batches of any size, and NAME.npz with an input ("small:...") and the output in double
precision ("small:double:..."), which Onward computes: onnxruntime has no such convolutions, and the reference evaluator of the onnx
package is off by 4e-2 and more on half of these models. Files that exist are kept.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

import onward

DEFAULT_FOLDER = Path(os.environ.get("ONWARD_TEST_MODELS") or Path(__file__).parents[1] / "build" / "models")

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
PATHS = sorted(FOLDER.glob("light_*.onnx"))
NAMES = tuple(path.stem.removeprefix("light_") for path in PATHS)


def with_random_weights(path: Path) -> onnx.ModelProto:
    """The model with its constant fillings replaced by random numbers that keep activations of moderate size, and
    without a softmax at its end, which turns a difference of logits into a relative one as large as they are."""
    model = onnx.load(path)
    model.ir_version = max(model.ir_version, 4)  # before that, every initialiser had to be an input
    random = np.random.default_rng(len(path.name))
    shapes = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = shapes[node.input[0]]
        array = random.standard_normal(shape) * np.sqrt(2 / max(1, np.prod(shape[1:]))) if len(shape) > 1 else None
        if array is None:  # scales, biases and variances: one number a channel, all positive
            array = random.uniform(0.5, 1.5, shape) * (1.0 if "BatchNormalization" in readers(model, node.output[0]) else 0.1)
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    for node in kept[-1:]:
        if node.op_type == "Softmax":
            model.graph.output[0].CopyFrom(helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, None))
    return model


def with_open_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model for batches of any size: a Reshape to a batch of 1 keeps the first axis instead."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.value_info[:]
    shapes = {node.input[1] for node in opened.graph.node if node.op_type == "Reshape"}
    for item in opened.graph.initializer:
        array = numpy_helper.to_array(item)
        if item.name in shapes and array[0] == 1:
            item.CopyFrom(numpy_helper.from_array(np.array([0, *array[1:]], np.int64), item.name))
    given = {item.name for item in opened.graph.initializer}
    for port in (*(item for item in opened.graph.input if item.name not in given), *opened.graph.output):
        for axis in port.type.tensor_type.shape.dim[:1]:
            axis.dim_param = "batch"
    return opened


def readers(model: onnx.ModelProto, name: str) -> set[str]:
    """The operators that read a value, through Unsqueeze."""
    found: set[str] = set()
    for node in model.graph.node:
        if name in node.input:
            found |= readers(model, node.output[0]) if node.op_type == "Unsqueeze" else {node.op_type}
    return found


def random_input(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """What is fed: the inputs that are no initialisers."""
    given = {item.name for item in model.graph.initializer}
    (port,) = (item for item in model.graph.input if item.name not in given)
    shape = [axis.dim_value for axis in port.type.tensor_type.shape.dim]
    return {port.name: np.random.default_rng(0).standard_normal(shape).astype(np.float32)}


def in_double_precision(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs, with all numbers in double precision."""
    double = onnx.ModelProto()
    double.CopyFrom(model)
    del double.graph.value_info[:]
    for item in double.graph.initializer:
        if item.data_type == onnx.TensorProto.FLOAT:
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item).astype(np.float64), item.name))
    for port in (*double.graph.input, *double.graph.output):
        if port.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            port.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    session = onward.InferenceSession(double.SerializeToString())
    results: list[np.ndarray] = session.run(None, {name: array.astype(np.float64) for name, array in feeds.items()})
    return results


def make(name: str, folder: Path) -> None:
    """Writes the files of one model; each appears whole or not at all."""
    model = with_random_weights(FOLDER / f"light_{name}.onnx")
    feeds = random_input(model)
    outputs = in_double_precision(model, feeds)
    arrays = {f"small:{key}": array for key, array in feeds.items()}
    arrays |= {f"small:double:{item.name}": array for item, array in zip(model.graph.output, outputs)}
    folder.mkdir(parents=True, exist_ok=True)
    for path, write in (
        (folder / f"{name}.npz", lambda target: np.savez(target, **arrays)),
        (folder / f"{name}_static.onnx", lambda target: onnx.save(model, target)),
        (folder / f"{name}_dynamic.onnx", lambda target: onnx.save(with_open_batch(model), target)),
    ):
        unfinished = path.with_name(f"unfinished_{path.name}")
        write(unfinished)
        unfinished.replace(path)


def main() -> None:
    """Makes what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    arguments = parser.parse_args()
    for name in arguments.only:
        if not all((arguments.output / f"{name}_{variant}.onnx").exists() for variant in ("static", "dynamic")):
            make(name, arguments.output)


if __name__ == "__main__":
    main()
