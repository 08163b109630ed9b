"""From every framework to every framework: each cell passes, or stands here with the reason why it cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from onward.cli import converting  # noqa: F401 (it registers its commands)
from onward.cli.commands import app
from onward.converters import matrix as page
from onward.converters.matrix import FRAMEWORKS, Cell
from onward.converters.samples import SAMPLES

NOT_EXPRESSIBLE = {
    ("PyTorch: a perceptron", "xgboost"): "no trees",
    ("TensorFlow: a perceptron", "xgboost"): "no trees",
    ("Keras: a perceptron", "xgboost"): "no trees",
    ("scikit-learn: scaler and logistic regression", "xgboost"): "no trees",
}
"""By sample and target, what the reason says: XGBoost has sums of trees, and no networks."""

TOLERANCE = 2e-5

CELLS = """
import dataclasses, json
from onward.converters.matrix import matrix
print(json.dumps([dataclasses.asdict(cell) for cell in matrix()]))
"""


@pytest.mark.models
def test_every_cell_passes_or_cannot_be() -> None:
    for name in FRAMEWORKS:
        pytest.importorskip(name)
    # Keras computes products of double precision in single precision on all its backends but this one, which a process chooses once.
    done = subprocess.run([sys.executable, "-c", CELLS], capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"}, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    cells = [Cell(**cell) for cell in json.loads(done.stdout.splitlines()[-1])]
    assert len(cells) == len(SAMPLES) * len(FRAMEWORKS)
    for cell in cells:
        where = f"{cell.source} to {cell.target}: {cell.reason}"
        assert not cell.wrong, where
        if (cell.source, cell.target) in NOT_EXPRESSIBLE:
            assert cell.error is None and NOT_EXPRESSIBLE[cell.source, cell.target] in cell.reason, where
        else:
            assert cell.error is not None and cell.error < TOLERANCE, where


def test_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers and reasons; a wrong cell is the exit code."""
    cells = [Cell("a", target, 1e-7) for target in FRAMEWORKS]
    cells[1] = Cell("a", "tensorflow", None, "there is none")
    monkeypatch.setattr(page, "matrix", lambda progress=None: cells)
    result = CliRunner().invoke(app, ["matrix"])
    assert result.exit_code == 0 and "1.0e-07" in result.output and "(1) there is none" in result.output
    cells[2] = Cell("a", "keras", None, "it differs", wrong=True)
    assert CliRunner().invoke(app, ["matrix"]).exit_code == 1


def test_a_framework_that_is_missing_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError("No module named 'torch'")

    monkeypatch.setattr(page, "SAMPLES", (page.Sample("torch", "PyTorch", missing),))  # type: ignore[arg-type]
    assert {cell.reason for cell in page.matrix()} == {"No module named 'torch'"}
