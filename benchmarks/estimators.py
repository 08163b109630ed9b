"""All estimators of scikit-learn: which methods Onward and skl2onnx convert, and which results are right.

Each estimator is fitted as the tests do it (`tests/converters/sklearn/test_estimators.py`), and each of its methods for new rows is converted by both. A
result is right where labels are equal and numbers agree on the rows of the fit: with Onward's converter on Onward's runtime, with skl2onnx on onnxruntime.
Onward keeps double precision; skl2onnx is asked for it, and gets single precision where it fails with double. Without skl2onnx installed its column is empty.

With `--single` all are fitted on data in single precision and run on such rows and on the same in double precision; data types of the results are compared,
too, and skl2onnx is not asked.

    python benchmarks/estimators.py [--json FILE] [--single] [NAME ...]
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

TOLERANCES = {"double": 1e-6, "single": 1e-3, "rows in single precision": 1e-5}
PRECISIONS = {"single": np.float32, "double": np.float64}
OPSETS = {"": 18, "ai.onnx.ml": 3}
"""What skl2onnx is asked for: it makes some trees for no later version of ai.onnx.ml."""


def main(
    names: Annotated[list[str] | None, typer.Argument(help="estimators; all without names")] = None,
    file: Annotated[Path | None, typer.Option("--json", help="where the results are written")] = None,
    single: Annotated[bool, typer.Option("--single", help="fits in single precision")] = False,
) -> None:
    """Prints a line for each method that one of the two gets wrong or refuses, and the counts."""
    from sklearn.utils import all_estimators
    from tests.converters.sklearn.test_estimators import METHODS, WITHOUT, fitted

    warnings.simplefilter("ignore")
    results: dict[str, dict[str, str]] = {}
    for name, kind in all_estimators():
        if name in WITHOUT or names and name not in names:
            continue
        estimator, rows = fitted(kind, np.float32 if single else np.float64)
        for method in METHODS:
            if callable(getattr(estimator, method, None)):
                if single:
                    results[f"{name}.{method}"] = {what: typed(estimator, method, rows, kind) for what, kind in PRECISIONS.items()}
                else:
                    results[f"{name}.{method}"] = {"Onward": ours(estimator, method, rows), "skl2onnx": theirs(estimator, method, rows)}
                if file is not None:
                    file.write_text(json.dumps(results, indent=1))
    shown(results)


def shown(results: dict[str, dict[str, str]]) -> None:
    """The table of what is not right, and the counts of methods and of estimators of which all methods are right."""
    sides = list(next(iter(results.values()), {}))
    table = Table("method", *sides, title="Not right")
    for name, found in results.items():
        if set(found.values()) != {"right"}:
            table.add_row(name, *found.values())
    console = Console()
    console.print(table)
    for side in sides:
        counts = {what: sum(found[side].startswith(what) for found in results.values()) for what in ("right", "wrong", "refused")}
        kinds = {name.partition(".")[0] for name in results}
        whole = sum(all(found[side] == "right" for name, found in results.items() if name.partition(".")[0] == kind) for kind in kinds)
        console.print(f"{side}: of {len(results)} methods {counts}; of {len(kinds)} estimators {whole} with all methods")


def ours(estimator: Any, method: str, rows: Any) -> str:
    """What becomes of a method with Onward: right, wrong, or refused with the reason."""
    import onward

    try:
        model = onward.convert(estimator, rows, methods=[method], verify=False)
        session = onward.InferenceSession(model)
        return judged(estimator, method, rows, session.run(None, feeds(session, rows)), TOLERANCES["double"])
    except Exception as problem:
        return f"refused: {type(problem).__name__} {str(problem)[:60]}"


def typed(estimator: Any, method: str, rows: Any, kind: Any) -> str:
    """The same for rows of a data type, with that of the results compared; what the estimator itself refuses is nobody's."""
    import onward

    rows = rows.astype(kind) if isinstance(rows, np.ndarray) and rows.dtype.kind == "f" else rows
    try:
        expected = getattr(estimator, method)(rows)
    except Exception:
        return "right"
    try:
        session = onward.InferenceSession(onward.convert(estimator, rows, methods=[method], verify=False))
        found = session.run(None, feeds(session, rows))
    except Exception as problem:
        return f"refused: {type(problem).__name__} {str(problem)[:60]}"
    for left, right in zip(found, expected if isinstance(expected, list) else [expected]):
        if right.dtype.kind == "f" and left.dtype != right.dtype:
            return f"wrong: {left.dtype} instead of {right.dtype}"
    return judged(estimator, method, rows, found, TOLERANCES["rows in single precision"])


def theirs(estimator: Any, method: str, rows: Any) -> str:
    """The same with skl2onnx and onnxruntime, first in double precision and then in single."""
    try:
        import skl2onnx  # noqa: F401
    except ImportError:
        return "not installed"
    found = "refused"
    for precision, kind in (("double", np.float64), ("single", np.float32)):
        if precision == "single" and not (isinstance(rows, np.ndarray) and rows.dtype.kind == "f"):
            break
        given = rows.astype(kind) if isinstance(rows, np.ndarray) and rows.dtype.kind == "f" else rows
        try:
            found = by_skl2onnx(estimator, method, given, precision)
        except Exception as problem:
            found = f"refused: {type(problem).__name__} {str(problem).splitlines()[0][:60] if str(problem) else ''}"
        if found == "right":
            break
    return found


def by_skl2onnx(estimator: Any, method: str, rows: Any, precision: str) -> str:
    import onnx
    import onnxruntime
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DictionaryType, DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

    options: dict[str, Any] = {"zipmap": False} if hasattr(estimator, "classes_") and hasattr(estimator, "predict") else {}
    if method == "decision_function":
        options["raw_scores"] = True
    if method == "score_samples":
        options["score_samples"] = True
    if isinstance(rows, list):
        kind: Any = DictionaryType(StringTensorType([1]), FloatTensorType([1]))
    else:
        of = {"i": Int64TensorType, "O": StringTensorType}.get(rows.dtype.kind, DoubleTensorType if precision == "double" else FloatTensorType)
        kind = of([None, *rows.shape[1:]] if rows.ndim > 1 else [None])
    model = None
    for chosen in (options, {key: item for key, item in options.items() if key == "zipmap"}, {}):
        try:
            model = convert_sklearn(estimator, initial_types=[("x", kind)], options={id(estimator): chosen} if chosen else None, target_opset=OPSETS)
            break
        except (NameError, ValueError) as problem:  # an option that the converter does not know
            if "option" not in str(problem).lower() or not chosen:
                raise
    assert model is not None
    for node in model.graph.node:
        if node.op_type == "StringNormalizer":  # the usual locale need not be installed
            node.attribute.append(onnx.helper.make_attribute("locale", "C.UTF-8"))
    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    tolerance = TOLERANCES[precision]
    expected = getattr(estimator, method)(rows)
    verdicts = []
    for output in session.get_outputs():
        if isinstance(rows, list):  # a map of ONNX is one row
            found = np.concatenate([np.asarray(session.run([output.name], {"x": row})[0]).reshape(1, -1) for row in rows])
        else:
            found = session.run([output.name], {"x": rows})[0]
        if not same_kind(found, expected):
            continue
        verdicts.append(judged(estimator, method, rows, [found], tolerance))
    return "right" if "right" in verdicts else verdicts[0] if verdicts else "refused: no output for it"


def same_kind(found: Any, expected: Any) -> bool:
    """Whether an output may be the one of the method."""
    if isinstance(expected, list):
        return isinstance(found, (list, np.ndarray))
    expected = np.asarray(expected.toarray() if hasattr(expected, "toarray") else expected)
    return isinstance(found, np.ndarray) and found.size == expected.size


def feeds(session: Any, rows: Any) -> dict[str, Any]:
    """The rows as the inputs take them: a list of dictionaries has an input for each key."""
    if not isinstance(rows, list):
        return {session.get_inputs()[0].name: rows}
    made = {}
    for item in session.get_inputs():
        text = "string" in item.type
        made[item.name] = np.array([[row.get(item.name, "" if text else 0.0)] for row in rows], object if text else np.float64)
    return made


def judged(estimator: Any, method: str, rows: Any, found: list[Any], tolerance: float) -> str:
    """Whether outputs are the results of the method, whatever their shapes."""
    expected = getattr(estimator, method)(rows)
    wanted = expected if isinstance(expected, list) else [expected]
    found = list(found[0]) if len(found) == 1 and len(wanted) > 1 else found
    if len(found) != len(wanted):
        return "wrong: other outputs"
    for left, right in zip(found, wanted):
        right = np.asarray(right.toarray() if hasattr(right, "toarray") else right).reshape(-1)
        left = np.asarray(left).reshape(-1)
        if left.shape != right.shape:
            return "wrong: another shape"
        if right.dtype.kind in "OUS" or left.dtype.kind in "OUS" or method == "predict" and right.dtype.kind in "iub":
            if not np.array_equal(left.astype(str), right.astype(str)) and not (right.dtype.kind in "iub" and np.array_equal(left, right)):
                return "wrong: other labels"
            continue
        scale = max(1.0, float(np.nanmax(np.abs(np.where(np.isfinite(right), right, 0.0))))) if right.size else 1.0
        if not np.allclose(left.astype(np.float64), right.astype(np.float64), rtol=tolerance, atol=tolerance * scale, equal_nan=True):
            return f"wrong by {np.nanmax(np.abs(left.astype(np.float64) - right.astype(np.float64))):.2g}"
    return "right"


if __name__ == "__main__":
    typer.run(main)
