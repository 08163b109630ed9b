"""The real models, exported once into build/models (or $ONWARD_TEST_MODELS) by tools/export_models.py."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """The folder with every exported model and its references."""
    folder = Path(os.environ.get("ONWARD_TEST_MODELS") or ROOT / "build" / "models")
    tool = ROOT / "tools" / "export_models.py"
    done = subprocess.run([sys.executable, tool, "--output", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compiles anew, and gives the memory of half a gigabyte of weights back after each test."""
    monkeypatch.setenv("ONWARD_CACHE", "off")
    yield
    gc.collect()
