"""Operators that move elements, select them, or make tensors from shapes and constants."""
