"""Converts architectures of the transformers library with onward and with torch.onnx, and writes down how both fared.

    python -m tools.compare_torch_exporters docs/converters/torch_architectures.md [--only Bert,T5] [--results results.json]

Each conversion is a process of its own with a time-out. Both conversions are run in onnxruntime, with sizes fixed and with open
sizes, and compared with PyTorch on the example and, where sizes are open, on one with more rows and more tokens. With `--results`
what was measured is kept, and architectures that stand there are not measured again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

TIMEOUT = 600
"""Seconds for one conversion and its runs."""
WAYS = ("onward fixed", "onward open", "torch.onnx fixed", "torch.onnx open")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--one", metavar="WAY", help="measure the architecture of --only in this process in this way, and print the outcome")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.only, options.one)))
        return
    from tests.converters.torch.architectures import NAMES

    results = json.loads(options.results.read_text()) if options.results and options.results.exists() else {}
    for name in options.only.split(",") if options.only else NAMES:
        if name not in results:
            results[name] = {way: _in_a_process(name, way) for way in WAYS}
            print(name, results[name], flush=True)
        if options.results:
            options.results.write_text(json.dumps(results, indent=1))
    options.page.write_text(page(results))


def _in_a_process(name: str, way: str) -> str:
    command = [sys.executable, "-m", "tools.compare_torch_exporters", "-", "--only", name, "--one", way]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env={**os.environ, "ONWARD_CACHE": "off"})
    except subprocess.TimeoutExpired:
        return f"more than {TIMEOUT} s"
    if finished.returncode:
        return f"the process ended with {finished.returncode} {finished.stderr.strip()[-200:]}".strip()
    return json.loads(finished.stdout.strip().splitlines()[-1])


def measured(name: str, way: str) -> str:
    """The outcome of one way for one architecture: its greatest error, or why there is no result."""
    from tests.converters.torch.architectures import build

    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    convert, opened = _by_onward if way.startswith("onward") else _by_torch, way.endswith("open")
    try:
        module, arguments = build(name)
        model = convert(module, arguments, opened)
        error = max(_error(module, model, item) for item in ([arguments, larger(arguments)] if opened else [arguments]))
    except Exception as problem:
        return _reason(problem)
    return f"{error:.0e}" if error < 1e-3 else f"differs by {error:.0e}"


def _by_onward(module: Any, arguments: dict[str, Any], opened: bool) -> bytes:
    import onward

    return onward.convert(module, arguments, dynamic_shapes=None if opened else {}).to_bytes()


def _by_torch(module: Any, arguments: dict[str, Any], opened: bool) -> bytes:
    import torch

    from onward.converters.torch.caches import register_caches
    from onward.converters.torch.capture import _described

    register_caches()
    shapes = _described(arguments, lambda item: dict.fromkeys(range(item.dim()), torch.export.Dim.AUTO)) if opened else None
    with torch.no_grad():
        program = torch.onnx.export(module, (), kwargs=arguments, dynamo=True, dynamic_shapes=shapes, verbose=False)
    return program.model_proto.SerializeToString()


def larger(arguments: Any) -> Any:
    """The arguments with one row more; whole numbers, which are tokens, and what stands beside them with three more of them."""
    import torch
    from torch.utils import _pytree as pytree

    def grown(item: Any) -> Any:
        if not isinstance(item, torch.Tensor):
            return item
        item = torch.cat([item, item[:1]])
        return item if item.is_floating_point() else torch.cat([item, item[:, :3]], 1)

    return pytree.tree_map(grown, arguments)


def _error(module: Any, model: bytes, arguments: dict[str, Any]) -> float:
    """The greatest difference in onnxruntime, relative to the largest number of an output."""
    import numpy as np
    import onnxruntime
    import torch
    from torch.utils import _pytree as pytree

    copied: Callable[[Any], Any] = lambda item: item.clone() if isinstance(item, torch.Tensor) else item
    tensors = [item.numpy() for item in pytree.tree_leaves(pytree.tree_map(copied, arguments)) if isinstance(item, torch.Tensor)]
    with torch.no_grad():
        expected = [item for item in pytree.tree_leaves(module(**arguments)) if isinstance(item, torch.Tensor)]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options)
    feeds = dict(zip([item.name for item in session.get_inputs()], tensors, strict=True))
    worst = 0.0
    for ours, theirs in zip(session.run(None, feeds), expected, strict=True):
        gap = np.abs(ours.astype(np.float64) - theirs.double().numpy()).max(initial=0)
        worst = max(worst, float(gap / max(np.abs(theirs.double().numpy()).max(initial=0), 1e-30)))
    return worst


def _reason(problem: BaseException) -> str:
    while problem.__cause__ is not None:
        problem = problem.__cause__
    lines = [line.strip() for line in re.sub(r"\x1b\[\d+m", "", str(problem)).splitlines() if line.strip()]
    return f"{type(problem).__name__}: {' '.join(lines)}".replace("|", "/")[:240]


def page(results: dict[str, dict[str, str]]) -> str:
    """The page of the results, with what did not work in words below the table."""
    works = {way: sum(_works(found[way]) for found in results.values()) for way in WAYS}
    rows = [f"| {name} | " + " | ".join(found[way] if _works(found[way]) else "no" for way in WAYS) + " |" for name, found in results.items()]
    reasons = [f"- {name}, {way}: {found[way]}" for name, found in results.items() for way in WAYS if not _works(found[way])]
    return "\n".join([
        "# Architectures of transformers: onward and torch.onnx", "",
        "Small random configurations (`tests/converters/torch/architectures.py`), converted by `onward.convert` (which compares with "
        "PyTorch on generated data) and by `torch.onnx.export(dynamo=True)`, with fixed and with open sizes. Errors are the "
        "greatest differences from PyTorch in onnxruntime, relative to the largest number of an output; with open sizes also for more rows and more tokens than in "
        "the example. Written by", "",
        "    python -m tools.compare_torch_exporters docs/converters/torch_architectures.md", "",
        "| | " + " | ".join(WAYS) + " |", "|---|---|---|---|---|",
        f"| **{len(results)} architectures** | " + " | ".join(f"**{works[way]}**" for way in WAYS) + " |",
        *rows, "", "What did not work, and why:", "", *reasons, "",
    ])  # fmt: skip


def _works(outcome: str) -> bool:
    return re.fullmatch(r"[\d.]+e[+-]\d+", outcome) is not None


if __name__ == "__main__":
    main()
