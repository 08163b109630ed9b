"""Operators on sequences of tensors. While a program is written a sequence is a Python list of arrays."""
