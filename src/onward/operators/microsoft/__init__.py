"""Operators of the domain com.microsoft (and of onnxruntime in the default domain) that optimised and quantised models hold.

Source: onnxruntime, ContribOperators.md. Where the mathematics is that of an operator of the standard, its page is used.
"""
