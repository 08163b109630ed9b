"""Each command does what its help says, and its exit code tells how it went."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from onward.cli import digits

Command = Callable[..., subprocess.CompletedProcess[str]]
PICTURES = np.random.default_rng(5).standard_normal((3, 1, 16, 16)).astype(np.float32)
COMMANDS = (
    "demo", "inspect", "check", "run", "bench", "profile", "optimize", "build", "upgrade", "inline", "extract", "merge",
    "rename", "external", "infer", "diff", "convert",
)  # fmt: skip


def expected_answer() -> np.ndarray:
    """What plain NumPy makes of PICTURES with the network of the fixture."""
    return digits.Network.random(np.random.default_rng(3)).probabilities(PICTURES)


def test_help_names_every_command(command: Command) -> None:
    done = command("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)
    assert "\x1b[" not in done.stdout, "colours belong on a terminal"


def test_demo_is_right(command: Command) -> None:
    done = command("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK: the numbers are right" in done.stdout
    assert "\x1b[" not in done.stdout


def test_inspect_shows_inputs_modules_and_operators(command: Command, model_path: Path) -> None:
    done = command("inspect", model_path)
    assert done.returncode == 0, done.stderr
    for expected in ("pictures", "float32 [batch, 1, 16, 16]", "block.1", "MaxPool", "opset ai.onnx 21"):
        assert expected in done.stdout, expected


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pb"])
def test_run_reads_inputs_and_writes_outputs(command: Command, model_path: Path, tmp_path: Path, suffix: str) -> None:
    feed = tmp_path / f"feed{suffix}"
    if suffix == ".npy":
        np.save(feed, PICTURES)
    elif suffix == ".npz":
        np.savez(feed, pictures=PICTURES)
    else:
        feed.write_bytes(numpy_helper.from_array(PICTURES, "pictures").SerializeToString())
    done = command("run", model_path, "-i", feed, "-o", "out.npz", "-t", 1)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as archive:
        np.testing.assert_allclose(archive["probabilities"], expected_answer(), rtol=1e-4, atol=1e-7)


def test_run_with_random_input_says_what_it_assumed(command: Command, model_path: Path) -> None:
    done = command("run", model_path)
    assert done.returncode == 0 and "batch=1" in done.stderr
    done = command("run", model_path, "--size", "batch=5")
    assert done.returncode == 0 and "[5, 10]" in done.stdout


def test_bench_and_its_peers(command: Command, model_path: Path) -> None:
    done = command("bench", model_path, "--seconds", 0.1, "--threads", 1)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.split()}
    assert "onward" in rows and "onnxruntime" in rows
    assert float(rows["onnxruntime"].split()[-1]) < 1e-5, "both give the same answer"


def test_profile_writes_a_trace(command: Command, model_path: Path, tmp_path: Path) -> None:
    done = command("profile", model_path, "--runs", 2, "--trace", "trace.json")
    assert done.returncode == 0, done.stderr
    assert "GFLOP/s" in done.stdout and "(Conv)" in done.stdout
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert all(event["ph"] == "X" and event["dur"] >= 0 for event in events)
    assert any("Conv" in node for event in events for node in event["args"]["nodes"])


def test_optimize_writes_an_equal_model(command: Command, model_path: Path, tmp_path: Path) -> None:
    done = command("optimize", model_path, "-o", "smaller.onnx")
    assert done.returncode == 0, done.stderr
    onnx.checker.check_model(onnx.load(tmp_path / "smaller.onnx"), full_check=True)
    assert "12 nodes -> 11" in done.stdout and "dropout" in done.stdout
    kept = command("optimize", model_path, "-o", "same.onnx", "--disable", "dropout at inference")
    assert "dropout" not in kept.stdout


def test_build_writes_a_library_and_a_header(command: Command, model_path: Path, tmp_path: Path) -> None:
    done = command("build", model_path, "-o", "built", "--name", "digits")
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.name for path in (tmp_path / "built").iterdir()}
    assert "digits.h" in names and "digits.weights" in names


def test_check_says_what_is_wrong(command: Command, model_path: Path, tmp_path: Path) -> None:
    assert command("check", model_path).returncode == 0
    broken = onnx.load(model_path)
    broken.graph.node[2].op_type = "Convolve"
    onnx.save(broken, tmp_path / "broken.onnx")
    done = command("check", "broken.onnx")
    assert done.returncode == 1 and "Convolve" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "nowhere.onnx"], "nowhere.onnx"),
        (["run", "MODEL", "--size", "batch"], "no size"),
        (["run", "MODEL", "--size", "bach=2"], "known are batch"),
        (["run", "MODEL", "-i", "picture=absent.npy"], "absent.npy"),
        (["optimize", "MODEL", "-o", "x.onnx", "--disable", "magic"], "magic"),
        (["fly"], "fly"),
    ],
)
def test_wrong_use_is_exit_code_2(command: Command, model_path: Path, arguments: list[str], expected: str) -> None:
    done = command(*[str(model_path) if word == "MODEL" else word for word in arguments])
    assert done.returncode == 2, done.stdout
    assert expected in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_feed_is_exit_code_1(command: Command, model_path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "wrong.npy", PICTURES[..., :8])
    done = command("run", model_path, "-i", "pictures=wrong.npy")
    assert done.returncode == 1 and "pictures" in done.stderr and "16" in done.stderr and "Traceback" not in done.stderr


def test_a_damaged_model_is_exit_code_1(command: Command, model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes(model_path.read_bytes()[:1000])
    for name in ("check", "inspect", "run"):
        done = command(name, "cut.onnx")
        assert done.returncode == 1 and "Error" in done.stderr and "Traceback" not in done.stderr


def test_models_are_made_of_models(command: Command, model_path: Path, tmp_path: Path) -> None:
    assert command("upgrade", model_path, "-o", "old.onnx", "--opset", "13").returncode == 0
    assert onnx.load(tmp_path / "old.onnx").opset_import[0].version == 13
    assert command("diff", model_path, model_path).stdout.strip() == "no difference"
    done = command("diff", model_path, "old.onnx")
    assert done.returncode == 1 and "-> 13" in done.stdout
    first = onnx.load(model_path).graph.node[0].output[0]
    assert command("extract", model_path, "-o", "begin.onnx", "--to", first).returncode == 0
    assert command("extract", model_path, "-o", "end.onnx", "--from", first).returncode == 0
    assert command("merge", "begin.onnx", "end.onnx", "-o", "both.onnx").returncode == 0
    onnx.checker.check_model(str(tmp_path / "both.onnx"), full_check=True)
    assert command("external", model_path, "-o", "light.onnx", "--data", "weights.bin").returncode == 0
    assert (tmp_path / "weights.bin").stat().st_size > (tmp_path / "light.onnx").stat().st_size
    assert command("diff", model_path, "light.onnx").returncode == 0
    assert command("rename", model_path, "nothing=x", "-o", "named.onnx").returncode == 2
    assert command("infer", model_path, "-o", "typed.onnx").returncode == 0
    assert command("inline", model_path, "-o", "inlined.onnx").returncode == 0


def test_convert(command: Command, tmp_path: Path) -> None:
    import xgboost

    import onward

    rows = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    xgboost.train({"max_depth": 2}, xgboost.DMatrix(rows, label=rows[:, 0]), 3).save_model(tmp_path / "m.json")
    done = command("convert", str(tmp_path / "m.json"), "-o", str(tmp_path / "m.onnx"))
    assert done.returncode == 0, done.stderr
    (shown,) = [line for line in done.stdout.splitlines() if "prediction" in line]
    assert shown.replace("│", " ").split() == ["prediction", "0", "0", "0"]
    again = command("verify", str(tmp_path / "m.onnx"), str(tmp_path / "m.json"))
    assert again.returncode == 0 and "prediction" in again.stdout, again.stderr
    xgboost.train({"max_depth": 2}, xgboost.DMatrix(rows, label=rows[:, 1]), 3).save_model(tmp_path / "other.json")
    differs = command("verify", str(tmp_path / "m.onnx"), str(tmp_path / "other.json"))
    assert differs.returncode == 1 and "prediction" in differs.stderr
    assert onward.InferenceSession(tmp_path / "m.onnx").run(None, {"x": rows})[0].shape == (50,)
    for wrong, words in ((["check", "m.json"], "XGBoost"), (["inspect", "."], "folder"), (["convert", "m.onnx", "-o", "n.onnx"], "--to")):
        done = command(*wrong)
        assert done.returncode != 0 and words in done.stderr and "Traceback" not in done.stderr
    nowhere = command("convert", str(tmp_path / "m.json"), "-o", str(tmp_path / "nowhere" / "m.onnx"))
    assert nowhere.returncode == 1 and "FileNotFoundError" in nowhere.stderr and "Traceback" not in nowhere.stderr


def test_convert_with_a_table_as_example(command: Command, tmp_path: Path) -> None:
    import joblib
    import pandas
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rows = pandas.DataFrame({"colour": ["red", "blue", "red", "green"] * 5, "width": np.arange(20.0)})
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["colour"]), remainder="passthrough")
    joblib.dump(make_pipeline(columns, LinearRegression()).fit(rows, rows["width"]), tmp_path / "m.joblib")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    refused = command("convert", str(tmp_path / "m.joblib"), "-o", str(tmp_path / "m.onnx"))
    assert refused.returncode == 2 and "--trust" in refused.stderr
    without = command("convert", str(tmp_path / "m.joblib"), "--trust", "-o", str(tmp_path / "m.onnx"))
    assert without.returncode == 2 and "pass example_inputs, some rows of the DataFrame" in without.stderr
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["m.joblib", "rows.csv"]
    options = ("--trust", "-i", str(tmp_path / "rows.csv"))
    for command_line in (("convert", str(tmp_path / "m.joblib"), "-o", str(tmp_path / "m.onnx")), ("verify", str(tmp_path / "m.onnx"))):
        done = command(*command_line, *options)
        assert done.returncode == 0 and "prediction" in done.stdout, done.stderr
    assert command("diff", str(tmp_path / "m.onnx"), str(tmp_path / "m.joblib"), *options).stdout.strip() == "no difference"


def test_convert_again_by_the_certificate_alone(command: Command, tmp_path: Path) -> None:
    import xgboost

    rows = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    booster = xgboost.train({"max_depth": 2}, xgboost.DMatrix(rows, label=rows[:, 0]), 3)
    booster.save_model(tmp_path / "m.json")
    assert command("convert", str(tmp_path / "m.json"), "-o", str(tmp_path / "m.onnx"), "--from", "xgboost").returncode == 0
    assert command("verify", str(tmp_path / "m.onnx")).returncode == 0
    xgboost.train({"max_depth": 2}, xgboost.DMatrix(rows, label=rows[:, 1]), 3).save_model(tmp_path / "m.json")
    changed = command("verify", str(tmp_path / "m.onnx"))
    assert changed.returncode == 1 and "has changed since" in changed.stderr
    (tmp_path / "m.json").unlink()
    assert "not there any more" in command("verify", str(tmp_path / "m.onnx")).stderr


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exported(tmp_path_factory.mktemp("exported") / "m.pt2", "float32")


def write_exported(path: Path, dtype: str) -> Path:
    """A file of torch.export: two layers with a gelu and a softmax."""
    import torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 3), torch.nn.Softmax(-1)).eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    example = torch.randn(2, 4, dtype=getattr(torch, dtype))
    torch.export.save(torch.export.export(module.to(example.dtype), (example,), dynamic_shapes=({0: batch},)), path)
    return path


def test_convert_keeps_the_sizes_that_are_named(command: Command, exported: Path, tmp_path: Path) -> None:
    import onward

    for options, shape in [((), ("batch", 4)), (("--dynamic", "batch"), ("batch", 4)), (("--dynamic", ""), (2, 4))]:
        done = command("convert", str(exported), "-o", str(tmp_path / "m.onnx"), *options)
        assert done.returncode == 0, done.stderr
        found = onward.load(tmp_path / "m.onnx").graph.inputs[0].type.shape
        assert tuple(str(extent) for extent in found) == tuple(map(str, shape))
    wrong = command("convert", str(exported), "-o", str(tmp_path / "m.onnx"), "--dynamic", "width")
    assert wrong.returncode == 2 and "no size is called ['width']; open are ['batch']" in wrong.stderr


def test_diff_finds_the_first_operator_that_differs(command: Command, exported: Path, tmp_path: Path) -> None:
    import onward

    good, bad = tmp_path / "good.onnx", tmp_path / "bad.onnx"
    assert command("convert", str(exported), "-o", str(good)).returncode == 0
    assert command("diff", str(good), str(exported)).stdout.strip() == "no difference"
    model = onward.load(good)
    (gelu,) = (node for node in model.graph.nodes if node.op_type == "Gelu")
    gelu.op_type = "Erf"
    gelu.attributes.clear()
    onward.save(model, bad)
    for other, options in [(exported, ()), (good, ("--values",))]:
        done = command("diff", str(bad), str(other), *options)
        assert done.returncode == 1
        assert "computed by Erf" in done.stdout and "in module '1'" in done.stdout and "this model: float32 [" in done.stdout
    told = command("verify", str(bad), str(exported))
    assert told.returncode == 1 and "output 'output' differs" in told.stderr and "computed by Erf" in told.stderr


def test_a_wrong_result_is_written_only_when_forced(command: Command, tmp_path: Path) -> None:
    from onward.converters import Certificate
    from onward.ir import load

    # In double precision the source is its own judge: what differs from it in the last bit is beyond such a tolerance.
    exported, place = write_exported(tmp_path / "m.pt2", "float64"), tmp_path / "m.onnx"
    strict = ("convert", str(exported), "-o", str(place), "--tolerance", "1e-20")
    refused = command(*strict)
    assert refused.returncode == 1 and "allowed is 1e-20" in refused.stderr
    assert not place.exists()
    forced = command(*strict, "--force")
    assert forced.returncode == 1 and "was written all the same" in forced.stderr
    certificate = Certificate.of(load(place))
    assert certificate is not None and len(certificate.failures) == 1 and certificate.source["path"] == str(exported)
