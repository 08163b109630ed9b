"""Models that cannot be one native function are run in stages.

Text, sequences, maps, values that shape others but are computed on the way (axes, the turns of a loop): a graph with any
of these is cut where they occur. At each stage the nodes whose inputs are there and that cannot be compiled are evaluated
on the host, through the same operator pages; then everything that can be compiled from what is known is compiled as one
native segment, and so on until the graph is done. What a stage does depends on the values that enter it (their ranks, which
extents are 0 or 1, the content of those that must be constants), so stages are found during the first run and kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onward import operators
from onward import program as P
from onward.compiler.capability import Capability
from onward.errors import InferenceError, OnwardError, UnsupportedOperator
from onward.ir import DataType, Graph, Model, Node, TensorType, Value
from onward.ir.expressions import Dimension, Expression, Symbol, SymbolAtom
from onward.ir.graph import captured_values
from onward.operators.arguments import ABSENT, NotConstant
from onward.operators.lowering import Lowering, describe
from onward.program.guards import collected
from onward.runtime import control
from onward.runtime.executable import Executable, GuardFailed
from onward.runtime.options import RunLimits

MOST_VARIANTS = 16
"""For so many different values of what must be constant a segment is compiled; for others its nodes run on the host."""

Values = dict[Value, Any]
Compile = Callable[[operators.Program, str], Executable]


class StagedModel:
    """A model run in stages. `compile` makes an executable of a program; its second argument tells programs apart."""

    def __init__(self, model: Model, compile: Compile) -> None:  # noqa: A002
        self.model = model
        self.compile = compile
        self.graphs: dict[Graph, StagedGraph] = {}
        self.captures: dict[Node, tuple[Value, ...]] = {}
        self.lock = threading.RLock()

    def run(self, feeds: Mapping[str, Any], limits: RunLimits) -> list[Any]:
        """The outputs in the graph's order for feeds by name, already of the types that the model declares."""
        graph = self.model.graph
        values = {value: feeds[value.name] for value in graph.inputs if value.name in feeds}
        return self.staged(graph).run(values, limits)

    def staged(self, graph: Graph) -> StagedGraph:
        """The stages of a graph of the model."""
        found = self.graphs.get(graph)
        if found is None:
            found = self.graphs.setdefault(graph, StagedGraph(self, graph, len(self.graphs)))
        return found

    def reads(self, node: Node) -> tuple[Value, ...]:
        """The values that a node needs: its inputs, and what its sub-graphs read from outside."""
        found = self.captures.get(node)
        if found is None:
            own = [value for value in node.inputs if value is not None]
            found = self.captures[node] = tuple(dict.fromkeys([*own, *captured_values(node)]))
        return found


class StagedGraph:
    """One graph, the main one or the body of a node, and the stages found so far."""

    def __init__(self, owner: StagedModel, graph: Graph, number: int) -> None:
        self.owner = owner
        self.graph = graph
        self.number = number
        self.nodes = graph.nodes
        self.on_host: set[Node] = set()
        self.stages: dict[frozenset[Node], _Stage] = {}

    def run(self, values: Values, limits: RunLimits) -> list[Any]:
        """The outputs, given the inputs and what is read from outside. `values` receives everything that is computed."""
        done: frozenset[Node] = frozenset()
        while True:
            limits.check()
            stage = self.stages.get(done)
            if stage is None:
                stage = self.stages.setdefault(done, _Stage(self, done))
            if not stage.nodes:
                return [value_of(value, values) for value in self.graph.outputs]
            done = done | stage.advance(values, limits)


def value_of(value: Value | None, values: Mapping[Value, Any]) -> Any:
    """The data of a value: computed, or that of an initialiser."""
    if value is None:
        return None
    if value not in values and value.tensor is not None:
        return value.tensor.numpy()
    return values[value]


@dataclass
class _HostNodes:
    """Nodes that are evaluated on the host."""

    nodes: list[Node]

    def run(self, staged: StagedGraph, values: Values, limits: RunLimits) -> frozenset[Node]:
        for node in self.nodes:
            limits.check()
            results = control.run_node(staged.owner, node, values, limits)
            values.update(zip(node.outputs, evaluate_node(staged.owner, node, values) if results is None else results))
        return frozenset(self.nodes)


@dataclass
class _Segment:
    """Nodes that are one native function. `outputs` says how its results become the values that are still needed."""

    nodes: frozenset[Node]
    executable: Executable | None
    inputs: list[Value]
    outputs: list[tuple[Value, Any]]

    def run(self, staged: StagedGraph, values: Values, limits: RunLimits) -> frozenset[Node]:
        arrays = [np.asarray(values[value], order="C") for value in self.inputs]
        results = iter(self.executable.run(arrays, stop=limits.stop_address) if self.executable is not None else ())
        for value, form in self.outputs:
            values[value] = _filled(form, results)
        return self.nodes


_Action = _HostNodes | _Segment


class _Stage:
    """What can follow once the nodes of `done` are computed."""

    def __init__(self, staged: StagedGraph, done: frozenset[Node]) -> None:
        self.staged = staged
        self.done = done
        self.nodes = [node for node in staged.nodes if node not in done]
        made = {value for node in self.nodes for value in node.outputs}
        needed = dict.fromkeys(value for node in self.nodes for value in staged.owner.reads(node))
        self.entering = [value for value in needed if value not in made and value.tensor is None]
        self.actions: dict[Any, _Action] = {}
        self.constants: dict[Any, tuple[Value, ...]] = {}

    def advance(self, values: Values, limits: RunLimits) -> frozenset[Node]:
        """Runs one action and returns the nodes it has computed."""
        try:
            return self._action(values, exact=False).run(self.staged, values, limits)
        except GuardFailed as problem:  # sizes that only these very shapes explain
            try:
                action = self._action(values, exact=True)
            except InferenceError:
                raise problem from None
            return action.run(self.staged, values, limits)

    def _action(self, values: Values, exact: bool) -> _Action:
        form = (exact, *(_form(values[value], exact) for value in self.entering))
        while True:
            constants = self.constants.get(form, ())
            key: tuple[Any, ...] = (form, *(_content(values[value]) for value in constants))
            found = self.actions.get(key)
            if found is not None:
                return found
            with self.staged.owner.lock:
                if len(self.actions) > MOST_VARIANTS:
                    key, constants, found = (form, "host"), (), self.actions.get((form, "host"))
                if found is None:
                    made = _Builder(self, values, exact, constants, key[1:] == ("host",)).action(key)
                    if isinstance(made, tuple):
                        self.constants[form] = (*constants, *made)
                        continue
                    found = self.actions[key] = made
            return found


@dataclass
class _Builder:
    """Decides what a stage does for given values."""

    stage: _Stage
    values: Values
    exact: bool
    constants: tuple[Value, ...]
    never_specialise: bool
    lowered: list[Node] = field(default_factory=list)
    host: list[Node] = field(default_factory=list)
    problems: list[OnwardError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.staged = self.stage.staged
        self.owner = self.staged.owner
        self.capability = Capability()
        self.lowering = Lowering(self.owner.model)
        self.inputs: dict[Value, P.Input] = {}
        for value in self.stage.entering:
            data = self.values[value]
            if value in self.constants:
                self.lowering.values[value] = constant(data)
            elif isinstance(data, np.ndarray) and data.dtype != object:
                shape = self._shape(value, data)
                self.inputs[value] = P.Input(shape, DataType.of(data.dtype), value.name)
                self.lowering.values[value] = self.inputs[value]

    def _shape(self, value: Value, data: np.ndarray) -> list[Dimension]:
        declared: Sequence[Any] = ()
        if value in self.staged.graph.inputs and isinstance(value.type, TensorType):
            declared = value.type.shape or ()
        shape: list[Dimension] = []
        for axis, extent in enumerate(data.shape):
            said = declared[axis] if axis < len(declared) else None
            named = isinstance(said, Expression) and isinstance(said.single_atom(), SymbolAtom)
            if self.exact or extent <= 1 or isinstance(said, int):
                shape.append(extent)
            else:
                shape.append(said if named and said is not None else Symbol(f"{value.name}.{axis}"))
        return shape

    def action(self, key: Any) -> _Action | tuple[Value, ...]:
        """What to do, or the values that would have to be constants first."""
        with collected() as self.lowering.guards:
            for node in self.stage.nodes:
                wanted = self._take(node)
                if wanted:
                    return wanted
        if self.host:
            return _HostNodes(self.host)
        if not self.lowered:
            raise (self.problems[0] if self.problems else UnsupportedOperator("the graph cannot be run: nothing is ready"))
        try:
            return self._segment(key)
        except UnsupportedOperator:
            bodies = [node for node in self.lowered if any(True for _ in node.subgraphs())]
            if not bodies:
                raise
            self.staged.on_host.update(bodies)
            return _Builder(self.stage, self.values, self.exact, self.constants, self.never_specialise).action(key)

    def _take(self, node: Node) -> tuple[Value, ...]:
        """Sorts a node into what is compiled, evaluated or left for later; returns what should become constant."""
        reads = self.owner.reads(node)
        there = all(value in self.lowering.values or value.tensor is not None for value in reads)
        if there and node not in self.staged.on_host:
            guards = dict(self.lowering.guards)
            if self._lowers(node):
                self.lowered.append(node)
                return ()
            self.lowering.guards.clear()
            self.lowering.guards.update(guards)
            problem = self.problems[-1]
            entering = {array: value for value, array in self.inputs.items()}
            arrays = getattr(problem, "arrays", ())
            if node.op_type not in control.LOOPS and not self.never_specialise and isinstance(problem, NotConstant):
                wanted = tuple(dict.fromkeys(entering[array] for array in arrays if array in entering))
                if wanted and len(wanted) == len(arrays):
                    return wanted
        if all(value in self.values or value.tensor is not None for value in reads):
            self.host.append(node)
        return ()

    def _lowers(self, node: Node) -> bool:
        try:
            taken = self.lowering.extend(node)
        except InferenceError as problem:
            self.problems.append(problem)
            taken = False
        else:
            self.problems.extend(item.error for item in self.lowering.unsupported)
        if taken:
            arrays = [array for value in node.outputs for array in _arrays(self.lowering.values[value])]
            refusal = None if arrays is None else self.capability.refusal(item for item in arrays if isinstance(item, P.Array))
            if refusal is None and all(isinstance(item, P.Array) for item in arrays):
                return True
            self.problems.append(UnsupportedOperator(f"{describe(node)}: {refusal or 'its results are no tensors'}"))
        for value in node.outputs:
            self.lowering.values.pop(value, None)
        return False

    def _segment(self, key: Any) -> _Segment:
        lowered = frozenset(self.lowered)
        left = [node for node in self.stage.nodes if node not in lowered]
        needed = {value for node in left for value in self.owner.reads(node)} | set(self.staged.graph.outputs)
        outputs: dict[str, P.Array] = {}
        forms: list[tuple[Value, Any]] = []
        for node in self.lowered:
            for value in node.outputs:
                if value in needed:
                    result = self.lowering.values[value]
                    outputs.update({f"{value.name}.{len(outputs) + n}": item for n, item in enumerate(_arrays(result))})
                    forms.append((value, _skeleton(result)))
        used = list(self.inputs.items())
        name = self.staged.graph.name
        program = operators.Program(name, tuple(array for _, array in used), outputs, {}, tuple(self.lowering.guards.values()))
        position = [self.staged.nodes.index(node) for node in self.lowered]
        executable = self.owner.compile(program, f"{self.staged.number} {position} {key}") if outputs else None
        return _Segment(lowered, executable, [value for value, _ in used], forms)


def evaluate_node(owner: StagedModel, node: Node, values: Mapping[Value, Any]) -> list[Any]:
    """The outputs of one node by its page, with everything it reads as constants, evaluated by NumPy."""
    lowering = Lowering(owner.model)
    for value in owner.reads(node):
        if value in values:
            lowering.values[value] = constant(values[value])
    if not lowering.extend(node):
        problem = lowering.unsupported[0]
        raise type(problem.error)(f"{problem.place}: {problem.error}")
    results = [lowering.values[value] for value in node.outputs]
    arrays = [item for result in results for item in _arrays(result) if isinstance(item, P.Array)]
    computed = iter(P.evaluate(arrays, {}))
    return [_filled(_skeleton(result), computed) for result in results]


def constant(data: Any) -> Any:
    """Data as the pages see it: arrays are constants, nothing is ABSENT, lists and maps stay what they are."""
    if data is None:
        return ABSENT
    if isinstance(data, list):
        return [constant(item) for item in data]
    return data if isinstance(data, dict) else P.constant(data)


_HOLE = object()


def _arrays(result: Any) -> Iterator[Any]:
    """The leaves of what a page returned."""
    if isinstance(result, list):
        for item in result:
            yield from _arrays(item)
    elif result is not ABSENT:
        yield result


def _skeleton(result: Any) -> Any:
    if isinstance(result, list):
        return [_skeleton(item) for item in result]
    return _HOLE if isinstance(result, P.Array) else None if result is ABSENT else result


def _filled(form: Any, results: Iterator[np.ndarray]) -> Any:
    if isinstance(form, list):
        return [_filled(item, results) for item in form]
    return next(results) if form is _HOLE else form


def _form(data: Any, exact: bool) -> Any:
    """What of a value decides how it is compiled."""
    if not isinstance(data, np.ndarray) or data.dtype == object:
        return None
    return data.dtype, data.shape if exact else tuple([extent if extent <= 1 else -1 for extent in data.shape])


def _content(data: np.ndarray) -> tuple[Any, ...]:
    return data.shape, data.tobytes()
