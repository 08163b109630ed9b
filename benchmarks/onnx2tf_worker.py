"""Converts the models of a folder with onnx2tf, in an environment of its own: `python onnx2tf_worker.py FOLDER SECONDS`.

For NAME.onnx it leaves the SavedModel NAME/ and NAME.json: seconds, or why there is no result. NAME.begun says that a model was begun;
one that has only that has ended the process, and is left out when the worker is started again, as is one that takes more than SECONDS. The files of TensorFlow Lite, which onnx2tf writes afterwards,
are not made: they take minutes and are not compared.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

import onnx
import onnx2tf
import tensorflow as tf


class Finished(Exception):
    """The SavedModel is there."""


def finish(*_: object, **__: object) -> None:
    raise Finished


tf.lite.TFLiteConverter.from_keras_model = finish
tf.lite.TFLiteConverter.from_concrete_functions = finish


def convert(path: Path) -> dict[str, object]:
    model = onnx.load(path)
    weights = {item.name for item in model.graph.initializer}
    inputs = [item.name for item in model.graph.input if item.name not in weights]
    begin = time.perf_counter()
    try:
        onnx2tf.convert(
            input_onnx_file_path=str(path), output_folder_path=str(path.with_suffix("")), keep_shape_absolutely_input_names=inputs,
            output_signaturedefs=True, non_verbose=True,
        )  # fmt: skip
    except Finished:
        pass
    except (Exception, SystemExit) as problem:  # it ends the process where it has no rule
        return {"reason": f"{type(problem).__name__}: {problem}"[:300]}
    return {"seconds": time.perf_counter() - begin}


def main() -> None:
    for path in sorted(Path(sys.argv[1]).glob("*.onnx")):
        begun = path.with_suffix(".begun")
        if not begun.exists():
            begun.touch()
            watch = threading.Timer(float(sys.argv[2]), os._exit, [1])
            watch.start()
            path.with_suffix(".json").write_text(json.dumps(convert(path)))
            watch.cancel()


if __name__ == "__main__":
    main()
