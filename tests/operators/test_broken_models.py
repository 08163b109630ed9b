"""Models with something changed at random: right, or refused with an error of ours; never another exception."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable

import onnx
import pytest
from onnx import AttributeProto, helper
from onnx.backend.test.loader import load_model_tests

from onward.errors import OnwardError
from onward.ir import as_model
from onward.operators import check, infer, lower

NUMBERS = [0, 1, -1, 2, 3, -2, 7, 100, -100, 2**31, 2**62, -(2**63)]
EXTENTS = [0, 1, 2, 3, 5, 2**33, 2**40, 2**62]


def change_attribute(graph: onnx.GraphProto, choose: random.Random) -> None:
    attributes = [item for node in graph.node for item in node.attribute]
    if not attributes:
        return
    item = choose.choice(attributes)
    if item.type == AttributeProto.INT:
        item.i = choose.choice(NUMBERS)
    elif item.type == AttributeProto.INTS:
        item.ints[:] = [*item.ints, 0][: choose.randrange(len(item.ints) + 1)] + [choose.choice(NUMBERS)]
    elif item.type == AttributeProto.STRING:
        item.s = choose.choice([b"", b"xx", b"\xff"])
    elif item.type == AttributeProto.FLOAT:
        item.f = choose.choice([0.0, -1.0, float("nan"), float("inf"), 1e38])


def drop_attribute(graph: onnx.GraphProto, choose: random.Random) -> None:
    node = choose.choice(graph.node)
    if node.attribute:
        node.attribute.remove(choose.choice(node.attribute))


def change_input(graph: onnx.GraphProto, choose: random.Random) -> None:
    node = choose.choice(graph.node)
    if node.input:
        node.input[choose.randrange(len(node.input))] = choose.choice(["", *(item.name for item in graph.input)])


def drop_input(graph: onnx.GraphProto, choose: random.Random) -> None:
    node = choose.choice(graph.node)
    if node.input:
        node.input.pop()


def tensors(graph: onnx.GraphProto) -> list[onnx.TypeProto.Tensor]:
    return [item.type.tensor_type for item in graph.input if item.type.HasField("tensor_type")]


def change_shape(graph: onnx.GraphProto, choose: random.Random) -> None:
    if tensors(graph):
        extents = choose.choice(tensors(graph)).shape.dim
        change = choose.randrange(3)
        if change == 0:
            extents.add().dim_value = choose.choice(EXTENTS)
        elif extents and change == 1:
            extents.pop()
        elif extents:
            extents[choose.randrange(len(extents))].dim_value = choose.choice(EXTENTS)


def change_type(graph: onnx.GraphProto, choose: random.Random) -> None:
    if tensors(graph):
        choose.choice(tensors(graph)).elem_type = choose.randint(1, 26)


def fix_an_input(graph: onnx.GraphProto, choose: random.Random) -> None:
    """Gives an integer vector (axes, sizes, amounts) a value, mostly a bad one."""
    vectors = [item for item in graph.input if item.type.tensor_type.elem_type == onnx.TensorProto.INT64]
    for item in vectors[:1]:
        shape = [extent.dim_value for extent in item.type.tensor_type.shape.dim]
        count = shape[0] if shape else 1
        if len(shape) <= 1 and 0 <= count < 100:
            values = [choose.choice(NUMBERS) for _ in range(count)]
            graph.initializer.append(helper.make_tensor(item.name, onnx.TensorProto.INT64, shape, values))


CHANGES: list[Callable[[onnx.GraphProto, random.Random], None]] = [
    change_attribute, drop_attribute, change_input, drop_input, change_shape, change_type, fix_an_input,
]  # fmt: skip


@pytest.fixture(scope="module")
def models() -> list[onnx.ModelProto]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [case.model for case in load_model_tests(kind="node") if case.model.ByteSize() < 20_000]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.filterwarnings("ignore")
def test_changed_models_are_right_or_refused(seed: int, models: list[onnx.ModelProto]) -> None:
    choose = random.Random(seed)
    refused = 0
    for _ in range(150):
        model = onnx.ModelProto()
        model.CopyFrom(choose.choice(models))
        for item in model.graph.output:
            item.type.tensor_type.ClearField("shape")
        choose.choice(CHANGES)(model.graph, choose)
        try:
            loaded = as_model(model.SerializeToString())
            check(loaded, shapes=False)
            lower(loaded)
            infer(loaded)
        except OnwardError as error:
            refused += 1
            assert str(error)
    assert 0 < refused < 150
