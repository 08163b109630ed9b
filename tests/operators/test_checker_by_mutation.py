"""Models of the ONNX suite, each spoilt in a random way: what onnx.checker refuses, `check` refuses too."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.backend.test.loader import load_model_tests

from onward.errors import OnwardError
from onward.ir import as_model
from onward.operators import check

Mutation = Callable[[Any, np.random.Generator], None]


def _node(model: Any, random: np.random.Generator) -> Any:
    return model.graph.node[random.integers(len(model.graph.node))]


def undefined_input(model: Any, random: np.random.Generator) -> None:
    node = _node(model, random)
    if node.input:
        node.input[random.integers(len(node.input))] = "nowhere"


def output_twice(model: Any, random: np.random.Generator) -> None:
    node = _node(model, random)
    model.graph.node.add().CopyFrom(node)


def unknown_operator(model: Any, random: np.random.Generator) -> None:
    _node(model, random).op_type = "Nonsense"


def unknown_domain(model: Any, random: np.random.Generator) -> None:
    _node(model, random).domain = "no.such.domain"


def unknown_attribute(model: Any, random: np.random.Generator) -> None:
    _node(model, random).attribute.append(onnx.helper.make_attribute("nonsense", 1))


def attribute_of_another_type(model: Any, random: np.random.Generator) -> None:
    node = _node(model, random)
    if node.attribute:
        item = node.attribute[random.integers(len(node.attribute))]
        replaced = onnx.helper.make_attribute(item.name, "text" if item.type != onnx.AttributeProto.STRING else 1)
        item.CopyFrom(replaced)


def attribute_is_missing(model: Any, random: np.random.Generator) -> None:
    del _node(model, random).attribute[:]


def too_many_inputs(model: Any, random: np.random.Generator) -> None:
    node = _node(model, random)
    node.input.extend([model.graph.input[0].name] * 20 if model.graph.input else [])


def too_few_inputs(model: Any, random: np.random.Generator) -> None:
    del _node(model, random).input[:]


def too_many_outputs(model: Any, random: np.random.Generator) -> None:
    _node(model, random).output.extend([f"extra{number}" for number in range(20)])


def no_opset(model: Any, random: np.random.Generator) -> None:
    del model.opset_import[:]


def version_of_the_future(model: Any, random: np.random.Generator) -> None:
    model.opset_import[0].version = 1000


def no_ir_version(model: Any, random: np.random.Generator) -> None:
    model.ClearField("ir_version")


def no_graph_name(model: Any, random: np.random.Generator) -> None:
    model.graph.ClearField("name")


def input_without_name(model: Any, random: np.random.Generator) -> None:
    if model.graph.input:
        model.graph.input[0].name = ""


def input_of_no_type(model: Any, random: np.random.Generator) -> None:
    if model.graph.input:
        model.graph.input[0].ClearField("type")


def element_type(model: Any, random: np.random.Generator) -> None:
    if model.graph.input and model.graph.input[0].type.HasField("tensor_type"):
        model.graph.input[0].type.tensor_type.elem_type = int(random.choice([1, 6, 7, 8, 9, 14]))


def extent_of_an_output(model: Any, random: np.random.Generator) -> None:
    dims = model.graph.output[0].type.tensor_type.shape.dim
    if dims:
        dims[random.integers(len(dims))].dim_value = 12345


def broken_initializer(model: Any, random: np.random.Generator) -> None:
    tensor = model.graph.initializer.add()
    tensor.name, tensor.data_type = "broken", onnx.TensorProto.FLOAT
    tensor.dims.extend([2, 3])
    tensor.float_data.extend([1.0])


def graph_output_from_nowhere(model: Any, random: np.random.Generator) -> None:
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[-1].name = "nowhere"


MUTATIONS: list[Mutation] = [
    undefined_input, output_twice, unknown_operator, unknown_domain, unknown_attribute, attribute_of_another_type,
    attribute_is_missing, too_many_inputs, too_few_inputs, too_many_outputs, no_opset, version_of_the_future, no_ir_version,
    no_graph_name, input_without_name, input_of_no_type, element_type, extent_of_an_output, broken_initializer,
    graph_output_from_nowhere,
]  # fmt: skip
FED = frozenset({"test_dft_axis"})
"""Models whose axis is an input: what it does to the shape is known only in the run."""

EVERY = 11
"""One in so many models of the suite is spoilt in each way."""


def theirs(data: bytes) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            onnx.checker.check_model(data, full_check=True)
        except Exception as problem:
            return str(problem)
    return ""


def ours(data: bytes) -> str:
    try:
        check(as_model(data))
    except OnwardError as problem:
        return str(problem)
    return ""


@pytest.fixture(scope="module")
def models() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [case.model for case in load_model_tests(kind="node")[::EVERY] if case.model is not None]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_what_the_checker_of_onnx_refuses_is_refused(mutation: Mutation, models: list[Any]) -> None:
    random = np.random.default_rng(3)
    missed, refused = [], 0
    for model in models:
        spoilt = onnx.ModelProto()
        spoilt.CopyFrom(model)
        mutation(spoilt, random)
        data = spoilt.SerializeToString()
        problem = theirs(data)
        if problem and not theirs(model.SerializeToString()):
            refused += 1
            if not ours(data) and model.graph.name not in FED:
                missed.append(f"{model.graph.name}: {problem.splitlines()[0]}")
    assert not missed, f"{len(missed)} of {refused}: " + "\n".join(missed[:10])


def test_what_is_right_is_not_refused(models: list[Any]) -> None:
    wrong = [(model.graph.name, ours(model.SerializeToString())) for model in models if not theirs(model.SerializeToString())]
    assert not [item for item in wrong if item[1]]
