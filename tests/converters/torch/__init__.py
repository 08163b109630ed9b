"""PyTorch modules become ONNX models that compute the same."""
