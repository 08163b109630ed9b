"""Bytes to messages and back: the wire format of ONNX files, external data, the text syntax."""
