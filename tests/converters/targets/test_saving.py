"""Native files and folders take the place of old ones whole, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from onward.converters.targets.placing import placed, require_place
from onward.errors import InvalidArgument


def write(place: Path, text: str, native: bool) -> None:
    """A folder, and a file beside it where that is a target's own."""
    with placed(place, native) as path:
        path.mkdir()
        (path / "graph").write_text(text)
        if native:
            path.with_suffix(".txt").write_text(text)


@pytest.mark.parametrize("native", [True, False])
def test_what_was_there_stays_when_something_fails(native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "deep" / "model" if not native else tmp_path / "model"
    write(place, "old", native)
    (place / "notes").write_text("mine")
    for part, method in ((os.strerror(errno.ENOSPC), "replace"), ("nothing was written", "write_text")):
        with monkeypatch.context() as patched:
            patched.setattr(Path, method, _refuse)
            with pytest.raises(OSError, match=part) as raised:
                write(place, "new", native)
            assert str(place) in str(raised.value)
    assert (place / "graph").read_text() == "old"
    write(place, "new", native)
    assert (place / "graph").read_text() == "new"
    assert (place / "notes").exists() is not native, "a folder of source keeps what else is in it"
    names = ["model", "model.txt"] if native else ["model"]
    assert sorted(item.name for item in place.parent.iterdir()) == names


def test_a_folder_that_could_not_be_filled_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", _refuse)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        write(tmp_path / "some" / "where", "new", native=False)
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_for_the_weights(tmp_path: Path) -> None:
    """PyTorch and h5py would end the process."""
    with pytest.raises(OSError, match="nothing was written") as raised, placed(tmp_path / "m.pt2", True, 1 << 62):
        pytest.fail("it was written to")
    assert raised.value.errno == errno.ENOSPC and not list(tmp_path.iterdir())


def test_a_file_where_a_folder_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "inner"):
        with pytest.raises(InvalidArgument, match="is a file, and a folder is written"):
            require_place(path, native=False)
    with pytest.raises(InvalidArgument, match="there is no folder"):
        require_place(tmp_path / "nowhere" / "m.keras", native=True)
    require_place(tmp_path / "some" / "where", native=False)


def _refuse(self: Path, *_: object, **__: object) -> Path:
    raise OSError(errno.ENOSPC, "no more room")
