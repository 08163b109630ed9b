"""What an estimator of scikit-learn was, in the metadata of its model: class and parameters, so that it can come back as the same.

The numbers of the model are in its graph alone; without this note another estimator comes back, with the same predictions.
"""

from __future__ import annotations

import json
from typing import Any

from onward.ir import Model

ESTIMATOR = "onward.estimator"
"""The key of the metadata: JSON of a class, its parameters, and for a pipeline of its steps."""


def note_estimator(model: Model, source: Any) -> None:
    """Notes the class and the parameters of an estimator of the library itself."""
    found = _described(source)
    if found is not None:
        model.metadata[ESTIMATOR] = json.dumps(found)


def noted_estimator(model: Model) -> dict[str, Any]:
    """What was noted: `class`, `parameters` and `steps`, a list of (name, the same of the step). All may be missing: a file says what it likes."""
    try:
        found = json.loads(model.metadata.get(ESTIMATOR, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _described(source: Any) -> dict[str, Any] | None:
    if not type(source).__module__.startswith("sklearn."):
        return None
    if hasattr(source, "steps"):
        steps = [(name, _described(step)) for name, step in source.steps]
        return {"class": type(source).__name__, "steps": [(name, step or {}) for name, step in steps]}
    parameters = {name: value for name, value in source.get_params(deep=False).items() if _is_simple(value)}
    return {"class": type(source).__name__, "parameters": parameters}


def _is_simple(value: Any) -> bool:
    """Whether JSON gives a parameter back as it was."""
    if isinstance(value, (tuple, list)):
        return all(_is_simple(item) for item in value)
    return value is None or type(value) in (bool, int, float, str) and value == value
