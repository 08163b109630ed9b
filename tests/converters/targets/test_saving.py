"""Native files and folders take the place of old ones whole, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onward.converters import targets


class Page:
    """A target that writes a folder and a file beside it."""

    def save(self, subject: Any, path: Path, constants: Any) -> None:
        path.mkdir()
        (path / "graph").write_text(subject)
        path.with_suffix(".txt").write_text(subject)


def test_what_was_there_stays_when_something_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "model"
    targets._save(Page(), "old", place, {})  # type: ignore[arg-type]
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", _refuse)
        with pytest.raises(OSError, match="no more room"):
            targets._save(Page(), "new", place, {})  # type: ignore[arg-type]
    assert (place / "graph").read_text() == "old"
    targets._save(Page(), "new", place, {})  # type: ignore[arg-type]
    assert (place / "graph").read_text() == (tmp_path / "model.txt").read_text() == "new"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["model", "model.txt"]


def _refuse(self: Path, target: Path) -> Path:
    raise OSError("no more room")
