"""Every class of torch.nn with a forward and every function: PyTorch's own databases, and what they lack."""

from __future__ import annotations

import inspect

import pytest

pytest.importorskip("expecttest")

import torch
from torch.nn import functional as F  # noqa: N812
from torch.testing._internal.common_methods_invocations import op_db

import onward
from tests.converters.torch.layers import CLASSES, DATABASE, FUNCTIONS, NAMES, OTHERS, from_database, from_table, of_function

REFUSED = {"Module": "has no forward of its own"}
REFUSED_FUNCTIONS = {
    "scaled_grouped_mm": "an operator of accelerators",
    "boolean_dispatch": "no function of numbers", "handle_torch_function": "no function of numbers", "assert_int_or_pair": "no function of numbers",
    "has_torch_function": "no function of numbers", "has_torch_function_unary": "no function of numbers",
    "has_torch_function_variadic": "no function of numbers",
}  # fmt: skip


def test_every_class_is_tried() -> None:
    assert [name for name in CLASSES if name not in DATABASE and name not in OTHERS and name not in REFUSED] == []


@pytest.mark.parametrize("name", [name for name in CLASSES if name in OTHERS])
def test_classes(name: str) -> None:
    torch.manual_seed(0)
    onward.convert(*from_table(name), dynamic_shapes={})


@pytest.mark.models
@pytest.mark.parametrize("name", [name for name in DATABASE if name in CLASSES and name not in OTHERS])
def test_classes_of_the_database(name: str) -> None:
    torch.manual_seed(0)
    for module, arguments in from_database(name, 0, 0.5, 1):
        onward.convert(module, arguments, dynamic_shapes={})


def test_every_function_is_tried() -> None:
    """In the table of the documentation, and in the test of the operator database, which has most of them, or here."""
    functions = [
        name for name, item in vars(F).items()
        if callable(item) and not name.startswith("_") and not inspect.isclass(item) and str(getattr(item, "__module__", "")).startswith("torch")
    ]  # fmt: skip
    known = {operator.name for operator in op_db}
    assert [name for name in functions if f"nn.functional.{name}" not in known and name not in FUNCTIONS and name not in REFUSED_FUNCTIONS] == []
    assert {f"nn.{name}" for name in CLASSES} <= set(NAMES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    torch.manual_seed(0)
    onward.convert(*of_function(name), dynamic_shapes={})
