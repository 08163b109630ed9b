"""What is wrong with a model, all of it at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onward.errors import CheckError, InferenceError
from onward.ir import (
    Attribute,
    Graph,
    Model,
    Node,
    TensorType,
    Value,
)
from onward.operators.inference import infer
from onward.operators.lowering import describe
from onward.operators.schema import (
    ParameterOption,
    ParameterSchema,
    Schema,
    find_schema,
    known_domains,
    newest_ir_version,
    newest_opset,
    type_string,
    why_unknown,
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


def check(model: Model, *, shapes: bool = True) -> None:
    """Raises CheckError with every problem of the model: versions, names, order, arities, attributes, types.

    With `shapes`, the operators' definitions also look at the shapes (as far as the rest of the model is right).
    """
    problems = find_problems(model)
    if not problems and shapes:
        try:
            infer(model.copy())
        except InferenceError as error:
            problems.append(Problem("shapes", str(error)))
    if problems:
        raise CheckError(_report(model, problems), problems)


def find_problems(model: Model) -> list[Problem]:
    """Everything that is wrong with the model, but for shapes."""
    checker = _Checker(model)
    checker.run()
    return checker.problems


def _is_required(parameter: ParameterSchema) -> bool:
    variadic = parameter.option == ParameterOption.VARIADIC and parameter.homogeneous
    return variadic or parameter.option == ParameterOption.SINGLE


def _report(model: Model, problems: Sequence[Problem]) -> str:
    shown = "\n".join(f"  {problem}" for problem in problems[:100])
    more = f"\n  and {len(problems) - 100} more" if len(problems) > 100 else ""
    name = f" '{model.graph.name}'" if model.graph.name else ""
    return f"model{name} has {len(problems)} problem{'s' if len(problems) > 1 else ''}:\n{shown}{more}"


@dataclass
class _Scope:
    """What holds at a place of the model."""

    place: str
    opsets: Mapping[str, int]
    visible: set[Value] = field(default_factory=set)
    in_function: bool = False


class _Checker:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.problems: list[Problem] = []
        self.types: dict[Value, str] = {}

    def report(self, place: str, message: str) -> None:
        self.problems.append(Problem(place, message))

    def run(self) -> None:
        opsets = self._opsets("model", self.model.opset_imports)
        if not 1 <= self.model.ir_version <= newest_ir_version():
            self.report("model", f"IR version {self.model.ir_version} is outside 1 to {newest_ir_version()}")
        for key, function in self.model.functions.items():
            self._function(key, function, opsets)
        self._function_cycles()
        if not self.model.graph.name:
            self.report("graph", "it has no name")
        self._graph(self.model.graph, _Scope("graph", opsets), main=True)

    # -- versions ----------------------------------------------------------------------------------------------
    def _opsets(self, place: str, imports: Mapping[str, int]) -> dict[str, int]:
        if not imports and self.model.ir_version >= 3:
            self.report(place, "it imports no operator set; expected at least one entry of opset_import")
        opsets = {"" if domain == "ai.onnx" else domain: version for domain, version in imports.items()} or {"": 1}
        for domain, version in opsets.items():
            if domain in known_domains() and not 1 <= version <= newest_opset(domain):
                newest = newest_opset(domain)
                self.report(place, f"it imports version {version} of {domain or 'ai.onnx'}; known are 1 to {newest}")
        return opsets

    # -- functions ---------------------------------------------------------------------------------------------
    def _function(self, key: Any, function: Any, opsets: Mapping[str, int]) -> None:
        place = f"function {function.name}"
        own = self._opsets(place, function.opset_imports)
        scope = _Scope(place, {**opsets, **own}, set(function.inputs), in_function=True)
        self._names(place, [value.name for value in function.inputs], "input")
        self._nodes(function.nodes, scope)
        self._outputs(function.outputs, scope)

    def _function_cycles(self) -> None:
        calls = {
            key: {(node.domain, node.op_type, node.overload) for node in function.nodes if (node.domain, node.op_type, node.overload) in self.model.functions}
            for key, function in self.model.functions.items()
        }
        for start in calls:
            if _reaches(start, calls):
                self.report(f"function {start[1]}", "it calls itself, directly or through others")

    # -- graphs ------------------------------------------------------------------------------------------------
    def _graph(self, graph: Graph, scope: _Scope, *, main: bool) -> None:
        self._names(scope.place, [value.name for value in graph.inputs], "input")
        self._names(scope.place, [value.name for value in graph.outputs], "output") if main else None
        for value in graph.inputs:
            if value.type is None and main:
                self.report(scope.place, f"input '{value.name}' has no type")
            self._note_type(value)
        for name, value in graph.initializers.items():
            self._initializer(name, value, graph, scope)
        scope.visible.update(graph.inputs, graph.initializers.values())
        self._nodes(graph.nodes, scope)
        self._outputs(graph.outputs, scope)

    def _initializer(self, name: str, value: Value, graph: Graph, scope: _Scope) -> None:
        if not name:
            self.report(scope.place, "an initialiser has no name")
        if self.model.ir_version < 4 and value not in graph.inputs:
            self.report(scope.place, f"initialiser '{name}' is no input, as IR version {self.model.ir_version} asks")
        tensor, kind = value.tensor, value.type
        if tensor is None:
            return
        self.types[value] = f"tensor({tensor.dtype.name.lower()})"
        if isinstance(kind, TensorType):
            fits = (
                kind.shape is None
                or len(kind.shape) == len(tensor.shape)
                and all(not isinstance(wanted, int) or wanted == extent for wanted, extent in zip(kind.shape, tensor.shape))
            )
            if kind.dtype != tensor.dtype or not fits:
                self.report(
                    scope.place,
                    f"initialiser '{name}' is {tensor.dtype.name} {list(tensor.shape)}, but is declared as {kind}",
                )

    def _names(self, place: str, names: Iterable[str], what: str) -> None:
        seen: set[str] = set()
        for name in names:
            if not name:
                self.report(place, f"an {what} has no name")
            elif name in seen:
                self.report(place, f"{what} '{name}' occurs twice")
            seen.add(name)

    def _outputs(self, outputs: Iterable[Value], scope: _Scope) -> None:
        for value in outputs:
            if value not in scope.visible and value.tensor is None:
                self.report(scope.place, f"output '{value.name}' is computed by no node")

    def _nodes(self, nodes: Iterable[Node], scope: _Scope) -> None:
        produced = {value.name: "an input or initialiser" for value in scope.visible if value.producer is None}
        for node in nodes:
            place = f"{scope.place}, {describe(node)}"
            for index, value in enumerate(node.inputs):
                if value is not None and value not in scope.visible and value.tensor is None:
                    late = value.producer is not None and value.producer.graph is node.graph
                    reason = "is computed only later" if late else "is not defined"
                    self.report(place, f"input {index} '{value.name}' {reason}")
            self._node(node, place, scope)
            for value in node.outputs:
                if not value.name:
                    continue
                if value.name in produced:
                    self.report(place, f"output '{value.name}' is already the name of {produced[value.name]}")
                produced[value.name] = f"an output of {describe(node)}"
                scope.visible.add(value)

    # -- nodes -------------------------------------------------------------------------------------------------
    def _node(self, node: Node, place: str, scope: _Scope) -> None:
        if not node.op_type:
            self.report(place, "it has no operator")
            return
        for attribute in node.attributes.values():
            self._attribute(attribute, place, scope)
        if (node.domain, node.op_type, node.overload) in self.model.functions:
            self._call(node, place)
            return
        domain = "" if node.domain == "ai.onnx" else node.domain
        opset = scope.opsets.get(domain)
        if opset is None:
            self.report(place, f"the model imports no version of its domain '{domain or 'ai.onnx'}'")
            return
        schema = find_schema(domain, node.op_type, opset)
        if schema is None:
            if domain in known_domains():
                self.report(place, why_unknown(domain, node.op_type, opset))
            return
        if schema.deprecated:
            since = f"version {schema.since} of {domain or 'ai.onnx'}"
            self.report(place, f"operator {schema} is deprecated since {since}")
            return
        self._arity(node, schema, place)
        self._schema_attributes(node, schema, place, scope)
        self._subgraph_outputs(node, domain, place)
        self._types(node, schema, place)

    def _subgraph_outputs(self, node: Node, domain: str, place: str) -> None:
        """If, Loop and Scan have as many outputs as their sub-graphs give; a Loop's body gives its condition, too."""
        extra = {"If": 0, "Scan": 0, "Loop": 1}.get(node.op_type)
        for graph in node.subgraphs() if extra is not None and not domain else ():
            if len(graph.outputs) != len(node.outputs) + extra:  # type: ignore[operator]
                shown = f"it has {len(node.outputs)} outputs, but its sub-graph '{graph.name}' gives {len(graph.outputs)}"
                self.report(place, f"{shown}{', the condition included' if extra else ''}")

    def _call(self, node: Node, place: str) -> None:
        function = self.model.functions[node.domain, node.op_type, node.overload]
        for what, given, takes in (
            ("inputs", len(node.inputs), len(function.inputs)),
            ("outputs", len(node.outputs), len(function.outputs)),
        ):
            if given > takes:
                self.report(place, f"it has {given} {what}, but function {function.name} has {takes}")

    def _arity(self, node: Node, schema: Schema, place: str) -> None:
        self._count(place, "inputs", len(node.inputs), schema.minimum_inputs, schema.maximum_inputs, schema)
        self._count(place, "outputs", len(node.outputs), schema.minimum_outputs, schema.maximum_outputs, schema)
        for index, value in enumerate(node.inputs[: schema.maximum_inputs]):
            parameter = schema.input(index) if schema.inputs else None
            if value is None and parameter is not None and _is_required(parameter):
                self.report(place, f"input {index} ({parameter.name}) of {schema} is required and missing")

    def _count(self, place: str, what: str, count: int, least: int, most: int, schema: Schema) -> None:
        if not least <= count <= most:
            wanted = str(least) if least == most else f"at least {least}" if most >= 2**31 - 1 else f"{least} to {most}"
            self.report(place, f"it has {count} {what}, but {schema} takes {wanted}")

    # -- attributes --------------------------------------------------------------------------------------------
    def _attribute(self, attribute: Attribute, place: str, scope: _Scope) -> None:
        if attribute.reference and not scope.in_function:
            self.report(place, f"attribute {attribute.name} refers to '{attribute.reference}' outside a function")
        graphs = [attribute.value] if isinstance(attribute.value, Graph) else attribute.value
        for graph in graphs if isinstance(graphs, list) else []:
            if isinstance(graph, Graph):
                inner = _Scope(f"{place}, {attribute.name}", scope.opsets, set(scope.visible), scope.in_function)
                self._graph(graph, inner, main=False)

    def _schema_attributes(self, node: Node, schema: Schema, place: str, scope: _Scope) -> None:
        for name, attribute in node.attributes.items():
            known = schema.attributes.get(name)
            if known is None:
                names = ", ".join(schema.attributes) or "none"
                self.report(place, f"{schema} has no attribute '{name}'; known are: {names}")
            elif attribute.type not in (known.type, "UNDEFINED"):
                self.report(place, f"attribute {name} is {attribute.type}, but {schema} takes {known.type}")
        for name, known in schema.attributes.items():
            if known.required and name not in node.attributes:
                self.report(place, f"{schema} needs the attribute '{name}' ({known.type})")

    # -- types -------------------------------------------------------------------------------------------------
    def _note_type(self, value: Value) -> str | None:
        if value not in self.types:
            tensor = value.tensor
            text = f"tensor({tensor.dtype.name.lower()})" if tensor is not None else type_string(value.type)
            if text is not None:
                self.types[value] = text
        return self.types.get(value)

    def _types(self, node: Node, schema: Schema, place: str) -> None:
        """Data types of inputs and outputs against the type variables of the schema."""
        bound: dict[str, tuple[str, str]] = {}
        for index, value in enumerate(node.inputs):
            if value is not None and schema.inputs:
                self._type(value, schema.input(index), f"input {index} '{value.name}'", schema, place, bound)
        for index, value in enumerate(node.outputs):
            if not value.name or not schema.outputs:
                continue
            parameter = schema.output(index)
            allowed = schema.allowed_types(parameter)
            if self._note_type(value) is None and parameter.homogeneous:
                if parameter.type in bound:
                    self.types[value] = bound[parameter.type][0]
                elif len(allowed) == 1:
                    (self.types[value],) = allowed
            self._type(value, parameter, f"output {index} '{value.name}'", schema, place, bound)

    def _type(
        self,
        value: Value,
        parameter: ParameterSchema,
        what: str,
        schema: Schema,
        place: str,
        bound: dict[str, tuple[str, str]],
    ) -> None:
        found = self._note_type(value)
        if found is None:
            return
        allowed = schema.allowed_types(parameter)
        if found not in allowed:
            wanted = ", ".join(sorted(allowed))
            self.report(place, f"{what} is {found}, but {parameter.name} of {schema} takes {wanted}")
            return
        if parameter.type in schema.constraints and parameter.homogeneous:
            other, where = bound.setdefault(parameter.type, (found, what))
            if other != found:
                self.report(place, f"{what} is {found}, but {where} is {other}; {schema} wants one type for both")


def _reaches(start: Any, calls: Mapping[Any, set[Any]]) -> bool:
    """Whether a function can come to call itself."""
    pending, seen = list(calls[start]), set()
    while pending:
        item = pending.pop()
        if item == start:
            return True
        if item not in seen:
            seen.add(item)
            pending.extend(calls[item])
    return False
