"""The ai.onnx.ml domain: trees, linear models, support vectors and feature preparation."""
