"""Deployment: a model as a shared library with a C interface, a header, and weights."""

from onward.deploy.library import build

__all__ = ["build"]
