"""The onnxruntime interface: the same program against both packages."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest

import onward.ort
from tests.shapes import draw, to_model, train

MODEL = to_model(train())
MODEL.model_version = 3


@pytest.fixture(params=[onnxruntime, onward.ort], ids=["onnxruntime", "onward.ort"])
def ort(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ort") / "shapes.onnx"
    path.write_bytes(MODEL.to_bytes())
    return path


@pytest.fixture
def session(ort: ModuleType, path: Path) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])


IMAGES = draw(5, 1)[0]


def test_what_a_session_says_of_itself(session: Any) -> None:
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(float)", ["batch", 1, 12, 12])
    (output,) = session.get_outputs()
    assert (output.type, output.shape) == ("tensor(float)", ["batch", 4])
    assert session.get_overridable_initializers() == []
    meta = session.get_modelmeta()
    assert (meta.producer_name, meta.graph_name, meta.version, meta.custom_metadata_map) == ("onward", "shapes", 3, {})
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert "CPUExecutionProvider" in session.get_provider_options()


def test_run(session: Any, path: Path) -> None:
    name = session.get_outputs()[0].name
    reference = onnxruntime.InferenceSession(str(path)).run(None, {"image": IMAGES})[0]
    for names in (None, [], [name]):
        results = session.run(names, {"image": IMAGES})
        assert isinstance(results, list) and len(results) == 1
        np.testing.assert_allclose(results[0], reference, atol=1e-6)


def test_sources(ort: ModuleType, path: Path) -> None:
    data = path.read_bytes()
    for source in (str(path), data):
        assert ort.InferenceSession(source).run(None, {"image": IMAGES})[0].shape == (5, 4)


def test_ort_values(ort: ModuleType, session: Any) -> None:
    value = ort.OrtValue.ortvalue_from_numpy(IMAGES)
    assert (value.shape(), value.data_type(), value.device_name()) == ([5, 1, 12, 12], "tensor(float)", "cpu")
    assert value.is_tensor() and value.has_value() and not value.is_sparse_tensor()
    (result,) = session.run_with_ort_values(None, {"image": value})
    assert result.shape() == [5, 4]
    np.testing.assert_allclose(result.numpy(), session.run(None, {"image": IMAGES})[0], atol=1e-6)
    value.update_inplace(np.zeros_like(IMAGES))
    assert not value.numpy().any()


def test_io_binding(ort: ModuleType, session: Any) -> None:
    name = session.get_outputs()[0].name
    expected = session.run(None, {"image": IMAGES})[0]
    binding = session.io_binding()
    binding.bind_cpu_input("image", IMAGES)
    binding.bind_output(name)
    session.run_with_iobinding(binding)
    np.testing.assert_allclose(binding.copy_outputs_to_cpu()[0], expected, atol=1e-6)
    np.testing.assert_allclose(binding.get_outputs()[0].numpy(), expected, atol=1e-6)
    target = np.zeros((5, 4), np.float32)
    binding = session.io_binding()
    binding.bind_input("image", "cpu", 0, np.float32, IMAGES.shape, IMAGES.ctypes.data)
    binding.bind_output(name, "cpu", 0, np.float32, target.shape, target.ctypes.data)
    session.run_with_iobinding(binding)
    np.testing.assert_allclose(target, expected, atol=1e-6)
    options = ort.RunOptions()
    options.terminate = True
    with pytest.raises(Exception, match="terminate|stopped"):
        session.run_with_iobinding(binding, options)


def test_free_dimension_override(ort: ModuleType, path: Path) -> None:
    options = ort.SessionOptions()
    options.add_free_dimension_override_by_name("batch", 5)
    session = ort.InferenceSession(str(path), options)
    assert session.get_inputs()[0].shape == [5, 1, 12, 12]
    assert session.run(None, {"image": IMAGES})[0].shape == (5, 4)


def exceptions(ort: ModuleType) -> ModuleType:
    return ort.capi.onnxruntime_pybind11_state


def test_errors_have_the_same_classes(ort: ModuleType, session: Any, path: Path, tmp_path: Path) -> None:
    classes = exceptions(ort)
    with pytest.raises(classes.NoSuchFile):
        ort.InferenceSession(str(tmp_path / "nothing.onnx"))
    with pytest.raises(classes.InvalidArgument):
        session.run(None, {"image": IMAGES.astype(np.float64)})
    with pytest.raises(classes.InvalidArgument):
        session.run(None, {"image": IMAGES[0]})
    with pytest.raises(classes.InvalidArgument):
        session.run(["nothing"], {"image": IMAGES})
    with pytest.raises(classes.InvalidArgument):
        session.run(None, {"image": IMAGES, "more": IMAGES})
    with pytest.raises(ValueError):
        session.run(None, {})
    options = ort.RunOptions()
    options.terminate = True
    with pytest.raises(classes.Fail):
        session.run(None, {"image": IMAGES}, options)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(classes.InvalidProtobuf):
        ort.InferenceSession(str(broken))


def test_pickle(path: Path) -> None:
    copy = pickle.loads(pickle.dumps(onward.ort.InferenceSession(path)))
    assert copy.run(None, {"image": IMAGES})[0].shape == (5, 4)


def test_module(ort: ModuleType) -> None:
    assert "CPUExecutionProvider" in ort.get_available_providers()
    assert ort.get_device() == "CPU"
    ort.set_default_logger_severity(3)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.dynamic_block_base", "4")
    assert options.get_session_config_entry("session.dynamic_block_base") == "4"
    run_options = ort.RunOptions()
    run_options.log_severity_level = 3
    assert run_options.terminate is False


def test_every_field_of_the_options_is_there() -> None:
    theirs = onnxruntime.SessionOptions()
    ours = onward.ort.SessionOptions()
    fields = [
        "enable_cpu_mem_arena", "enable_mem_pattern", "enable_mem_reuse", "enable_profiling", "execution_mode",
        "execution_order", "graph_optimization_level", "inter_op_num_threads", "intra_op_num_threads",
        "log_severity_level", "log_verbosity_level", "logid", "optimized_model_filepath", "profile_file_prefix",
    ]  # fmt: skip
    for field in fields:
        assert hasattr(theirs, field) and hasattr(ours, field), field
        assert type(getattr(ours, field)).__name__ in (type(getattr(theirs, field)).__name__, "str"), field


def test_feeds_of_other_kinds(ort: ModuleType, session: Any) -> None:
    (expected,) = session.run(None, {"image": IMAGES})
    strided = np.repeat(IMAGES, 2, 0)[::2]
    for feed in (strided, IMAGES.tolist(), ort.OrtValue.ortvalue_from_numpy(IMAGES), np.asfortranarray(IMAGES)):
        np.testing.assert_array_equal(session.run(None, {"image": feed})[0], expected)


def test_initialisers_and_options(ort: ModuleType) -> None:
    options = ort.SessionOptions()
    bias = ort.OrtValue.ortvalue_from_numpy(np.float32([100, 0, 0, 0]))
    options.add_initializer("second_bias", bias)
    result = ort.InferenceSession(MODEL.to_bytes(), options).run(None, {"image": IMAGES})[0]
    np.testing.assert_allclose(result, np.tile(np.float32([1, 0, 0, 0]), (5, 1)), atol=1e-6)
    with pytest.raises(AttributeError):
        options.no_such_field = 1
    with pytest.raises(TypeError):
        options.intra_op_num_threads = "two"


def test_dlpack(ort: ModuleType) -> None:
    value = ort.OrtValue.from_dlpack(IMAGES)
    assert value.shape() == [5, 1, 12, 12]
    np.testing.assert_array_equal(np.from_dlpack(value), IMAGES)


def test_names_that_cannot_be_bound(ort: ModuleType, session: Any) -> None:
    binding = session.io_binding()
    with pytest.raises((RuntimeError, ValueError), match="nothing"):
        binding.bind_cpu_input("nothing", IMAGES)
