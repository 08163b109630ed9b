"""The place where programs written for onnxruntime look for its exception classes."""

from onward.ort.capi import onnxruntime_pybind11_state

__all__ = ["onnxruntime_pybind11_state"]
