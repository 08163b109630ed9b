"""The node tests of the onnx package, run through a target."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper
from onnx.backend.test.loader import load_model_tests

from onward.converters.targets import storage_of
from onward.converters.targets.printing.storage import SMALL, restored
from onward.ir import as_model
from onward.ir.datatypes import DataType
from onward.operators.arguments import NotConstant

TOLERANCES = {"float16": 2e-3, "bfloat16": 2e-2}
"""The expected values are rounded to these types after other steps than ours."""


Call = Callable[[Any, Sequence[Any]], Any]
"""Gives a tuple for several outputs, else the only one, which may be a list: a sequence."""


def plainly(function: Any, inputs: Sequence[Any]) -> Any:
    return function(*inputs)


def failures(page: Any, excluded: Mapping[str, str], call: Call = plainly, every: int = 1, named: str = "") -> tuple[list[str], int, int]:
    """(what failed and why, beyond the exclusions; how many passed, the number of node tests); of `every` so many tests one is run, and
    only those in whose names the pattern `named` is found."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [case for case in load_model_tests(kind="node") if re.search(named, case.name)][::every]
        failed, passed = [], 0
        for case in cases:
            if any(re.fullmatch(pattern, case.name) for pattern in excluded):
                continue
            try:
                _run(page, case, call)
                passed += 1
            except Exception as problem:  # each is reported
                failed.append(f"{case.name}: {type(problem).__name__}: {str(problem)[:200]}")
    return failed, passed, len(cases)


def _run(page: Any, case: Any, call: Call) -> None:
    model = as_model(case.model)
    for inputs, outputs in case.data_sets:
        feeds = dict(zip([value.name for value in model.graph.inputs], map(_array, inputs)))
        constants = {name: value for name, value in feeds.items() if value is None or isinstance(value, list)}
        function = _converted(page, model, feeds, constants)
        results = call(function, [value for name, value in feeds.items() if name not in constants])
        results = results if isinstance(results, tuple) else (results,)
        for ours, theirs in zip(results, outputs, strict=True):
            compare(ours, _array(theirs), case, storage_of(page))


def _converted(page: Any, model: Any, feeds: Mapping[str, Any], constants: dict[str, Any]) -> Any:
    """The function; inputs that give a result its rank are constants."""
    while True:
        try:
            return page.convert(model, constants)
        except NotConstant as needed:
            missing = [name for name in needed.inputs if name not in constants]
            if not missing:
                raise
            constants.update({name: feeds[name] for name in missing})


def _array(item: Any) -> Any:
    if isinstance(item, TensorProto):
        return numpy_helper.to_array(item)
    return [_array(part) for part in item] if isinstance(item, list) else None if item is None else np.asarray(item)


def compare(ours: Any, theirs: Any, case: Any, types: Mapping[DataType, DataType] = SMALL) -> None:
    """Asserts that a result is the expected one, with the tolerances of its test; elements of `types` may be kept in others."""
    if isinstance(theirs, list):
        for one, other in zip(ours, theirs, strict=True):
            compare(one, other, case, types)
        return
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape
    if theirs.dtype.kind in "OUS":
        np.testing.assert_array_equal(ours.astype(str), theirs.astype(str))
        return
    ours = restored(ours, DataType.of(theirs.dtype), types)
    assert ours.dtype == theirs.dtype
    wide = np.complex128 if theirs.dtype.kind == "c" else np.float64
    tolerance = TOLERANCES.get(theirs.dtype.name, case.rtol)
    np.testing.assert_allclose(ours.astype(wide), theirs.astype(wide), rtol=tolerance, atol=max(case.atol, 1e-7))
