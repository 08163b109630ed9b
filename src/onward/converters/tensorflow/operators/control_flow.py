"""Constants, variables, calls, branches and loops of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Resource, Tensor, data_type
from onward.converters.tensorflow.operators.lists import TensorList, dense
from onward.converters.tensorflow.registry import structure
from onward.errors import UnsupportedOperator
from onward.ir import TensorType, Value
from onward.ir.datatypes import DataType

FORWARD = ("Identity", "StopGradient", "PreventGradient", "Snapshot", "EnsureShape", "GuaranteeConst")
LOOPS = ("While", "StatelessWhile")


@structure("Const")
def const(w: Any, op: Any) -> list[Any]:
    return [w.constant(tf.make_ndarray(op["value"]), op["dtype"], op.name)]


@structure(*FORWARD, "PlaceholderWithDefault")
def forward(w: Any, op: Any, x: Any) -> list[Any]:
    if isinstance(x, Tensor) and op.type == "EnsureShape" and x.value is not None:
        return [Tensor(w.c, w.shadow_of(op.source, [x])[0], x.value)]
    return [x]


@structure("NoOp", "Assert")
def nothing(w: Any, op: Any, *items: Any) -> list[Any]:
    """What is only awaited, or stops the source on data that it does not take."""
    return []


@structure("IdentityN")
def identities(w: Any, op: Any, *items: Any) -> list[Any]:
    return list(items)


@structure("ReadVariableOp")
def read_variable(w: Any, op: Any, variable: Resource) -> list[Any]:
    writers = [other.name for other in op.source.control_inputs if other.type.startswith("Assign")]
    if writers:
        raise UnsupportedOperator(f"the variable is written before ({writers[0]}): a model has no state, convert it as for inference")
    return [variable_of(w, variable, op["dtype"])]


def variable_of(w: Any, variable: Resource, dtype: tf.DType) -> Tensor:
    """The content of a variable, one initializer for all its readers."""
    cache = w.c.variables
    if id(variable.handle) not in cache:
        array = np.asarray(tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=dtype).numpy())
        cache[id(variable.handle)] = w.constant(array, dtype, variable.name)
    return cache[id(variable.handle)]


@structure("PartitionedCall", "StatefulPartitionedCall")
def call(w: Any, op: Any, *inputs: Any) -> list[Any]:
    return w.function(op["f"].name, inputs)


def _port(w: Any, inner: Any, dtype: tf.DType, shape: Any, name: str) -> Tensor:
    """An input of an inner graph."""
    extents = None if shape.rank is None else (*shape.as_list(), *[2] * dtype.is_complex)
    value = w.c.graph.new_value(TensorType(data_type(dtype), extents), name)
    inner.inputs.append(value)
    return w.tensor(value, dtype, shape)


def _give_back(c: Emitter, values: Sequence[Value]) -> None:
    """Makes values the outputs of the inner graph; each through a node of that graph."""
    c.graph.outputs.extend(c.op("Identity", value) for value in values)


def truth(c: Emitter, x: Tensor) -> Value:
    """A condition as a bool of rank 0."""
    if x.dtype == tf.string:
        raise UnsupportedOperator("text as a condition")
    value = c.cast(x, tf.bool)
    return value if x.rank == 0 else c.op("Greater", c.op("Size", value), np.array(0))


@structure("If", "StatelessIf")
def if_(w: Any, op: Any, condition: Tensor, *inputs: Any) -> list[Any]:
    names = op["then_branch"].name, op["else_branch"].name
    if condition.known is not None:
        return w.function(names[0] if np.any(condition.known) else names[1], inputs)
    return _branches(w, truth(w.c, condition), *[lambda name=name: w.function(name, inputs) for name in names])  # type: ignore[misc]


@structure("Case", "StatelessCase")
def case(w: Any, op: Any, index: Tensor, *inputs: Any) -> list[Any]:
    """The last branch serves for indices outside."""
    names = [branch.name for branch in op["branches"]]
    if index.known is not None:
        place = int(index.known)
        return w.function(names[place if 0 <= place < len(names) else -1], inputs)

    def chosen(place: int) -> list[Any]:
        if place == len(names) - 1:
            return w.function(names[place], inputs)
        test = w.c.op("Equal", index, w.c.number(place, index))
        return _branches(w, test, lambda: w.function(names[place], inputs), lambda: chosen(place + 1))

    return chosen(0)


def _branches(w: Any, test: Value, first: Any, second: Any) -> list[Any]:
    c = w.c
    graphs, results = [], []
    for name, branch in (("then_branch", first), ("else_branch", second)):
        with c.inner_graph(name) as inner:
            made = branch()
            results.append(made)
            _give_back(c, [dense(w, item).value for item in made])
        graphs.append(inner)
    count = len(graphs[0].outputs)
    if not count:
        return []
    made = c.op("If", test, then_branch=graphs[0], else_branch=graphs[1], outputs=count)
    values = [made] if count == 1 else made
    return [_joined(w, value, one, other) for value, one, other in zip(values, *results)]


def _joined(w: Any, value: Value, one: Any, other: Any) -> Any:
    first, second = dense(w, one), dense(w, other)
    made = w.tensor(value, first.dtype, first.shadow.shape.most_specific_compatible_shape(second.shadow.shape))
    return TensorList(made) if isinstance(one, TensorList) else made


@dataclass
class Count:
    """A loop's condition `counter < bound and ...`: for every part the places of counter and bound among the states, or the bound
    as a constant."""

    parts: list[tuple[int, int | None, Any]]


def source_of(tensor: Any) -> Any:
    """The tensor that is forwarded here."""
    while tensor.op.type in FORWARD:
        tensor = tensor.op.inputs[0]
    return tensor


def readers(tensor: Any) -> list[Any]:
    """The operators that do something with a tensor."""
    found = []
    for op in tensor.consumers():
        found += readers(op.outputs[0]) if op.type in FORWARD else [op]
    return found


def _place(tensor: Any, inputs: Sequence[Any]) -> int | None:
    return next((place for place, item in enumerate(inputs) if item.name == tensor.name), None)


def counted(condition: Any, body: Any) -> Count | None:
    """How a loop counts, where its condition only compares counters that rise by one with bounds that stay."""
    parts: list[tuple[int, int | None, Any]] = []
    pending = [condition.outputs[0]]
    while pending:
        tensor = source_of(pending.pop())
        if tensor.op.type == "LogicalAnd":
            pending += tensor.op.inputs
            continue
        if tensor.op.type == "Const" and bool(tf.make_ndarray(tensor.op.get_attr("value"))):
            continue
        if tensor.op.type != "Less":
            return None
        counter, bound = (source_of(item) for item in tensor.op.inputs)
        place, limit = _place(counter, condition.inputs), _place(bound, condition.inputs)
        if place is None or not rises(body, place):
            return None
        if limit is None and bound.op.type != "Const" or limit is not None and not stays(body, limit):
            return None
        parts.append((place, limit, None if limit is not None else tf.make_ndarray(bound.op.get_attr("value"))))
    return Count(parts) if parts else None


def rises(body: Any, place: int) -> bool:
    """Whether a state is one more after each turn."""
    after = source_of(body.outputs[place])
    if after.op.type not in ("AddV2", "Add"):
        return False
    left, right = (source_of(item) for item in after.op.inputs)
    if left.op.type == "Const":
        left, right = right, left
    return left.name == body.inputs[place].name and right.op.type == "Const" and tf.make_ndarray(right.op.get_attr("value")).tolist() == 1


def stays(body: Any, place: int) -> bool:
    """Whether a state never changes."""
    return bool(source_of(body.outputs[place]).name == body.inputs[place].name)


def may_not_end(graph: Any, op: Any) -> bool:
    """Whether an operator is a loop for which data may exist with which it goes on for ever."""
    from onward.converters.tensorflow.graph import inner_graph

    return op.type in LOOPS and counted(*(inner_graph(graph, op.get_attr(name).name) for name in ("cond", "body"))) is None


@structure(*LOOPS)
def while_(w: Any, op: Any, *initial: Any) -> list[Any]:
    from onward.converters.tensorflow.graph import inner_graph

    names = op["cond"].name, op["body"].name
    condition, body = (inner_graph(w.graph, name) for name in names)
    loop = Loop(w, names, condition, body, list(initial))
    return loop.written()


class Loop:
    """A loop being written: its states are what changes; lists that it only fills, turn by turn, are scan outputs."""

    def __init__(self, w: Any, names: tuple[str, str], condition: Any, body: Any, initial: list[Any]) -> None:
        self.w, self.names, self.condition, self.body, self.initial = w, names, condition, body, initial
        self.count = counted(condition, body)
        self.fixed = [place for place in range(len(initial)) if stays(body, place)]
        self.filled = {place: item for place in range(len(initial)) if (item := self._filling(place)) is not None}
        self.states = [place for place in range(len(initial)) if place not in self.fixed and place not in self.filled]
        if any(isinstance(initial[place], Resource) for place in self.states):
            raise UnsupportedOperator("a loop that exchanges resources")
        unshaped = [place for place in self.states if _is_unshaped(initial[place])]
        if unshaped:
            self._shape_lists(unshaped)
        for place in self.states:
            if isinstance(self.initial[place], TensorList):
                self.initial[place] = TensorList(dense(w, self.initial[place]))

    def _shape_lists(self, places: list[int]) -> None:
        """Elements of lists that only the loop fills are as large as in a first turn, of which nothing but the sizes is used."""
        from onward.converters.tensorflow.graph import Walker

        w = self.w
        walker = Walker(w.c, self.body, w.shadow)
        for place, item in zip(places, walker.run(self.initial, self.body.inputs, [self.body.outputs[place] for place in places])):
            if not _is_unshaped(item):
                after = dense(w, item)
                self.initial[place] = self.initial[place].like(w, w.c.op("Shape", after, start=1), after.shadow.shape[1:])

    def _filling(self, place: int) -> Any:
        """The operator that puts an element into the list at each turn, at the place of the turn, where nothing else uses it."""
        if not isinstance(self.initial[place], TensorList) or self.initial[place].tensor is not None:
            return None
        users = readers(self.body.inputs[place])
        after = source_of(self.body.outputs[place]).op
        if after.type not in ("TensorListSetItem", "TensorArrayWriteV3") or users != [after] or len(after.outputs[0].consumers()) > 1:
            return None
        if self.condition.inputs[place].consumers():
            return None
        counter = _place(source_of(after.inputs[1]), self.body.inputs)
        if counter is None or not rises(self.body, counter):
            return None
        start = self.initial[counter].known
        return after if start is not None and int(start) == 0 else None

    def trips(self) -> Value | None:
        """The number of turns, where a counter says it."""
        if self.count is None:
            return None
        c = self.w.c
        bounds = []
        for counter, limit, constant in self.count.parts:
            bound = self.initial[limit] if limit is not None else self.w.constant(np.asarray(constant), self.initial[counter].dtype)
            start = self.initial[counter]
            ends = c.cast(bound, tf.int64)
            if start.known is None or np.any(start.known):
                ends = c.op("Sub", ends, c.cast(start, tf.int64))
            if not bound.dtype.is_integer:
                return None
            bounds.append(ends)
        return bounds[0] if len(set(bounds)) == 1 else c.op("Min", *dict.fromkeys(bounds))

    def written(self) -> list[Any]:
        w, c = self.w, self.w.c
        trips = self.trips()
        first = None if trips is not None else truth(c, w.function(self.names[0], self.initial)[0])
        shapes = [dense(w, self.initial[place]).shadow.shape for place in self.states]
        while True:
            origin = dict(c.origin)
            inner, after, elements = self._body(shapes, trips is not None)
            c.origin = origin
            general = [shape.most_specific_compatible_shape(dense(w, item).shadow.shape) for shape, item in zip(shapes, after, strict=True)]
            if [str(shape) for shape in general] == [str(shape) for shape in shapes]:
                break
            shapes = general
        count = len(self.states) + len(self.filled)
        initial = [dense(w, self.initial[place]) for place in self.states]
        made = c.op("Loop", trips, first, *initial, body=inner, outputs=count)
        values = [made] if count == 1 else made
        results = list(self.initial)
        for place, value, item, shape in zip(self.states, values, after, shapes):
            tensor = w.tensor(value, dense(w, item).dtype, shape)
            results[place] = TensorList(tensor) if isinstance(item, TensorList) else tensor
        for place, value, item in zip(self.filled, values[len(self.states) :], elements):
            results[place] = self._list(place, value, item)
        return results

    def _body(self, shapes: Sequence[Any], is_counted: bool) -> tuple[Any, list[Any], list[Any]]:
        """The graph of one turn, the states after it and the elements of the lists that it fills."""
        w, c = self.w, self.w.c
        with c.inner_graph("body") as inner:
            for name, kind in (("turn", DataType.INT64), ("condition", DataType.BOOL)):
                inner.inputs.append(inner.new_value(TensorType(kind, ()), name))
            before = list(self.initial)
            for place, shape in zip(self.states, shapes, strict=True):
                old = dense(w, self.initial[place])
                port = _port(w, inner, old.dtype, shape, "state")
                before[place] = TensorList(port) if isinstance(self.initial[place], TensorList) else port
            from onward.converters.tensorflow.graph import Walker

            walker = Walker(c, self.body, w.shadow)
            wanted = [self.body.outputs[place] for place in self.states] + [item.inputs[2] for item in self.filled.values()]
            made = walker.run(before, self.body.inputs, wanted)
            after, elements = made[: len(self.states)], made[len(self.states) :]
            again = inner.inputs[1]
            if not is_counted:
                following = list(self.initial)
                for place, item in zip(self.states, after, strict=True):
                    following[place] = item
                again = truth(c, w.function(self.names[0], following)[0])
            _give_back(c, [again, *[dense(w, item).value for item in after], *[item.value for item in elements]])
        return inner, after, elements

    def _list(self, place: int, value: Value, element: Tensor) -> TensorList:
        """A list filled by the loop; what it did not reach is zero."""
        w, c, reserved = self.w, self.w.c, self.initial[place]
        shape = tf.TensorShape([None]).concatenate(element.shadow.shape)
        length = reserved.length
        bounds = [(self.initial[limit] if limit is not None else constant) for _, limit, constant in self.count.parts] if self.count else [None]
        if not all(_same(bound, length) for bound in bounds):
            missing = c.op("Sub", c.sizes([length]), c.op("Shape", value, start=0, end=1))
            value = c.op("Pad", value, c.sizes([0, missing]), None if element.dtype != tf.string else np.array("", object), [0])
        elif length.known is not None:
            shape = tf.TensorShape([int(length.known)]).concatenate(element.shadow.shape)
        return TensorList(w.tensor(value, element.dtype, shape))


def _is_unshaped(item: Any) -> bool:
    return isinstance(item, TensorList) and item.tensor is None and not item.shape.is_fully_defined()


def _same(bound: Any, length: Tensor) -> bool:
    if bound is None:
        return False
    if isinstance(bound, Tensor):
        if bound is length or bound.known is None and length.known is None and bound.value is length.value:
            return True
        bound = bound.known
    return bound is not None and length.known is not None and int(bound) == int(length.known)
