"""Converts architectures of the transformers library, or the classes and functions of torch.nn, with onward and with torch.onnx, and writes
down how both fared.

    python -m tools.compare_torch_exporters docs/converters/torch_architectures.md [--only Bert,T5] [--results results.json]
    python -m tools.compare_torch_exporters docs/converters/torch_modules.md

Both conversions are run in onnxruntime, with sizes fixed and with open sizes, and compared with PyTorch on the example and, where sizes are
open, on one with more rows and more tokens, if PyTorch takes that. All names are converted in one process for each way, and in a new one
after one that ended or ran beyond its time. With `--results` what was measured is kept, and what stands there is not measured again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT = 120
"""Seconds for one conversion and its runs, and the start of the process."""
WAYS = ("onward fixed", "onward open", "torch.onnx fixed", "torch.onnx open")


LIMITS = {"torch.bfloat16": 4e-2, "torch.float16": 5e-3}
"""By type of an output the relative difference that is still right; 1e-3 for all others."""


class Wrong(Exception):
    """A result that is not PyTorch's."""


@dataclass(frozen=True)
class Subject:
    """What a page is about: the module that has the names and builds the examples, and words for it."""

    page: str
    cases: str
    title: str
    many: str
    what: str


SUBJECTS = {
    subject.page: subject for subject in (
        Subject("torch_architectures", "tests.converters.torch.architectures", "Architectures of transformers", "architectures", "Small random configurations"),
        Subject("torch_modules", "tests.converters.torch.layers", "Classes and functions of torch.nn", "classes and functions",
                "One example of each, mostly from PyTorch's own databases"),
    )
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--way", choices=WAYS, help="measure in this process, in this way, and print the outcomes")
    options = parser.parse_args()
    subject = SUBJECTS[options.page.stem]
    cases = importlib.import_module(subject.cases)
    names = options.only.split(",") if options.only else cases.NAMES
    if options.way:
        for name in names:
            print(json.dumps([name, measured(cases.build, name, options.way)]), flush=True)
        return
    results = json.loads(options.results.read_text()) if options.results and options.results.exists() else {}
    for way in WAYS:
        missing = [name for name in names if way not in results.get(name, {})]
        for name, outcome in outcomes(options.page, missing, way):
            results.setdefault(name, {})[way] = outcome
            print(name, way, outcome, flush=True)
            if options.results:
                options.results.write_text(json.dumps(results, indent=1))
    options.page.write_text(page(subject, {name: results[name] for name in names}))


def outcomes(page: Path, names: list[str], way: str) -> Iterator[tuple[str, str]]:
    """Name and outcome of each conversion. Where the process ends before its work is done, what it was at is the reason."""
    while names:
        command = [sys.executable, "-m", "tools.compare_torch_exporters", str(page), "--only", ",".join(names), "--way", way]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "ONWARD_CACHE": "off"})
        assert process.stdout is not None
        while names:
            timer = threading.Timer(TIMEOUT, process.kill)
            timer.start()
            line = process.stdout.readline()
            timer.cancel()
            if not line:
                break
            if line.startswith("["):
                name, outcome = json.loads(line)
                names = names[1:]
                yield name, outcome
        if names:
            ended = process.wait()
            name, *names = names
            yield name, f"more than {TIMEOUT} s" if ended == -signal.SIGKILL else f"the process ended with {ended}"


def measured(build: Callable[[str], Any], name: str, way: str) -> str:
    """The outcome of one way for one name: its greatest error, or why there is no result."""
    import torch

    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    convert, opened = _by_onward if way.startswith("onward") else _by_torch, way.endswith("open")
    try:
        module, arguments = build(name)
        model = convert(module, arguments, opened)
        torch.manual_seed(0)
        given = [arguments, larger(arguments)] if opened else [arguments]
        error = max(_error(module, model, item) for item in given if item is arguments or _takes(module, item))
    except Wrong as problem:
        return str(problem)
    except Exception as problem:
        return _reason(problem)
    return f"{error:.0e}"


def _takes(module: Any, arguments: Any) -> bool:
    """Whether PyTorch computes something for the arguments."""
    try:
        _called(module, arguments)
    except Exception:
        return False
    return True


def _called(module: Any, arguments: Any) -> list[Any]:
    """The tensors that a module gives for arguments or keywords."""
    import torch
    from torch.utils import _pytree as pytree

    arguments = pytree.tree_map(lambda item: item.clone() if isinstance(item, torch.Tensor) else item, arguments)
    with torch.no_grad():
        found = module(**arguments) if isinstance(arguments, dict) else module(*arguments)
    return [item for item in pytree.tree_leaves(found) if isinstance(item, torch.Tensor)]


def _is_random(module: Any, arguments: Any) -> bool:
    import torch

    first, second = _called(module, arguments), _called(module, arguments)
    return any(not torch.equal(one.nan_to_num(), other.nan_to_num()) for one, other in zip(first, second))


def _by_onward(module: Any, arguments: Any, opened: bool) -> bytes:
    import onward

    return onward.convert(module, arguments, dynamic_shapes=None if opened else {}).to_bytes()


def _by_torch(module: Any, arguments: Any, opened: bool) -> bytes:
    import torch

    from onward.converters.torch.caches import register_caches
    from onward.converters.torch.capture import _by_parameters, _shapes, example_of

    register_caches()
    example = _by_parameters(module, example_of(module, arguments))
    shapes = _shapes(example, lambda item: dict.fromkeys(range(item.dim()), torch.export.Dim.AUTO)) if opened else None
    with torch.no_grad():
        given = {"args": (), "kwargs": arguments} if isinstance(arguments, dict) else {"args": arguments}
        program = torch.onnx.export(module, **given, dynamo=True, dynamic_shapes=shapes, verbose=False)
    return program.model_proto.SerializeToString()


def larger(arguments: Any) -> Any:
    """The arguments with one row more; whole numbers, which are tokens, and what stands beside them with three more of them."""
    import torch
    from torch.utils import _pytree as pytree

    def grown(item: Any) -> Any:
        if not isinstance(item, torch.Tensor):
            return item
        item = torch.cat([item, item[:1]]) if item.dim() else item
        return item if item.is_floating_point() or item.dim() < 2 else torch.cat([item, item[:, :3]], 1)

    return pytree.tree_map(grown, arguments)


def _error(module: Any, model: bytes, arguments: Any) -> float:
    """The greatest difference, relative to the largest number of an output; of random numbers only the shapes are compared.

    Raises Wrong for another shape, or a difference beyond `LIMITS`.
    """
    import numpy as np
    import torch
    from torch.utils import _pytree as pytree

    tensors = [item.clone().numpy() for item in pytree.tree_leaves(arguments) if isinstance(item, torch.Tensor)]
    expected, random = _called(module, arguments), _is_random(module, arguments)
    worst = 0.0
    for result, theirs in zip(_results(model, tensors), expected, strict=True):
        if result.shape != tuple(theirs.shape):
            raise Wrong(f"a result has shape {result.shape}, PyTorch's has {tuple(theirs.shape)}")
        found, wanted = result.astype(np.float64), theirs.double().numpy()
        same = (found == wanted) | np.isnan(found) & np.isnan(wanted)
        if random or same.all():
            continue
        error = float(np.abs(found - wanted)[~same].max() / max(np.abs(wanted[np.isfinite(wanted)]).max(initial=0), 1e-30))
        if not error < LIMITS.get(str(theirs.dtype), 1e-3):
            raise Wrong(f"differs by {error:.0e}")
        worst = max(worst, error)
    return worst


def _results(model: bytes, tensors: list[Any]) -> list[Any]:
    """What onnxruntime makes of a model; onward's runtime, whoever wrote the model, where onnxruntime lacks an operator or a type."""
    import onnxruntime

    import onward

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model, options)
        return session.run(None, dict(zip([item.name for item in session.get_inputs()], tensors, strict=True)))
    except Exception as problem:
        if "NOT_IMPLEMENTED" not in str(problem) and "No corresponding Numpy type" not in str(problem):
            raise
    session = onward.InferenceSession(model)
    return session.run(None, dict(zip([item.name for item in session.get_inputs()], tensors, strict=True)))


def _reason(problem: BaseException) -> str:
    while problem.__cause__ is not None:
        problem = problem.__cause__
    lines = [line.strip() for line in re.sub(r"\x1b\[\d+m", "", str(problem)).splitlines() if line.strip()]
    return f"{type(problem).__name__}: {' '.join(lines)}".replace("|", "/")[:240]


def page(subject: Subject, results: dict[str, dict[str, str]]) -> str:
    """The page of the results, with what did not work in words below the table."""
    works = {way: sum(_works(found[way]) for found in results.values()) for way in WAYS}
    rows = [f"| {name} | " + " | ".join(found[way] if _works(found[way]) else "no" for way in WAYS) + " |" for name, found in results.items()]
    reasons = [f"- {name}, {way}: {found[way]}" for name, found in results.items() for way in WAYS if not _works(found[way])]
    return "\n".join([
        f"# {subject.title}: onward and torch.onnx", "",
        f"{subject.what} (`{subject.cases.replace('.', '/')}.py`), converted by `onward.convert` (which compares with "
        "PyTorch on generated data) and by `torch.onnx.export(dynamo=True)`, with fixed and with open sizes. Errors are the "
        "greatest differences from PyTorch in onnxruntime, relative to the largest number of an output; with open sizes also for more rows and more tokens than in "
        "the example, where PyTorch takes them. Of random numbers only shapes are compared. Models with an operator that onnxruntime "
        "has no implementation of run in onward's runtime, whoever wrote them. A difference of more than 1e-3 (4e-2 for bfloat16) is no result. Written by", "",
        f"    python -m tools.compare_torch_exporters docs/converters/{subject.page}.md", "",
        "| | " + " | ".join(WAYS) + " |", "|---|---|---|---|---|",
        f"| **{len(results)} {subject.many}** | " + " | ".join(f"**{works[way]}**" for way in WAYS) + " |",
        *rows, "", "What did not work, and why:", "", *reasons, "",
    ])  # fmt: skip


def _works(outcome: str) -> bool:
    return re.fullmatch(r"[\d.]+e[+-]\d+", outcome) is not None


if __name__ == "__main__":
    main()
