"""Operators whose element depends on the same element of each input."""
