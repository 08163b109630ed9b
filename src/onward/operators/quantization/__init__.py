"""Quantisation and operators on quantised tensors."""
