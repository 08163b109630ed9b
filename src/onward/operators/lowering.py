"""From a graph to a tensor program: each node is replaced by the definition on its operator's page."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from onward import program as P
from onward.errors import InferenceError, InvalidArgument, OnwardError, UnsupportedOperator
from onward.ir import Attribute, Graph, Model, Node, Origin, TensorType, Value
from onward.ir.expressions import Dimension, Expression, Symbol
from onward.ir.graph import captured_values
from onward.operators.arguments import ABSENT, NotConstant
from onward.operators.native import Call, Claims, Form
from onward.operators.registry import Context, Definition, find_definition
from onward.operators.schema import Schema, find_schema, type_string
from onward.program.guards import Guard, collected, require_at_least

LEGACY_ATTRIBUTES = frozenset({"consumed_inputs"})
"""Attributes of operator versions 1 to 5 that carry no meaning."""


NONSENSE = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a definition may raise on ranks or attributes that no model should have; pages need not foresee them all."""


@dataclass(frozen=True)
class Program:
    """A graph in the tensor language.

    `inputs` are the graph's inputs that have no initialiser, in order; `outputs` its outputs by name, in order.
    `guards` is what the sizes of a run must fulfil. `values` holds what each value of the graph became, for profiling and for type inference.
    """

    name: str
    inputs: tuple[P.Input, ...]
    outputs: Mapping[str, P.Array]
    values: Mapping[Value, Any] = field(repr=False)
    guards: tuple[Guard, ...] = field(default=(), repr=False)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names of the sizes that the inputs' shapes determine, in order of first appearance."""
        names: dict[str, None] = {}
        for item in self.inputs:
            for extent in item.shape:
                if isinstance(extent, Expression):
                    names.update(dict.fromkeys(sorted(extent.symbols)))
        return tuple(names)


def lower(
    source: Model | Graph,
    *,
    shapes: Mapping[str, Sequence[Dimension]] | None = None,
    constants: Mapping[str, Any] | None = None,
    native: Form | None = None,
    parameters: Container[Value] = (),
) -> Program:
    """The tensor program of a model or of a graph.

    Named dimensions of inputs become symbols of that name, unknown ones symbols of their own. `shapes` overrides the
    declared shapes of inputs; `constants` gives inputs a fixed value, so that they are inputs no more (a list of
    arrays for a sequence, None for an optional value that is absent). `native` may claim calls of operators, whose results are then
    those of routines of that name (`native.py`). Initialisers among `parameters` are weights that may change: nothing is computed
    of them ahead of the run. Raises
    UnsupportedOperator with all nodes that no page defines (NotConstant when nothing is amiss but inputs that should
    be constants), and InferenceError, which names the node, where a definition refuses its inputs.
    """
    lowering = Lowering(source, shapes, constants, native, parameters)
    program = lowering.run()
    if lowering.unsupported:
        raise _joined(lowering.unsupported)
    return program


@dataclass(frozen=True)
class Unsupported:
    """A node or input that could not be lowered, and why."""

    place: str
    error: UnsupportedOperator


@dataclass
class _Scope:
    """Where a node stands: the opsets that hold there and the attributes that references resolve to."""

    opsets: Mapping[str, int]
    attributes: Mapping[str, Attribute]


class Lowering:
    """One walk over a graph. What cannot be lowered is listed in `unsupported`, and so is what depends on it."""

    def __init__(
        self,
        source: Model | Graph,
        shapes: Mapping[str, Sequence[Dimension]] | None = None,
        constants: Mapping[str, Any] | None = None,
        native: Form | None = None,
        parameters: Container[Value] = (),
    ) -> None:
        model = source if isinstance(source, Model) else source.model
        self.graph = source.graph if isinstance(source, Model) else source
        self.opsets = {_domain(domain): version for domain, version in model.opset_imports.items()} if model else {}
        self.functions = dict(model.functions) if model else {}
        self.shapes = shapes or {}
        self.constants = constants or {}
        self.parameters = parameters
        self.claims = None if native is None else Claims(native, getattr(native, "of_weights", frozenset()))
        self.values: dict[Value, Any] = {}
        self.unsupported: list[Unsupported] = []
        self.calls: list[Any] = []
        self.guards: dict[Any, Guard] = {}

    def run(self) -> Program:
        """Lowers the graph. Values that could not be lowered are missing from the program."""
        inputs = []
        for value in self.graph.inputs:
            if value.name in self.constants:
                self.values[value] = _constant(self.constants[value.name])
            elif value.tensor is None:
                try:
                    self.values[value] = self._input(value)
                    inputs.append(self.values[value])
                except UnsupportedOperator as problem:
                    self.unsupported.append(Unsupported(f"input '{value.name}'", problem))
        with collected() as self.guards:
            self._nodes(self.graph.nodes, _Scope(self.opsets, {}))
        outputs = {value.name: self._value(value) for value in self.graph.outputs}
        return Program(self.graph.name, tuple(inputs), outputs, self.values, tuple(self.guards.values()))

    def enter(self, value: Value) -> None:
        """Makes an input of a value whose declared type is known, whatever computes it."""
        array = self._input(value)
        if array is not None:
            self.values[value] = array

    def extend(self, node: Node) -> bool:
        """Lowers one more node of the graph; says whether that was possible."""
        self.unsupported.clear()
        self._nodes([node], _Scope(self.opsets, {}))
        return not self.unsupported and all(value in self.values for value in node.outputs)

    def _input(self, value: Value) -> P.Input:
        kind = value.type
        if not isinstance(kind, TensorType):
            raise NotConstant(f"its type {type_string(kind)} is no tensor; it must be a constant", names=[value.name])
        shape = self.shapes.get(value.name, kind.shape)
        if shape is None:
            raise UnsupportedOperator("its rank is not known; give its shape")
        extents = [Symbol(f"{value.name}.{axis}") if extent is None else extent for axis, extent in enumerate(shape)]
        return P.Input(extents, kind.dtype, value.name)

    def _value(self, value: Value | None) -> Any:
        if value is None:
            return None
        if value not in self.values and value.tensor is not None:
            kind = P.Parameter if value in self.parameters else P.Constant
            self.values[value] = kind(value.tensor, value.name)
        return self.values.get(value)

    def _nodes(self, nodes: Iterable[Node], scope: _Scope) -> None:
        for node in nodes:
            if any(value is not None and self._value(value) is None for value in node.inputs):
                continue  # depends on something that is listed already
            self._node(node, scope)

    def _body(self, nodes: Iterable[Node], scope: _Scope, place: str) -> None:
        """Nodes that stand for one node outside: what they cannot do, that node cannot."""
        outside, self.unsupported = self.unsupported, []
        self._nodes(nodes, scope)
        inside, self.unsupported = self.unsupported, outside
        if inside:
            raise _joined(inside, place)

    def _node(self, node: Node, scope: _Scope) -> None:
        inputs = [self._value(value) for value in node.inputs]
        before = len(self.guards)
        try:
            results = self._results(node, inputs, scope)
            _check_sizes(results)
        except UnsupportedOperator as problem:
            self.unsupported.append(Unsupported(describe(node), problem))
            return
        except InferenceError:
            raise
        except OnwardError as problem:
            raise InferenceError(f"{describe(node)}: {problem}") from problem
        except NONSENSE as problem:
            shown = ", ".join(map(str, inputs))
            reason = f"its inputs ({shown}) and attributes do not go together ({type(problem).__name__}: {problem})"
            raise InferenceError(f"{describe(node)}: {reason}") from problem
        for key in list(self.guards)[before:] if len(self.guards) > before else ():
            guard = self.guards[key]
            if not guard.message.startswith("node"):
                self.guards[key] = replace(guard, message=f"{describe(node)}: {guard.message}")
        for value, result in zip(node.outputs, results):
            self.values[value] = result
            _mark(result, value, node)

    def _results(self, node: Node, inputs: list[Any], scope: _Scope) -> tuple[Any, ...]:
        domain = _domain(node.domain)
        function = self.functions.get((node.domain, node.op_type, node.overload))
        if function is not None:
            return self._call(node, function, inputs, scope)
        opset = scope.opsets.get(domain, 1)
        schema = find_schema(domain, node.op_type, opset)
        definition = find_definition(domain, node.op_type, schema.since if schema else opset)
        if definition is None or (schema is not None and schema.deprecated):
            shown = f"{domain + '.' if domain else ''}{node.op_type}"
            raise UnsupportedOperator(f"no page defines {shown} in version {opset}")
        return self._apply(node, definition, schema, inputs, scope, opset)

    def _apply(self, node: Node, definition: Definition, schema: Schema | None, inputs: list[Any], scope: _Scope, opset: int) -> tuple[Any, ...]:
        named = _attributes(node, definition, schema, scope)
        context = {}
        if definition.wants_context:
            context["context"] = Context(
                node,
                schema,
                opset,
                len(node.outputs),
                lambda graph, given: self._inline(graph, given, scope),
                lambda: [self._value(value) for value in captured_values(node)],
            )
        if definition.maximum_inputs is not None:
            if len(inputs) > definition.maximum_inputs:
                raise InvalidArgument(f"it has {len(inputs)} inputs, but takes {definition.maximum_inputs}")
            inputs = inputs + [None] * (definition.maximum_inputs - len(inputs))
        results = definition.function(*inputs, **named, **context)
        results = results if isinstance(results, tuple) else (results,)
        if len(results) < len(node.outputs):
            raise UnsupportedOperator(f"output {len(results)} is not computed")
        if self.claims is None:
            return results
        return self.claims.results(Call(node, schema.since if schema else opset, tuple(inputs), named, results[: len(node.outputs)]))

    def _inline(self, graph: Graph, inputs: Sequence[Any], scope: _Scope) -> tuple[Any, ...]:
        """The outputs of a sub-graph that is given `inputs`."""
        for value, array in zip(graph.inputs, inputs):
            self.values[value] = array
        self._body(graph.nodes, scope, "in a sub-graph: ")
        return tuple(self._value(value) for value in graph.outputs)

    def _call(self, node: Node, function: Any, inputs: list[Any], scope: _Scope) -> tuple[Any, ...]:
        """The body of a model-local function in the place of the node."""
        if function in self.calls:
            raise InvalidArgument(f"function {node.op_type} calls itself")
        self.calls.append(function)
        given = {**function.attribute_defaults, **{name: _resolve(a, scope) for name, a in node.attributes.items()}}
        outer = self.values
        self.values = dict(zip(function.inputs, inputs))
        try:
            opsets = {_domain(domain): version for domain, version in function.opset_imports.items()}
            self._body(function.nodes, _Scope({**scope.opsets, **opsets}, given), f"in function {node.op_type}: ")
            return tuple(self._value(value) for value in function.outputs)
        finally:
            self.values = outer
            self.calls.pop()


def _constant(value: Any) -> Any:
    if value is None:
        return ABSENT
    return [_constant(item) for item in value] if isinstance(value, list) else P.constant(value)


def describe(node: Node) -> str:
    """A node as messages name it."""
    return f"node '{node.name}' ({node.op_type})" if node.name else f"a node {node.op_type}"


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _resolve(attribute: Attribute, scope: _Scope) -> Attribute | None:
    return scope.attributes.get(attribute.reference) if attribute.reference else attribute


def _attributes(node: Node, definition: Definition, schema: Schema | None, scope: _Scope) -> dict[str, Any]:
    """The keyword arguments of the definition: the schema's defaults, then what the node says."""
    defaults = {name: item.default for name, item in schema.attributes.items()} if schema else {}
    takes = definition.attributes
    named = {name: value for name, value in defaults.items() if value is not None and name in takes}
    for name, attribute in node.attributes.items():
        resolved = _resolve(attribute, scope)
        if resolved is None or name in LEGACY_ATTRIBUTES:
            continue
        value = _text(resolved.value) if resolved.type in ("STRING", "STRINGS") else resolved.value
        if name in takes or definition.takes_all_attributes:
            named[name] = value
        elif defaults.get(name) != value:
            raise UnsupportedOperator(f"attribute {name} = {value!r} has no meaning on the operator's page")
    return named


def _text(value: Any) -> Any:
    """Strings as text where they are text; they are bytes in the file."""
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    if isinstance(value, list):
        return [_text(item) for item in value]
    return value


def _check_sizes(results: Iterable[Any]) -> None:
    """Asks that no result have a negative size, as that of a window has which is larger than what it goes over. Raises InvalidArgument for a known one."""
    for result in results:
        for extent in result.shape if isinstance(result, P.Array) else ():
            require_at_least(extent, 0, "the input is too small, and a size of the result would be negative")


def _mark(result: Any, value: Value, node: Node) -> None:
    """Tells the arrays that a node made where they come from."""
    origins = value.provenance or (Origin(node.name, node.op_type, dict(node.metadata)),)
    pending = [item for item in (result if isinstance(result, list) else [result]) if isinstance(item, P.Array)]
    if pending and not pending[0].origins and value.name and not isinstance(pending[0], P.Input):
        pending[0].label = value.name
    while pending:
        array = pending.pop()
        if not array.origins and not isinstance(array, P.Input):
            array.origins = origins
            pending.extend(array.sources)


def _joined(problems: Sequence[Unsupported], place: str = "") -> UnsupportedOperator:
    """One error for all: NotConstant when every one of them is that."""
    errors = [item.error for item in problems]
    lines = [f"{item.place}: {item.error}" for item in problems[:50]]
    if len(problems) == 1:
        message = place + lines[0]
    else:
        more = [f"and {len(problems) - 50} more"] if len(problems) > 50 else []
        message = f"{place}{len(problems)} things are not supported:" + "".join(f"\n  {line}" for line in lines + more)
    if all(isinstance(error, NotConstant) for error in errors):
        return NotConstant(
            message,
            [array for error in errors for array in getattr(error, "arrays", ())],
            [name for error in errors for name in getattr(error, "names", ())],
        )
    return UnsupportedOperator(message)


def unsupported_operators(model: Model) -> list[str]:
    """The operators of a model, as domain.name-version, that no page defines; those inside functions included."""
    missing: dict[str, None] = {}
    bodies: list[tuple[Sequence[Node], Mapping[str, int]]] = [(model.graph.nodes, model.opset_imports)]
    bodies += [(function.nodes, function.opset_imports) for function in model.functions.values()]
    for nodes, imports in bodies:
        opsets = {_domain(domain): version for domain, version in imports.items()}
        for node in nodes:
            if (node.domain, node.op_type, node.overload) in model.functions:
                continue
            domain, opset = _domain(node.domain), opsets.get(_domain(node.domain), 1)
            schema = find_schema(domain, node.op_type, opset)
            since = schema.since if schema else opset
            if find_definition(domain, node.op_type, since) is None:
                missing[f"{domain or 'ai.onnx'}.{node.op_type}-{since}"] = None
    return list(missing)
