"""Every operator of the tables, compared with TensorFlow at open sizes of one and several."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf  # noqa: E402

import onward  # noqa: E402
from onward.converters import Certificate  # noqa: E402
from tests.converters.tensorflow import cases, structures  # noqa: E402

FAMILIES = {**cases.FAMILIES, **structures.FAMILIES}
CASES = [pytest.param(function, inputs, id=f"{family}: {name}") for family, cases in FAMILIES.items() for name, function, inputs in cases]


@pytest.mark.parametrize(("function", "inputs"), CASES)
def test_operator_computes_what_tensorflow_does(function: Any, inputs: Any) -> None:
    specifications = [tf.TensorSpec(shape, dtype, name=f"x{place}") for place, (shape, dtype) in enumerate(inputs)]
    concrete = tf.function(function).get_concrete_function(*specifications)
    model = onward.convert(concrete)
    certificate = Certificate.of(model)
    assert certificate is not None and certificate.differences
    assert [value.name for value in model.graph.inputs] == [specification.name for specification in specifications]
    for value, (shape, _) in zip(model.graph.inputs, inputs, strict=True):
        assert [extent is None for extent in shape] == [not isinstance(extent, int) for extent in value.shape[: len(shape)]]
