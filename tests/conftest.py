"""What holds for the whole run of the tests."""

from __future__ import annotations

import gc

import pytest


def pytest_sessionstart() -> None:
    """Imports of the frameworks make a million objects that stay; the collector need not look through them again and again."""
    gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """From here on, it looks only at what tests make."""
    gc.collect()
    gc.freeze()
    gc.enable()
