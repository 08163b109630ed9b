"""Regular expressions of the standard, beside those of onnxruntime, which asks the RE2 library."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from onward import InferenceSession
from onward.errors import InvalidArgument
from onward.operators.text.regular_expressions import compile_expression

TEXTS = ["", "a", "abc", "Ab", "é", "Éa", "x1", "٣", "12", "]", "a]", "-", " ", "\t", "a_b", "_", "日本", "!", "a\n", "²", "ǅ", "[", ":", "α"]
PATTERNS = [
    r"\w+", r"\d+", r"\s+", r"\W", r"[\pL\pN_]+", r"\pL", r"\PL", r"\p{Lu}\p{L}*", r"\p{^Lu}+", r"\P{^L}+", r"[^\pL]+", r"[^\P{Nd}1]", r"[\pL-]+",
    r"[[:alpha:]]+", r"[[:punct:]]", r"[^[:space:]a]+", r"[[:word:]]+", r"[]a]+", r"[^]a]", r"[a\]]+", r"a\z", r"(?i)ab", r"a|\pN", r"\[", r"[[:]+", r"[\x{e9}\x{65E5}-\x{672c}]+",
]  # fmt: skip


def model(pattern: str) -> bytes:
    node = helper.make_node("RegexFullMatch", ["x"], ["y"], pattern=pattern)
    ports = [helper.make_tensor_value_info(name, kind, ["n"]) for name, kind in (("x", TensorProto.STRING), ("y", TensorProto.BOOL))]
    graph = helper.make_graph([node], "text", ports[:1], ports[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_matches(pattern: str) -> None:
    data, feeds = model(pattern), {"x": np.array(TEXTS, object)}
    expected = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    found = InferenceSession(data).run(None, feeds)[0]
    assert dict(zip(TEXTS, found)) == dict(zip(TEXTS, expected))


@pytest.mark.parametrize("pattern", ["[", "(a", r"\p{Greek}", r"\pQ", r"\C", "[a"])
def test_what_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidArgument, match="is no regular expression"):
        compile_expression(pattern)
