"""Compiles tensor programs and compares them with the NumPy evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from onward import program as P
from onward.compiler.artifact import Artifact, CompileOptions
from onward.compiler.driver import compile_program
from onward.compiler.schedule.matrix import MatrixSchedule
from onward.compiler.targets import Target
from onward.operators.lowering import Program
from onward.runtime.executable import Executable

TARGETS = ["host", "avx2", "generic"]
"""The processor at hand and what every x86 machine of the last ten years has; elsewhere all are the baseline."""


def only_with(feature: str) -> pytest.MarkDecorator:
    """Skips a test where the processor lacks a feature, by LLVM's name."""
    return pytest.mark.skipif(f"+{feature}" not in Target.parse("host").features.split(","), reason=f"no {feature} here")


def compile_arrays(inputs: Sequence[P.Input], outputs: Mapping[str, P.Array], target: str) -> Artifact:
    """The program of these arrays, compiled."""
    return compile_program(Program("test", tuple(inputs), dict(outputs), {}), CompileOptions(target=target))


def compare(
    inputs: Sequence[P.Input], outputs: Mapping[str, P.Array], feeds: Mapping[str, np.ndarray], target: str,
    tolerance: float = 1e-6, threads: int = 2,
) -> Artifact:  # fmt: skip
    """Runs compiled code and the evaluator; results must have the same shape, dtype and, nearly, numbers."""
    artifact = compile_arrays(inputs, outputs, target)
    got = Executable(artifact, threads=threads).run([np.ascontiguousarray(feeds[item.label]) for item in inputs])
    want = P.evaluate(list(outputs.values()), {item: feeds[item.label] for item in inputs})
    for name, ours, reference in zip(outputs, got, want):
        assert ours.shape == reference.shape, name
        assert ours.dtype == reference.dtype, name
        if ours.dtype.kind in "biu":
            np.testing.assert_array_equal(ours, reference, err_msg=name)
        else:
            scale = float(np.nanmax(np.abs(reference.astype(np.float64)), initial=1e-30))
            np.testing.assert_allclose(ours.astype(np.float64), reference.astype(np.float64), rtol=0, atol=tolerance * max(scale, 1e-30), err_msg=name)
    return artifact


def text_of_contraction(make: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> str:
    """The LLVM text of the only contraction that is compiled meanwhile."""
    found: list[str] = []
    original = MatrixSchedule.kernel

    def keep(self: MatrixSchedule) -> object:
        kernel = original(self)
        found.append(kernel.text)
        return kernel

    with monkeypatch.context() as patch:
        patch.setattr(MatrixSchedule, "kernel", keep)
        make()
    (text,) = found
    return text
