"""Functions of TensorFlow that onward and onnx2tf make of the same ONNX models: which convert, how exact they are, how fast.

    python benchmarks/tensorflow_modules.py --onnx2tf VENV [--models FOLDER] [--nodes] [--every 1] [--work FOLDER] [--seconds 2] [--threads 1]

The nine light networks of the onnx package (with random weights), and the files of FOLDER. Errors are the greatest difference from onnxruntime, relative to the
largest value of an output; times are the least of calls that alternate. `--nodes` counts the node tests of the onnx package that each passes, of those whose
inputs and one output are float32 tensors with axes, or of `--every` so many of them one.

onnx2tf wants other versions of NumPy, onnx and TensorFlow than the rest: VENV is an environment with it (`python -m venv VENV; VENV/bin/pip install onnx2tf`). What
it writes is read from there; `--work` keeps it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf  # noqa: E402
from modules import Converter, Runner, all_node_tests, models, parser, show, show_node_tests  # noqa: E402

from onward.converters.targets import tensorflow as page  # noqa: E402
from onward.ir import as_model  # noqa: E402

WORKER = Path(__file__).with_name("onnx2tf_worker.py")


def by_onward(_: str, model: onnx.ModelProto) -> Runner:
    """Calls of the signature, as of the other converter's: `tf.function` itself takes 0.2 ms more to find it."""
    module = page.convert(as_model(model))
    signature = module.named.get_concrete_function()

    def run(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        assert module is not None  # its variables live as long as it does
        return [item.numpy() for item in signature(*map(tf.convert_to_tensor, arrays)).values()]

    return run


class Onnx2tf:
    """Converts all models at once, in processes of the environment `venv`, and is then a converter; a model may take `limit` seconds."""

    def __init__(self, venv: Path, work: Path, found: Mapping[str, onnx.ModelProto], limit: int) -> None:
        self.work = work
        for name, model in found.items():
            if not (work / f"{name}.onnx").exists():
                onnx.save(model, work / f"{name}.onnx")
        environment = os.environ | {"PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": ""}
        while len(list(work.glob("*.begun"))) < len(list(work.glob("*.onnx"))):  # again where a model ended the process
            subprocess.run([venv / "bin" / "python", WORKER, work, str(limit)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __call__(self, name: str, model: onnx.ModelProto) -> Runner:
        answer = self.work / f"{name}.json"
        said = json.loads(answer.read_text()) if answer.exists() else {"reason": "the process ended, or it took too long"}
        if "reason" in said:
            raise RuntimeError(said["reason"])
        loaded = tf.saved_model.load(self.work / name)
        function = loaded.signatures["serving_default"]
        names = list(function.structured_input_signature[1])
        weights = {item.name for item in model.graph.initializer}
        order = [_nearest(item.name, names) for item in model.graph.input if item.name not in weights]
        shapes = [tuple(size.dim_value for size in item.type.tensor_type.shape.dim) for item in model.graph.output]

        def run(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
            assert loaded is not None  # its variables live as long as it does
            results = function(**{key: tf.convert_to_tensor(item) for key, item in zip(order, arrays)})
            return [_channels_second(item.numpy(), shape) for item, shape in zip(results.values(), shapes)]

        return run


def _nearest(name: str, names: Sequence[str]) -> str:
    """The name that onnx2tf gives an input."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in name)
    return next((item for item in names if item in (name, plain, plain.lower())), names[0])


def _channels_second(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """onnx2tf leaves outputs with channels last; where the sizes tell it they are brought back."""
    turned = np.moveaxis(array, -1, 1) if array.ndim > 2 else array
    return turned if array.shape != shape and turned.shape == shape else array


def is_plain(case: Any) -> bool:
    """Whether a node test has only tensors of float32 with axes, and one output."""
    ports = [*case.model.graph.input, *case.model.graph.output]
    kinds = [item.type.tensor_type for item in ports]
    return len(case.model.graph.output) == 1 and all(kind.elem_type == onnx.TensorProto.FLOAT and len(kind.shape.dim) for kind in kinds)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--onnx2tf", type=Path, required=True, metavar="VENV")
    options.add_argument("--every", type=int, default=1)
    options.add_argument("--work", type=Path)
    given = options.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        for part in ("models", "nodes"):
            (work / part).mkdir(parents=True, exist_ok=True)
        found = models(given.models)
        converters: dict[str, Converter] = {"onward": by_onward, "onnx2tf": Onnx2tf(given.onnx2tf, work / "models", found, 900)}
        show(found, converters, given.seconds)
        if given.nodes:
            cases = [case for case in all_node_tests() if is_plain(case)][:: given.every]
            converters["onnx2tf"] = Onnx2tf(given.onnx2tf, work / "nodes", {case.name: case.model for case in cases}, 30)
            show_node_tests(converters, cases)


if __name__ == "__main__":
    main()
