"""The exception classes and the enumerations, under the path at which onnxruntime keeps them."""

from onward.ort import (
    EngineError,
    EPFail,
    ExecutionMode,
    ExecutionOrder,
    Fail,
    GraphOptimizationLevel,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    ModelLoaded,
    ModelMetadata,
    NoModel,
    NoSuchFile,
    NotImplemented,  # noqa: A004 (onnxruntime's name)
    OrtDevice,
    RunOptions,
    RuntimeException,
    SessionOptions,
)

__all__ = [
    "EPFail", "EngineError", "ExecutionMode", "ExecutionOrder", "Fail", "GraphOptimizationLevel", "InvalidArgument",
    "InvalidGraph", "InvalidProtobuf", "ModelLoaded", "ModelMetadata", "NoModel", "NoSuchFile", "NotImplemented",
    "OrtDevice", "RunOptions", "RuntimeException", "SessionOptions",
]  # fmt: skip
