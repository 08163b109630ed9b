"""Model files of boosting libraries, converted where the library is not installed, compute what the library computes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onward
from onward.converters.ubjson import decode
from onward.converters.xgboost import Document
from onward.errors import FormatError

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.standard_normal((200, 4)).astype(np.float32)
ROWS[RANDOM.random(ROWS.shape) < 0.1] = np.nan
SUM = np.nansum(ROWS, 1)


def converted_without(library: str, path: Path) -> Path:
    """Converts a file in a process that cannot import the library; gives the model's file."""
    result = path.with_suffix(".onnx")
    code = (
        f"import sys; sys.modules['{library}'] = None\n"
        "import onward\nfrom onward.converters import Certificate\n"
        f"model = onward.convert(r'{path}')\n"
        f"assert any('could not be run' in note for note in Certificate.of(model).notes); onward.save(model, r'{result}')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return result


@pytest.mark.parametrize("ending", ["json", "ubj"])
@pytest.mark.parametrize(
    "options", [{}, {"booster": "dart", "rate_drop": 0.3}, {"booster": "gblinear"}, {"objective": "multi:softprob", "num_class": 3}], ids=str
)
def test_xgboost(tmp_path: Path, options: dict[str, Any], ending: str) -> None:
    xgboost = pytest.importorskip("xgboost")
    labels = np.digitize(SUM, [-1, 1]) if "num_class" in options else SUM
    booster = xgboost.train({"max_depth": 3, **options}, xgboost.DMatrix(ROWS, label=labels), 5)
    booster.save_model(tmp_path / f"m.{ending}")
    rows = ROWS if options.get("booster") != "gblinear" else np.nan_to_num(ROWS)
    (ours,) = onward.InferenceSession(converted_without("xgboost", tmp_path / f"m.{ending}")).run(None, {"x": rows})
    theirs = booster.predict(xgboost.DMatrix(rows))
    if options.get("booster") == "gblinear":  # the library's products are rounded on some processors, on others not
        assert np.abs(ours - theirs).max() <= 1e-6 * np.abs(theirs).max()
    else:
        assert np.array_equal(ours, theirs)


def test_lightgbm(tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    booster = lightgbm.train({"verbose": -1, "num_leaves": 7}, lightgbm.Dataset(ROWS, label=SUM), 5)
    booster.save_model(tmp_path / "m.txt")
    (ours,) = onward.InferenceSession(converted_without("lightgbm", tmp_path / "m.txt")).run(None, {"x": ROWS.astype(np.float64)})
    assert np.array_equal(ours, booster.predict(ROWS))


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of XGBoost in UBJSON."""
    xgboost = pytest.importorskip("xgboost")
    path = tmp_path_factory.mktemp("binary") / "m.ubj"
    xgboost.train({"max_depth": 2}, xgboost.DMatrix(ROWS, label=SUM), 2).save_model(path)
    return path.read_bytes()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_spoilt_files_are_refused(binary: bytes, data: st.DataObject) -> None:
    spoilt = bytearray(binary)
    if data.draw(st.booleans()):
        del spoilt[data.draw(st.integers(0, len(spoilt) - 1)) :]
    for _ in range(data.draw(st.integers(0, 4))):
        if spoilt:
            spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(spoilt))
    except FormatError:
        pass


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"[i\x01i\x02]", [1, 2]), (b"[$U#i\x03\x01\x02\xff", [1, 2, 255]), (b"[#i\x02TZ", [True, None]), (b"{i\x01aSi\x02hi}", {"a": "hi"}),
        (b"{#i\x01i\x01ad\x3f\x80\x00\x00", {"a": 1.0}), (b"NNF", False), (b"[[]{}]", [[], {}]), (b"L\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
    ],
)  # fmt: skip
def test_ubjson(data: bytes, value: Any) -> None:
    assert decode(data) == value


@pytest.mark.parametrize(
    "data", [b"", b"[", b"[#i\xff", b"{i\x01", b"?", b"[" * 1000, b"i\x01i", b"[$i", b"Sd\x00\x00\x00\x00", b"[#L\x7f\xff\xff\xff\xff\xff\xff\xffZ"]
)
def test_what_is_no_ubjson(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode(data)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"learner": 3}', '{"learner": {"learner_model_param": {}}}', "[" * 10000])
def test_what_is_no_model(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(FormatError, match="no model of XGBoost"):
        Document.read(path)
