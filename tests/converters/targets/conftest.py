"""Keras on its NumPy backend, unless the caller says another or something has loaded it already."""

import os

os.environ.setdefault("KERAS_BACKEND", "numpy")
