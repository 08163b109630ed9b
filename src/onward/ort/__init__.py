"""A drop-in for the parts of the onnxruntime Python interface that applications use.

    import onward.ort as onnxruntime

Errors are those of `onward.errors` under the names that onnxruntime gives them, so that either can be caught.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from onward import errors
from onward.runtime import (
    ExecutionMode,
    ExecutionOrder,
    GraphOptimizationLevel,
    IOBinding,
    ModelMetadata,
    NodeArg,
    OrtDevice,
    OrtValue,
    RunOptions,
    SessionOptions,
)
from onward.runtime import InferenceSession as _Session

__version__ = "1.32.0"
"""The version of the interface that is followed."""

SessionIOBinding = IOBinding


class Fail(errors.OnwardError):
    """Anything that went wrong."""


class RuntimeException(Fail, errors.RunError):
    """A run that failed."""


class InvalidArgument(Fail, errors.InvalidInput, errors.InvalidArgument):
    """A wrong feed or argument."""


class NoSuchFile(Fail, errors.NoSuchFile):
    """A file that is not there."""


class InvalidProtobuf(Fail, errors.FormatError):
    """A damaged file."""


class InvalidGraph(Fail, errors.InvalidGraph, errors.InferenceError):
    """A model that breaks the rules."""


class NotImplemented(Fail, errors.UnsupportedOperator):  # noqa: A001 (onnxruntime's name)
    """An operator that is not supported."""


class NoModel(Fail):
    """No model was given."""


class ModelLoaded(Fail):
    """A session that already has a model."""


class EngineError(Fail):
    """The engine failed."""


class EPFail(Fail):
    """A provider failed."""


_TRANSLATION: list[tuple[type[errors.OnwardError], type[Fail]]] = [
    (errors.NoSuchFile, NoSuchFile),
    (errors.FormatError, InvalidProtobuf),
    (errors.InvalidInput, InvalidArgument),
    (errors.InvalidArgument, InvalidArgument),
    (errors.UnsupportedOperator, NotImplemented),
    (errors.InvalidGraph, InvalidGraph),
    (errors.InferenceError, InvalidGraph),
    (errors.CheckError, InvalidGraph),
    (errors.RunError, RuntimeException),
    (errors.OnwardError, Fail),
]


@functools.cache
def _both(kind: type[Fail], source: type[errors.OnwardError]) -> type[Fail]:
    """A class that is caught as onnxruntime's class and as ours."""
    return kind if issubclass(kind, source) else type(kind.__name__, (kind, source), {"__doc__": kind.__doc__})


def _translated(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except Fail:
            raise
        except errors.OnwardError as problem:
            kind = next(result for source, result in _TRANSLATION if isinstance(problem, source))
            raise _both(kind, type(problem))(*problem.args) from problem  # type: ignore[arg-type]

    return call


class InferenceSession(_Session):
    """`onward.InferenceSession` with onnxruntime's exception classes."""

    __init__ = _translated(_Session.__init__)
    run = _translated(_Session.run)
    run_with_ort_values = _translated(_Session.run_with_ort_values)
    run_with_iobinding = _translated(_Session.run_with_iobinding)
    end_profiling = _translated(_Session.end_profiling)
    set_providers = _translated(_Session.set_providers)


def get_available_providers() -> list[str]:
    """The CPU."""
    return ["CPUExecutionProvider"]


def get_all_providers() -> list[str]:
    """The CPU."""
    return ["CPUExecutionProvider"]


def get_device() -> str:
    """CPU"""
    return "CPU"


def set_default_logger_severity(severity: int) -> None:
    """Accepted: nothing is logged; problems are raised."""


def set_default_logger_verbosity(verbosity: int) -> None:
    """Accepted: nothing is logged; problems are raised."""


def set_seed(seed: int) -> None:
    """Seeds the random operators of models that do not give a seed themselves."""
    import os

    os.environ["ONWARD_SEED"] = str(int(seed))


def disable_telemetry_events() -> None:
    """There is no telemetry."""


def enable_telemetry_events() -> None:
    """There is no telemetry, and none can be switched on."""


def get_build_info() -> str:
    """What this is."""
    return "onward, a compiler over LLVM"


def get_version_string() -> str:
    """The version of the interface that is followed."""
    return __version__


def has_collective_ops() -> bool:
    """There are no operators over several machines."""
    return False


def preload_dlls(cuda: bool = True, cudnn: bool = True, msvc: bool = True, directory: str | None = None) -> None:
    """There is nothing to load ahead."""


from onward.ort import capi  # noqa: E402 (it offers what is defined above)

__all__ = [
    "EPFail", "EngineError", "ExecutionMode", "ExecutionOrder", "Fail", "GraphOptimizationLevel", "IOBinding",
    "InferenceSession", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "ModelLoaded", "ModelMetadata", "NoModel",
    "NoSuchFile", "NodeArg", "NotImplemented", "OrtDevice", "OrtValue", "RunOptions", "RuntimeException",
    "SessionIOBinding", "SessionOptions", "capi", "disable_telemetry_events", "enable_telemetry_events", "get_all_providers",
    "get_available_providers", "get_build_info", "get_device", "get_version_string",
    "has_collective_ops", "preload_dlls", "set_default_logger_severity", "set_default_logger_verbosity", "set_seed",
]  # fmt: skip
