"""Elementary functions: their error in units of the last place, against extended precision."""

from __future__ import annotations

import math

import numpy as np
import pytest

from onward import program as P
from onward.ir.datatypes import DataType
from onward.runtime.executable import Executable
from tests.compiler.native import compile_arrays

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, -0.5, 1e-38, -1e-40, 88.7, -88, -103, 3e38, 1e-45, 0.7071]
REFERENCES = {
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "expm1": np.expm1, "log1p": np.log1p,
    "erf": lambda x: np.array([math.erf(float(v)) for v in x]).astype(np.longdouble),
}  # fmt: skip
PERIODIC = ("sin", "cos", "tan")


def samples(name: str, kind: type) -> np.ndarray:
    g = np.random.default_rng(0)
    if name in ("asin", "acos", "atanh"):
        numbers = g.uniform(-1, 1, 9000)
    elif name == "acosh":
        numbers = np.concatenate([1 + abs(g.standard_normal(5000)), 1 + abs(g.standard_normal(900)) * 1e5])
    else:
        numbers = np.concatenate([g.standard_normal(3000) * scale for scale in (0.01, 1, 10, 80)])
    # The reduction of angles is exact enough up to 2^30.
    special = [number for number in SPECIAL if name not in PERIODIC or not 1e9 < abs(number) < np.inf]
    return np.concatenate([numbers, special]).astype(kind)


@pytest.mark.parametrize("target", ["host", "generic"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", REFERENCES)
def test_error_in_units_of_the_last_place(name: str, kind: type, target: str) -> None:
    x = samples(name, kind)
    source = P.Input(x.shape, DataType.of(np.dtype(kind)), "x")
    artifact = compile_arrays([source], {"y": getattr(P, name)(source)}, target)
    (got,) = Executable(artifact, threads=1).run([x])
    with np.errstate(all="ignore"):
        want = REFERENCES[name](x.astype(np.longdouble))
        unit = np.spacing(np.abs(want.astype(kind))).astype(np.float64)
        error = np.abs(got.astype(np.longdouble) - want) / unit
        error[(np.isnan(got) & np.isnan(want)) | (got == want.astype(kind))] = 0
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    # Without fused multiply-adds each step of a polynomial rounds twice.
    limit = 4 if target == "host" else 6
    assert error[worst] <= limit, f"{name}({x[worst]!r}) = {got[worst]!r}, should be {want[worst]!r}"


@pytest.mark.parametrize("kind, limit", [(np.float32, 1.0), (np.float64, 64.0)])
def test_power(kind: type, limit: float) -> None:
    g = np.random.default_rng(0)
    base = np.concatenate([abs(g.standard_normal(3000)) * 3, g.standard_normal(500), [0, -0.0, 1, -1, -1, 2, np.inf, -np.inf, 0]])
    exponent = np.concatenate([g.standard_normal(3000) * 4, g.integers(-5, 6, 500), [0, -3, np.nan, np.inf, 3, 0.5, -1, 3, 2]])
    x, y = base.astype(kind), exponent.astype(kind)
    inputs = [P.Input(x.shape, DataType.of(np.dtype(kind)), name) for name in ("x", "y")]
    (got,) = Executable(compile_arrays(inputs, {"z": P.power(*inputs)}, "host")).run([x, y])
    with np.errstate(all="ignore"):
        want = np.power(x.astype(np.longdouble), y.astype(np.longdouble))
        error = np.abs(got.astype(np.longdouble) - want) / np.spacing(np.abs(want.astype(kind))).astype(np.float64)
        error[(np.isnan(got) & np.isnan(want)) | (got == want.astype(kind))] = 0
    assert np.max(error) <= limit
