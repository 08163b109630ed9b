"""The command in a process of its own, and a small model for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import onward
from onward.cli import digits

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs `onward` in a fresh folder with a cache of its own."""
    environment = {**os.environ, "ONWARD_CACHE": str(tmp_path / "cache"), "NO_COLOR": "", "PYTHONIOENCODING": "utf-8"}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "onward.cli", *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path, env=environment, timeout=300)

    return run


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network of the demonstration, untrained."""
    path = tmp_path_factory.mktemp("model") / "digits.onnx"
    onward.save(digits.as_onnx(digits.Network.random(np.random.default_rng(3))), path)
    return path
