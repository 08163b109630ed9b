"""Modules of PyTorch that onward and onnx2torch make of the same ONNX models: which convert, how exact they are, how fast.

    python benchmarks/torch_modules.py [--models FOLDER] [--nodes] [--seconds 2] [--threads 1]

The nine light networks of the onnx package (with random weights), and the files of FOLDER (tools/export_models.py makes some). Errors are the
greatest difference from onnxruntime, relative to the largest value of an output; times are the least of calls that alternate. `--nodes`
counts the node tests of the onnx package that each passes. onnx2torch must be installed (it asks for torchvision).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from modules import Converter, Runner, all_node_tests, models, parser, show, show_node_tests

from onward.converters.targets import torch as page
from onward.ir import as_model


def by_onward(_: str, model: onnx.ModelProto) -> Runner:
    return runner(page.convert(as_model(model)))


def by_onnx2torch(_: str, model: onnx.ModelProto) -> Runner:
    from onnx2torch import convert

    newer = onnx.ModelProto.FromString(model.SerializeToString())
    newer.ir_version = max(newer.ir_version, 4)  # initialisers are no inputs: so shapes are inferred, and it asks for the ranks of values
    return runner(convert(onnx.shape_inference.infer_shapes(newer)).eval())


CONVERTERS: dict[str, Converter] = {"onward": by_onward, "onnx2torch": by_onnx2torch}


def runner(module: Any) -> Runner:
    """Calls of a module."""

    def run(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            results = module(*map(page.tensor, arrays))
        return [item.numpy() for item in (results if isinstance(results, (tuple, list)) else (results,))]

    return run


def main() -> None:
    options = parser(__doc__).parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    show(models(options.models), CONVERTERS, options.seconds)
    if options.nodes:
        show_node_tests(CONVERTERS, all_node_tests())


if __name__ == "__main__":
    main()
