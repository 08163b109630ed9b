"""What operations of `keras.ops` are in ONNX, one small function each."""

from onward.converters.keras.operations import arithmetic, network, shapes

__all__ = ["arithmetic", "network", "shapes"]
