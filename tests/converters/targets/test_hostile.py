"""Hostile models: no text of a file becomes code, in the source that any target prints or in the files that it writes."""

from __future__ import annotations

import ast
import functools
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_model_tests

import onward
from onward.converters.targets import TARGETS, page_of
from onward.errors import OnwardError
from onward.ir import as_model

CODE = "_hostile_"
"""A name that no source may have as code. Names of a model lose their outer underscores, so it is none of these either."""

ENDS = [
    "'",
    '"',
    "\\",
    "'''",
    '"""',
    "\\'",
    ")",
    "]",
    "}",
    "')",
    '")',
    "'])",
    "{",
    "{x}",
    "%s",
    "#",
    "\n",
    "\r",
    "\f",
    "\x85",
    "\u2028",
    "\\\n",
    "\x00",
    "\\N{BULLET}",
    "é",
    "",
]
PAYLOADS = [
    f"{CODE}()",
    f"; {CODE}(); ",
    f"\n{CODE}()\n",
    f"\n    {CODE}()\n",
    f" + {CODE}() + ",
    f", {CODE}(), ",
    f"{{{CODE}()}}",
    f"/{CODE}/",
    f".{CODE}.",
    CODE,
]
WORDS = [
    "self", "forward", "class", "None", "print", "np", "nn", "torch", "tf", "keras", "layers", "ops", "jnp", "lax", "weights", "model", "parameters", "restore", "name", "file", "training",
    "T_destination", "state_dict", "__init__", "__class__", "__dict__", "self.x", "0", "0.weight", "a..b", "a.b", "a", "/", ".", "../../etc/passwd", "..\\x", "C:\\x", "~", "-", " ", "\t", "_", "__",
]  # fmt: skip

LANGUAGES = tuple(name for name in TARGETS if name not in ("tflite", "xgboost"))

ROWS = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)

FILES = {"model.py", "weights.npz", "weights.safetensors", "model.weights.h5", "model.stablehlo", "certificate.json"}


def hostile() -> st.SearchStrategy[str]:
    """Text that ends a constant, a comment or a call in many ways and goes on with a call of `CODE`."""
    letters = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("'\"\\\n\r(){}[]#./")), max_size=4)
    attack = st.tuples(letters, st.sampled_from(ENDS), st.sampled_from(PAYLOADS), st.sampled_from(ENDS), letters).map("".join)
    return st.one_of(attack, attack, st.sampled_from(WORDS), st.text(st.characters(codec="utf-8"), max_size=12))


NOTES = ("onward.features", "onward.estimator", "onward.parameters", "onward.source", "onward.certificate", "note")
"""Metadata that is read from files."""


def network() -> onnx.ModelProto:
    """Two modules that are alike with a function of a domain of its own in them, and a recurrent layer. Rows go in and out."""
    random = np.random.default_rng(0)
    weights = {f"blocks.{place}.{name}": random.standard_normal(shape) for place in range(2) for name, shape in (("weight", (4, 4)), ("bias", (4,)))}
    weights |= {"lstm.w": random.standard_normal((1, 8, 4)), "lstm.r": random.standard_normal((1, 8, 2)), "axes": np.array([0])}
    nodes = []
    for place in range(2):
        block = [
            helper.make_node("MatMul", [f"y{place}", f"blocks.{place}.weight"], [f"product{place}"]),
            helper.make_node("Add", [f"product{place}", f"blocks.{place}.bias"], [f"sum{place}"]),
            helper.make_node("Bend", [f"sum{place}"], [f"bent{place}"], domain="custom"),
            helper.make_node("Mul", [f"bent{place}", f"sum{place}"], [f"y{place + 1}"]),
        ]
        for node in block:
            node.name = f"/blocks/blocks.{place}/{node.op_type}"
            for key, value in (
                ("onward.module", f"blocks.{place}"),
                ("onward.class", "network.Block"),
                ("pkg.torch.onnx.name_scopes", f"['', 'blocks.{place}', 'x']"),
            ):
                node.metadata_props.add(key=key, value=value)
        nodes += block
    nodes += [
        helper.make_node("Unsqueeze", ["y2", "axes"], ["sequence"]),
        helper.make_node("LSTM", ["sequence", "lstm.w", "lstm.r"], ["", "last"], hidden_size=2),
        helper.make_node("Squeeze", ["last", "axes"], ["result"]),
    ]
    bend = [helper.make_node("Softplus", ["a"], ["b"]), helper.make_node("Relu", ["b"], ["c"])]
    function = helper.make_function("custom", "Bend", ["a"], ["c"], bend, [helper.make_opsetid("", 18)])
    initializers = [numpy_helper.from_array(item if item.dtype.kind == "i" else item.astype(np.float32), name) for name, item in weights.items()]
    inputs, outputs = (
        [helper.make_tensor_value_info("y0", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, ["rows", 2])],
    )
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers, doc_string="about")
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("custom", 1)]
    model = helper.make_model(graph, producer_name="producer", opset_imports=domains, functions=[function], ir_version=10)
    for key in NOTES:
        model.metadata_props.add(key=key, value=f"value of {key}")
    return model


def spoilt(model: onnx.ModelProto, texts: Iterable[str]) -> onnx.ModelProto:
    """The model with each of its names, notes and domains replaced by the next text; equal names stay equal, different ones different."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    source, names = iter(texts), {"": ""}

    def replaced(old: str) -> str:
        if old not in names:
            text = next(source, old)
            names[old] = text if text not in names.values() else f"{text}{len(names)}"
        return names[old]

    for message in _messages(made):
        standard = isinstance(message, (onnx.NodeProto, onnx.OperatorSetIdProto)) and message.domain == ""
        kept = (
            isinstance(message, onnx.AttributeProto)
            or isinstance(message, onnx.StringStringEntryProto)
            and message.key in (*NOTES, "onward.module", "onward.class")
        )
        for field, value in message.ListFields():
            if field.type != field.TYPE_STRING or field.name == "op_type" and standard or field.name in ("key", "name") and kept:
                continue
            if isinstance(value, str):
                setattr(message, field.name, replaced(value))
            else:
                value[:] = map(replaced, value)
    return made


def _messages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for item in [value] if hasattr(value, "ListFields") else value:
                yield from _messages(item)


def assert_harmless(text: str, usual: str) -> None:
    """Asserts that a source is Python in ASCII which nowhere has the hostile name as code, imports what the usual one imports, and reads no other names from outside but
    `getattr`, by which PyTorch's modules of odd names are read."""
    assert text.isascii()
    (imports, outside), (usual_imports, usual_outside) = map(_from_outside, (text, usual))
    assert imports <= usual_imports and outside <= {*usual_outside, "getattr"} and CODE not in outside


def _from_outside(text: str) -> tuple[set[str], set[str]]:
    """The imports of a source, and the names that it reads and does not define."""
    nodes = list(ast.walk(ast.parse(text)))
    imports = {ast.unparse(node) for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))}
    names = {(node.id, isinstance(node.ctx, ast.Load)) for node in nodes if isinstance(node, ast.Name)}
    defined = {node.arg for node in nodes if isinstance(node, ast.arg)} | {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    return imports, {name for name, read in names if read} - {name for name, read in names if not read} - defined


def made(target: str, model: onnx.ModelProto) -> tuple[str, list[Any]]:
    """The source of a model, and what its object makes of three rows."""
    page, given = page_of(target), as_model(model.SerializeToString())
    if target == "sklearn":
        estimator = page.native(given, {}).result
        return estimator._source, [estimator.predict(ROWS)]
    return page.source_of(given)[0], page.run(page.convert(given), [ROWS])


@functools.cache
def harmless(target: str) -> tuple[str, list[Any]]:
    return made(target, network())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("target", LANGUAGES)
@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(st.lists(hostile(), min_size=60, max_size=60))
def test_no_name_of_a_model_is_code(target: str, texts: list[str]) -> None:
    """Names of all that has one, domains and types of functions, documentation, metadata: none is code, and what is computed is the same."""
    usual, expected = harmless(target)
    text, results = made(target, spoilt(network(), texts))
    assert_harmless(text, usual)
    np.testing.assert_allclose(results[0], expected[0], rtol=1e-6, atol=1e-7)


def spoilt_attributes() -> Iterator[tuple[str, onnx.ModelProto]]:
    """For each attribute of text that a node test has, the model with hostile values of it."""
    seen = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    for case in cases:
        for place, node in enumerate(case.model.graph.node):
            for number, attribute in enumerate(node.attribute):
                key = f"{node.op_type}.{attribute.name}"
                if (attribute.s or attribute.strings) and key not in seen and not case.name.endswith("expanded"):
                    seen.add(key)
                    for end, payload in (("'", PAYLOADS[3]), ('"""', PAYLOADS[1]), ("\\", PAYLOADS[2]), (")", PAYLOADS[0])):
                        model = onnx.ModelProto()
                        model.CopyFrom(case.model)
                        changed = model.graph.node[place].attribute[number]
                        if attribute.s:
                            changed.s = f"{end}{payload}{end}".encode()
                        else:
                            changed.strings[:] = [f"{item.decode()}{end}{payload}{end}".encode() for item in attribute.strings]
                        yield f"{key} {end}", model


@pytest.mark.parametrize("target", [name for name in LANGUAGES if name != "sklearn"])
def test_no_attribute_of_a_node_is_code(target: str) -> None:
    """Each is refused, or text in the source."""
    refused, said = 0, 0
    for name, model in spoilt_attributes():
        try:
            text = page_of(target).source_of(as_model(model.SerializeToString()))[0]
        except OnwardError:
            refused += 1
            continue
        said += 1
        assert CODE not in _from_outside(text)[1], name
    assert refused + said > 100 and (said or target != "numpy")


@pytest.mark.parametrize("target", ["numpy", "torch-source", "tensorflow-source", "keras-source", "jax"])
def test_files_stay_in_their_folder(target: str, tmp_path: Path) -> None:
    """Names with paths in them name no file."""
    texts = [f"{path}{number}" for number, path in enumerate(["../../x", "/tmp/onward_hostile", "..\\x", "C:\\x", "~/x", "a/../../x"] * 10)]
    onward.convert(spoilt(network(), texts).SerializeToString(), to=target, output=tmp_path / "inner" / "package", verify=False)
    assert [item.name for item in tmp_path.iterdir()] == ["inner"] and [item.name for item in (tmp_path / "inner").iterdir()] == ["package"]
    assert {item.name for item in (tmp_path / "inner" / "package").rglob("*")} <= FILES
