"""Every operator in every version for every type of its schema: the cases, the judges, and what came of each.

A case is a model of one operator. Those of the ONNX backend suite are brought to each version of the operator, and the
inputs and attributes that a type variable governs are given each of its types. What Onward computes must agree with one
of three judges: the reference evaluator of the onnx package on the same model, onnxruntime on the same model, or the
reference evaluator on the model with the type widened. `tools/generate_operator_table.py` writes the page of results.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import io
import itertools
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

import onward
from onward.ir import DataType
from onward.operators.registry import find_definition
from onward.runtime import InferenceSession
from tests.operators.coverage_models import CONTROL, MORE, structures

RANDOM = frozenset({"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"})
"""Operators whose values are judged elsewhere, by their distribution; here only shape and type count."""

DIVISORS = frozenset({"Div", "Mod"})
OUTPUT_TYPE = {
    "Cast": "to", "EyeLike": "dtype", "Bernoulli": "dtype", "RandomNormal": "dtype", "RandomNormalLike": "dtype",
    "RandomUniform": "dtype", "RandomUniformLike": "dtype", "Multinomial": "dtype", "SequenceEmpty": "dtype",
    "BlackmanWindow": "output_datatype", "HammingWindow": "output_datatype", "HannWindow": "output_datatype",
    "MelWeightMatrix": "output_datatype", "BitCast": "to",
}  # fmt: skip
"""The attribute that names the output's type."""

WHOLE = re.compile(r"^(?:(seq|optional)\()?(?:seq\()?tensor\((\w+)\)\)*$")


KNOWN = {
    ("If", "V"): "no operator of this version puts such elements into a sequence or an optional value inside a branch",
    ("Loop", "V"): "no operator of this version puts such elements into a sequence or an optional value inside a body",
    ("GridSample", "T1"): "the judges fill text with the number 0 where nothing is; here it is the empty text",
    ("GRU", "T1"): "no judge takes sequence lengths in version 1",
    ("Col2Im", "T"): "it sums overlapping blocks, and text has no sum; refused",
    ("DequantizeLinear", "T2"): "the suite's scales have no equals in float8e8m0, and no judge takes others",
}
"""(operator, type variable) -> why some types of it were not run, or have no meaning."""


@dataclass
class Case:
    """A model of one operator with its inputs."""

    name: str
    model: onnx.ModelProto
    inputs: list[Any]
    expected: Callable[..., list[Any]] | None = None
    newest: onnx.ModelProto | None = None


@dataclass
class Outcome:
    """What came of one operator version with one type for one of its type variables."""

    domain: str
    name: str
    version: int
    variable: str
    type: str
    how: str = "not run"
    judge: str = ""
    problem: str = ""
    newest: bool = False

    @property
    def passed(self) -> bool:
        """Whether it ran and a judge agreed."""
        return self.how in ("native", "stages") and not self.problem

    @property
    def excused(self) -> str:
        """Why it may fail; only types that `KNOWN` speaks of."""
        odd = "optional" in self.type or "seq" in self.type or self.type in ("tensor(string)", "tensor(float8e8m0)")
        odd = odd or (self.name, self.version) == ("GRU", 1)
        return KNOWN.get((self.name, self.variable), "") if odd else ""


@dataclass
class Operator:
    """All versions of an operator, and its cases, smallest first."""

    domain: str
    name: str
    schemas: list[Any] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)


@functools.cache
def operators() -> dict[tuple[str, str], Operator]:
    """Every operator of the standard."""
    found: dict[tuple[str, str], Operator] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.deprecated and schema.domain != "com.microsoft" and schema.name != "Gradient":
            key = (schema.domain, schema.name)
            found.setdefault(key, Operator(*key)).schemas.append(schema)
    for operator in found.values():
        operator.schemas.sort(key=lambda schema: -schema.since_version)
    for case in _suite():
        node = case.model.graph.node[0]
        if (node.domain, node.op_type) in found:
            found[node.domain, node.op_type].cases.append(case)
    for text, inputs, *expected in MORE:
        model = parser.parse_model(text)
        node = model.graph.node[0]
        found[node.domain, node.op_type].cases.append(Case("own", model, inputs, *expected))
    for operator in found.values():
        operator.cases.sort(key=lambda case: sum(map(_size, case.inputs)))
    return found


def _label_cases() -> dict[int, list[Case]]:
    """LabelEncoder of every pair of types, by version."""
    data = {
        "string": np.array(["a", "b"], object), "int64": np.array([1, 2]), "float": np.array([0.5, 2], np.float32),
        "int16": np.array([1, 2], np.int16), "int32": np.array([1, 2], np.int32), "double": np.array([0.5, 2.0]),
    }  # fmt: skip
    found: dict[int, list[Case]] = {1: [], 2: [], 4: []}
    for version, kinds in ((2, ("string", "int64", "float")), (4, tuple(data))):
        for source, target in itertools.product(kinds, kinds):
            attributes: dict[str, Any] = {}
            for prefix, kind in (("keys", source), ("values", target)):
                if kind in ("string", "int64", "float"):
                    attributes[f"{prefix}_{kind}s"] = data[kind].tolist()
                else:
                    attributes[f"{prefix}_tensor"] = numpy_helper.from_array(data[kind])
            if target not in ("string", "int64", "float"):
                attributes["default_tensor"] = numpy_helper.from_array(data[target][:1])
            found[version].append(_label_case(version, source, target, attributes, data[source], data[target]))
    for source, target in (("string", "int64"), ("int64", "string")):
        given = data["string"] if source == "string" else np.array([0, 1])
        expected = np.array([0, 1]) if source == "string" else data["string"]
        found[1].append(_label_case(1, source, target, {"classes_strings": ["a", "b"]}, given, expected))
    return found


def _label_case(version: int, source: str, target: str, attributes: Any, given: np.ndarray, expected: np.ndarray) -> Case:
    node = helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    ports = [helper.make_tensor_value_info(name, _number(kind), [2]) for name, kind in (("x", source), ("y", target))]
    graph = helper.make_graph([node], "g", ports[:1], ports[1:])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", version)]
    return Case("own", helper.make_model(graph, opset_imports=opsets, ir_version=10), [given[::-1]], lambda x: [expected[::-1]])


def _size(data: Any) -> int:
    return sum(map(_size, data)) if isinstance(data, list) else np.size(data)


def _suite() -> Iterator[Case]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        collected = collect_testcases(None)
    for case in collected:
        if case.model is None or len(case.model.graph.node) != 1 or not case.data_sets:
            continue
        yield Case(case.name, case.model, [_data(item) for item in case.data_sets[0][0]])


def _data(item: Any) -> Any:
    if isinstance(item, onnx.TensorProto):
        return numpy_helper.to_array(item)
    if isinstance(item, onnx.SequenceProto):
        return numpy_helper.to_list(item)
    if isinstance(item, onnx.OptionalProto):
        return numpy_helper.to_optional(item)
    return item


def variables(schema: Any) -> dict[str, tuple[str, ...]]:
    """Type variable (or the position of a port of one type) -> its types."""
    found: dict[str, tuple[str, ...]] = {}
    for port in (*schema.inputs, *schema.outputs):
        found.setdefault(port.type_str, tuple(sorted(port.types)))
    return found


def outcomes(domain: str, name: str) -> Iterator[Outcome]:
    """What comes of an operator, newest version first.

    Versions that the same definition serves are tried with all types once, and with one type each beyond that.
    """
    operator = operators()[domain, name]
    tried: set[tuple[Any, str, str]] = set()
    for schema in operator.schemas:
        version = schema.since_version
        definition = find_definition(domain, name, version)
        cases = _cases_of_version(operator, schema)
        for variable, types in variables(schema).items():
            fresh = [kind for kind in types if (definition, variable, kind) not in tried]
            for kind in fresh or types[:1]:
                outcome = Outcome(domain, name, version, variable, kind, newest=schema is operator.schemas[0])
                tried.add((definition, variable, kind))
                _try(outcome, schema, cases)
                yield outcome


def _cases_of_version(operator: Operator, schema: Any) -> list[Case]:
    """Cases whose model holds the operator in this version."""
    version, found = schema.since_version, []
    own = LABELS.get(version, []) if operator.name == "LabelEncoder" else []
    name = "Scan-8" if operator.name == "Scan" and version == 8 else operator.name
    if name in CONTROL and not operator.domain:
        header = f'<ir_version: 10, opset_import: ["" : {version}]>\n'
        return [Case("own", parser.parse_model(header + text), *rest) for text, *rest in structures(name)]
    for case in [*own, *operator.cases, *map(_with_constants, operator.cases)]:
        opset = next(item.version for item in case.model.opset_import if item.domain == operator.domain)
        model = case.model
        if opset < version:
            continue
        if opset != version:
            try:
                data = onward.convert_version(model, version).to_bytes() if not operator.domain else _relabelled(case, version)
            except onward.errors.OnwardError:
                continue
            model = onnx.load_from_string(data)
        if any(node.op_type == operator.name and node.domain == operator.domain for node in model.graph.node):
            found.append(Case(case.name, model, case.inputs, case.expected, case.model))
    return found


def _with_constants(case: Case) -> Case:
    """The case with all integer inputs but the first as initializers, as real models have them."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    kept, inputs = [], []
    for position, (value, data) in enumerate(zip(case.model.graph.input, case.inputs)):
        known = isinstance(data, (np.ndarray, np.generic)) and (data.dtype.kind in "iu" or data.size == 1) and data.dtype.kind != "O"
        if position and known and value.type.HasField("tensor_type"):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(data), value.name))
        else:
            kept.append(value)
            inputs.append(data)
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return Case(case.name + " with constants", model, inputs)


def _relabelled(case: Case, version: int) -> bytes:
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    for item in model.opset_import:
        if item.domain:
            item.version = version
    return model.SerializeToString()


def _try(outcome: Outcome, schema: Any, cases: list[Case]) -> None:
    """Runs the first case that can be given the type; fills in what came of it. One in stages gives way to a native one."""
    for case in sorted(cases, key=lambda case: _distance(case, schema, outcome)):
        if outcome.passed and (outcome.how == "native" or "with constants" not in case.name):
            continue
        given = retyped(case, schema, outcome.variable, outcome.type) or _produced(case, schema, outcome)
        if given is None:
            continue
        model, inputs = given
        before = dataclasses.replace(outcome)
        feeds = dict(zip([value.name for value in model.graph.input], inputs))
        given_feeds = copy.deepcopy(feeds)
        try:
            session = InferenceSession(model.SerializeToString())
            results = session.run(None, feeds)
        except Exception as problem:
            if schema.name in CONTROL and "a node Identity: input" in str(problem):
                continue  # nothing can produce such a value inside the body
            if not before.passed:
                outcome.how, outcome.problem = "fails", f"{case.name}: {type(problem).__name__}: {problem}"
            if len(case.model.graph.node) > 1 or "with constants" in case.name:
                continue  # a converted model may lack the type elsewhere
            return
        outcome.how, outcome.problem = "stages" if session.runs_in_stages else "native", ""
        judge(outcome, case, schema, model, given_feeds, results)
        if before.passed and (outcome.problem or outcome.how == "stages"):
            outcome.how, outcome.judge, outcome.problem = before.how, before.judge, before.problem
        if outcome.problem or outcome.how == "native":
            return


def _distance(case: Case, schema: Any, outcome: Outcome) -> int:
    """0 for cases that have the type already, 1 for those with a type of the same sort, 2 for others."""
    ports = _ports(next(node for node in case.model.graph.node if node.op_type == schema.name), schema)
    declared = _declared(case.model, ports, outcome.variable)
    if outcome.type in declared:
        return 0
    sorts = ("uint", "int", "float", "bfloat", "double", "complex", "string", "bool")

    def sort(kind: str) -> str:
        found = next((name for name in sorts if f"({name}" in kind), "")
        return {"double": "float", "bfloat": "float", "uint": "int"}.get(found, found)

    return 1 if sort(outcome.type) in map(sort, declared) else 2


def retyped(case: Case, schema: Any, variable: str, kind: str) -> tuple[onnx.ModelProto, list[Any]] | None:
    """The case with `kind` in the place of the variable; None where it does not lend itself to that."""
    match = WHOLE.match(kind)
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inexact = match is not None and match[2] not in ("bool", "string") and "complex" not in match[2]
    if schema.name == "GridSample" and not inexact and "nearest" not in str(case.model.graph.node[0]):
        return None
    nodes = [node for node in model.graph.node if node.op_type == schema.name and node.domain == schema.domain]
    node, inputs = nodes[0], list(case.inputs)
    ports = _ports(node, schema)
    if match is None:
        return (model, inputs) if _declared(model, ports, variable) == {kind} else None
    number = _number(match[2])
    changed = False
    for position, value in enumerate(model.graph.input):
        control = value.name.startswith("T_") and variable in "VS"
        if variable in ports.get(value.name, ()) or control:
            if _structure(value.type) != kind.replace(match[2], "{}"):
                return None
            _tensor_type(value.type).elem_type = number
            inputs[position] = converted(inputs[position], number, schema.name in DIVISORS and position == 1)
            changed = True
    for tensor in model.graph.initializer:
        if variable in ports.get(tensor.name, ()) and _structure_of_tensor(kind):
            tensor.CopyFrom(_tensor(tensor.name, converted(numpy_helper.to_array(tensor), number), number))
            changed |= "with constants" in case.name
    for output in model.graph.output:
        control = output.name.startswith("T_") and variable in "VS"
        if (variable in ports.get(output.name, ()) or control) and _structure(output.type) == kind.replace(match[2], "{}"):
            _tensor_type(output.type).elem_type = number
            changed |= not any(variable in ports.get(value.name, ()) for value in model.graph.input)
    for inner in (graph for item in node.attribute if item.HasField("g") for graph in [item.g]):
        for value in (*inner.input, *inner.output):
            if value.name.startswith("T_") and variable in "VS":
                _tensor_type(value.type).elem_type = number
    if any(item.HasField("g") for item in node.attribute) and schema.name not in CONTROL:
        return (model, inputs) if _declared(case.model, ports, variable) == {kind} else None
    if schema.name == "TreeEnsemble":
        for item in node.attribute:
            if item.HasField("t") and item.t.data_type == TensorProto.FLOAT:
                item.t.CopyFrom(_tensor(item.t.name, converted(numpy_helper.to_array(item.t), number), number))
    if schema.name == "BitCast":
        changed = _bit_cast(model, node, inputs, variable, number)
    produced = any(variable == port.type_str for port in schema.outputs)
    if schema.name in CONTROL:
        return (model, inputs) if changed else None
    if produced and schema.name != "BitCast" and not any(variable == port.type_str for port in schema.inputs):
        changed = _produce(node, schema, number)
    if not changed and _declared(model, ports, variable) == {kind}:
        return model, inputs
    return (model, inputs) if changed else None


def _bit_cast(model: Any, node: Any, inputs: list[Any], variable: str, number: int) -> bool:
    """To (or from) an unsigned integer of the same width."""
    bits = DataType(number).bits
    other = number if bits not in (2, 4, 8, 16, 32, 64) else _number(f"uint{bits}")
    source, target = (number, other) if variable == "T1" else (other, number)
    model.graph.input[0].type.tensor_type.elem_type = source
    model.graph.output[0].type.tensor_type.elem_type = target
    inputs[0] = converted(inputs[0], source)
    next(item for item in node.attribute if item.name == "to").i = target
    return True


def _tensor(name: str, data: np.ndarray, number: int) -> onnx.TensorProto:
    tensor = numpy_helper.from_array(data, name)
    tensor.data_type = number
    return tensor


def _structure_of_tensor(kind: str) -> bool:
    return kind.startswith("tensor")


def _produced(case: Case, schema: Any, outcome: Outcome) -> tuple[onnx.ModelProto, list[Any]] | None:
    """For a variable of outputs alone: the case with an input of the same elements."""
    match = WHOLE.match(outcome.type)
    if match is None or any(outcome.variable == port.type_str for port in schema.inputs):
        return None
    for port in schema.inputs:
        for kind in sorted(port.types, key=lambda kind: kind != outcome.type):
            inner = WHOLE.match(kind)
            if inner is not None and inner[2] == match[2] and len(port.types) > 1:
                given = retyped(case, schema, port.type_str, kind)
                if given is not None:
                    return given
    return None


def _produce(node: Any, schema: Any, number: int) -> bool:
    """Makes the node produce elements of a type that no input has."""
    if schema.name in OUTPUT_TYPE and OUTPUT_TYPE[schema.name] in schema.attributes:
        name = OUTPUT_TYPE[schema.name]
        kept = [item for item in node.attribute if item.name != name]
        value: Any = TensorProto.DataType.Name(number) if schema.name == "Cast" and schema.since_version == 1 else number
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])
        return True
    if schema.name in ("Constant", "ConstantOfShape"):
        data = np.ones([1] if schema.name == "ConstantOfShape" else [2, 3], np.float32)
        tensor = onnx.numpy_helper.from_array(converted(data, number))
        tensor.data_type = number
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("value", tensor))
        return True
    types = next(port.types for port in schema.outputs if any(_number_of(kind) == number for kind in port.types))
    return len(types) == 1


def _number_of(kind: str) -> int:
    match = WHOLE.match(kind)
    return _number(match[2]) if match else 0


def _ports(node: Any, schema: Any) -> dict[str, set[str]]:
    """Value name -> the type variables of the places where it stands."""
    found: dict[str, set[str]] = {}
    for names, formal in ((node.input, schema.inputs), (node.output, schema.outputs)):
        for position, name in enumerate(names):
            if name and formal:
                found.setdefault(name, set()).add(formal[min(position, len(formal) - 1)].type_str)
    return found


def _declared(model: Any, ports: dict[str, set[str]], variable: str) -> set[str]:
    values = (*model.graph.input, *model.graph.output)
    return {_name(value.type) for value in values if variable in ports.get(value.name, ())}


def _name(kind: onnx.TypeProto) -> str:
    if kind.HasField("map_type"):
        return f"map({_type_name(kind.map_type.key_type)},{_name(kind.map_type.value_type)})"
    if kind.HasField("sequence_type"):
        return f"seq({_name(kind.sequence_type.elem_type)})"
    if kind.HasField("optional_type"):
        return f"optional({_name(kind.optional_type.elem_type)})"
    return f"tensor({_type_name(kind.tensor_type.elem_type)})"


def _structure(kind: onnx.TypeProto) -> str:
    return re.sub(r"tensor\(\w+\)", "tensor({})", _name(kind))


def _tensor_type(kind: onnx.TypeProto) -> Any:
    while not kind.HasField("tensor_type"):
        kind = kind.sequence_type.elem_type if kind.HasField("sequence_type") else kind.optional_type.elem_type
    return kind.tensor_type


def _number(name: str) -> int:
    return TensorProto.DataType.Value(name.upper())


def _type_name(number: int) -> str:
    return TensorProto.DataType.Name(number).lower()


def converted(value: Any, number: int, divisor: bool = False) -> Any:
    """The data as elements of another type, within its range."""
    if isinstance(value, list):
        return [converted(item, number) for item in value]
    if value is None:
        return None
    data, kind = np.asarray(value), DataType(number)
    if kind == DataType.STRING:
        words = [str(item) for item in data.reshape(-1).tolist()]
        return np.array(words, object).reshape(data.shape)
    if data.dtype == object:
        data = np.array([float(item) if re.fullmatch(r"[-+.\de]+", str(item)) else len(str(item)) for item in data.ravel()])
        data = data.reshape(np.shape(value))
    if np.iscomplexobj(data):
        data = data.real
    wide = data.astype(np.float64)
    target = kind.numpy
    if kind == DataType.BOOL:
        return wide > 0
    if kind in (DataType.COMPLEX64, DataType.COMPLEX128):
        return (wide + 0.5j * np.roll(wide, 1)).astype(target)
    if np.issubdtype(target, np.integer) or "int" in target.name:
        limits = ml_dtypes.iinfo(target) if "int2" in target.name or "int4" in target.name else np.iinfo(target)
        if data.dtype.kind == "f" and wide.size and np.abs(wide).max() < 4:
            wide = wide * 3
        whole = np.clip(np.nan_to_num(np.round(wide)), float(limits.min), min(float(limits.max), 2.0**62))
        whole = np.where(whole == 0, 1, whole) if divisor else whole
        return whole.astype(np.int64).astype(target)
    data = wide if data.dtype == np.bool_ else data
    most = float(ml_dtypes.finfo(target).max)
    data, wide = (np.where(np.abs(item) > most, np.sign(item) * most, item).astype(item.dtype) for item in (data, wide))
    with np.errstate(all="ignore"):
        result = data.astype(target) if data.dtype.kind == "f" else wide.astype(np.float32).astype(target)
    return np.where(result == 0, np.ones_like(result), result) if divisor else result


LABELS = _label_cases()


# -- judges ----------------------------------------------------------------------------------------------------------
def judge(outcome: Outcome, case: Case, schema: Any, model: Any, feeds: dict[str, Any], results: list[Any]) -> None:
    """Compares with the judges until one agrees."""
    problems = []
    problems = []
    for name, expected in _judgements(case, schema, outcome, model, feeds):
        if schema.name == "Optional" and name == "reference":
            expected = expected[0]  # it wraps the value in a list of one element
        if schema.name == "DictVectorizer" and name == "reference":
            expected = [item.reshape(1, -1) for item in expected]  # as onnxruntime and the schema's text have it
        difference = _compare(results, expected, _is_random(schema), name not in ("reference", "onnxruntime"))
        if not difference:
            outcome.judge, outcome.problem = name, ""
            return
        problems.append(f"{name}: {difference}")
    if not problems and _is_random(schema):
        outcome.judge = "shape"
        return
    outcome.problem = f"{case.name}: " + ("; ".join(problems) or "no judge can run it")


def _is_random(schema: Any) -> bool:
    return schema.name in RANDOM or schema.name == "Dropout" and schema.since_version < 7


def _judgements(case: Case, schema: Any, outcome: Outcome, model: Any, feeds: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """What is expected: by the case itself, or by each judge that can run it."""
    if case.expected:
        yield "definition", case.expected(*feeds.values())
        return
    judges: list[tuple[str, Callable[[], Any]]] = [
        ("reference", lambda: _reference(model, feeds)),
        ("onnxruntime", lambda: _onnxruntime(model, feeds)),
    ]
    judges += [(f"widened to {wide}", functools.partial(_widened, case, schema, outcome, wide, run)) for wide in WIDER for run in (_reference, _onnxruntime)]
    for name, judged in judges:
        with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            expected = judged()
            if expected is not None:
                yield name, expected


WIDER = ("itself", "int64", "int32", "int8", "uint8", "double", "float", "complex")


def _reference(model: Any, feeds: dict[str, Any]) -> list[Any]:
    return ReferenceEvaluator(model).run(None, copy.deepcopy(feeds))


def _onnxruntime(model: Any, feeds: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, copy.deepcopy(feeds))


def _widened(case: Case, schema: Any, outcome: Outcome, wide: str, run: Callable[..., list[Any]]) -> list[Any] | None:
    """A judge on the same values as elements of a wider type; on the newest version where it cannot run this one."""
    match = WHOLE.match(outcome.type)
    if match is None:
        return None
    if wide == "complex":
        return _by_parts(case, schema, outcome) if "complex" in match[2] else None
    wide = match[2] if wide == "itself" else wide
    exact = retyped(case, schema, outcome.variable, outcome.type)
    models = [case.model] if case.newest is None else [case.model, case.newest]
    for model in models:
        own = schema if model is case.model else onnx.defs.get_schema(schema.name, domain=schema.domain)
        given = retyped(Case(case.name, model, case.inputs), own, outcome.variable, outcome.type.replace(match[2], wide))
        if given is None or exact is None:
            continue
        feeds = {}
        for value, data, wanted in zip(given[0].graph.input, exact[1], given[1]):
            feeds[value.name] = np.asarray(data).astype(np.asarray(wanted).dtype) if not isinstance(data, list) else data
        with contextlib.suppress(Exception):
            return run(given[0], feeds)
    return None


def _by_parts(case: Case, schema: Any, outcome: Outcome) -> list[Any] | None:
    """Complex numbers that are only moved: real and imaginary parts go the same way."""
    exact = retyped(case, schema, outcome.variable, outcome.type)
    given = retyped(case, schema, outcome.variable, re.sub(r"complex\d+", "double", outcome.type))
    if exact is None or given is None:
        return None
    parts = []
    for part in (np.real, np.imag):
        feeds = {}
        for value, data in zip(given[0].graph.input, exact[1]):
            feeds[value.name] = part(data).astype(np.float64) if np.iscomplexobj(data) else data
        for run in (_reference, _onnxruntime):
            with contextlib.suppress(Exception):
                parts.append(run(given[0], feeds))
                break
    real, imaginary = parts
    return [left + 1j * right if left.dtype == np.float64 else left for left, right in zip(real, imaginary)]


def _compare(results: list[Any], expected: list[Any], random: bool, widened: bool) -> str:
    if len(results) < len(expected):
        return f"{len(results)} outputs, expected {len(expected)}"
    for ours, theirs in zip(results, expected):
        difference = _difference(ours, theirs, random, widened)
        if difference:
            return difference
    return ""


def _difference(ours: Any, theirs: Any, random: bool, widened: bool) -> str:
    if isinstance(theirs, (list, tuple)):
        if len(ours) != len(theirs):
            return f"{len(ours)} elements, expected {len(theirs)}"
        return next((text for a, b in zip(ours, theirs) if (text := _difference(a, b, random, widened))), "")
    if theirs is None or isinstance(theirs, (dict, str, int, float)):
        return "" if ours == theirs else f"{ours}, expected {theirs}"
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, expected {theirs.shape}"
    if not widened and ours.dtype != theirs.dtype and "U" not in (ours.dtype.kind, theirs.dtype.kind):
        return f"{ours.dtype}, expected {theirs.dtype}"
    if random:
        return ""
    if "O" in (ours.dtype.kind, theirs.dtype.kind) or theirs.dtype.kind in "US":
        return "" if ours.astype(str).tolist() == theirs.astype(str).tolist() else f"{ours.tolist()}, expected {theirs.tolist()}"
    if widened and ours.dtype != theirs.dtype:
        theirs = _narrowed(theirs, ours.dtype)
    return _numbers(ours, theirs)


def _narrowed(data: np.ndarray, kind: np.dtype) -> np.ndarray:
    if kind == np.bool_:
        return data != 0
    if kind.kind in "iu":
        return data.astype(np.int64).astype(kind) if data.dtype.kind in "iub" else np.trunc(data).astype(kind)
    return data.astype(kind)


def _numbers(ours: np.ndarray, theirs: np.ndarray) -> str:
    complex_ = np.iscomplexobj(ours)
    wide = np.complex128 if complex_ else np.float64
    exact = ours.dtype.kind in "iub" or "int" in ours.dtype.name
    step = 0.0 if exact else float(ml_dtypes.finfo(ours.dtype).eps) if not complex_ else 1e-6
    left, right = ours.astype(wide), theirs.astype(wide)
    scale = np.abs(right[np.isfinite(right)]).max(initial=0)
    bound = 16 * max(step, 1e-7 if not exact else 0)
    if np.allclose(left, right, rtol=min(bound, 0.6), atol=min(bound, 0.3) * scale, equal_nan=True):
        return ""
    where = ~np.isclose(left, right, rtol=min(bound, 0.6), atol=min(bound, 0.3) * scale, equal_nan=True)
    return f"{left[where][:4]}, expected {right[where][:4]}"
