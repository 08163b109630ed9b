"""Models of other frameworks become ONNX models that compute the same."""
