"""A chain of steps on rows: scalers, layers of weights, activations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from onward import program as P
from onward.converters.targets.recognition.heads import Head, head_of
from onward.converters.targets.recognition.rows import RowModel, Unrecognized
from onward.ir import Node, TensorType, Value
from onward.ir.datatypes import DataType
from onward.ir.expressions import Symbol
from onward.tools.extraction import extract


@dataclass(frozen=True)
class Scaled:
    """(x - `shift`) / `scale`, column by column; or x * `scale` + `shift` if `multiplied`."""

    shift: np.ndarray
    scale: np.ndarray
    multiplied: bool = False


@dataclass(frozen=True)
class Imputed:
    """`values` in the place of NaN, column by column."""

    values: np.ndarray


@dataclass(frozen=True)
class Normalized:
    """Rows divided by their `norm`: max, l1 or l2."""

    norm: str


@dataclass(frozen=True)
class Binarized:
    """1 where a number is greater than the `threshold`, else 0."""

    threshold: float


@dataclass(frozen=True)
class Dense:
    """x @ `weights` (columns, outputs) + `bias`."""

    weights: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Activation:
    """`name` is relu, tanh or logistic."""

    name: str


Step = Scaled | Imputed | Normalized | Binarized | Dense | Activation


@dataclass
class Chain:
    """The steps of a model from the rows on, as far as they are known, and the value of the graph after each of them."""

    steps: list[Step] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)


def chain_of(rows: RowModel) -> Chain:
    """The steps from the rows on, up to the first node that is none or to where the graph branches."""
    chain = Chain()
    value = matrix_of(rows)
    if value is None:
        return chain
    while (found := _next(rows, value)) is not None:
        steps, value = found
        for step in steps:
            _append(chain, step, value)
    return chain


def _append(chain: Chain, step: Step, value: Value) -> None:
    """Adds a step; shift and scale, and weights and bias, become one."""
    last = chain.steps[-1] if chain.steps else None
    if isinstance(step, Scaled) and isinstance(last, Dense) and (step.scale == 1).all():
        step = Dense(last.weights, last.bias + (step.shift if step.multiplied else -step.shift))
    elif (
        isinstance(step, Scaled)
        and isinstance(last, Scaled)
        and (last.scale == 1).all()
        and not last.multiplied
        and not step.multiplied
        and not step.shift.any()
    ):
        step = Scaled(last.shift, step.scale)
    elif isinstance(step, Scaled) and isinstance(last, Scaled) and last.multiplied and not last.shift.any() and (step.scale == 1).all():
        step = Scaled(step.shift if step.multiplied else -step.shift, last.scale, True)
    else:
        chain.steps.append(step)
        chain.values.append(value)
        return
    chain.steps[-1], chain.values[-1] = step, value


def matrix_of(rows: RowModel) -> Value | None:
    """The rows as one value of the graph: the input, or what puts all inputs side by side. None where there is none."""
    inputs = [value for value in rows.model.graph.inputs if value.tensor is None]
    if len(inputs) == 1:
        return inputs[0]
    probes = np.random.default_rng(0).standard_normal((8, rows.columns)).astype(rows.dtype)
    for node in rows.model.graph.nodes:
        array = rows.program.values.get(node.outputs[0])
        if isinstance(array, P.Array) and array.rank == 2 and array.shape[1] == rows.columns and array.dtype.is_float:
            return node.outputs[0] if np.array_equal(rows.before(array, probes), probes) else None
    return None


def _next(rows: RowModel, value: Value) -> tuple[list[Step], Value] | None:
    """What is done with a value, and the value that this gives."""
    users = {node for node, _ in value.uses if node.op_type != "Shape"}
    if value in rows.model.graph.outputs:
        return None
    if len(users) == 2:
        return _imputed(value, users)
    if len(users) != 1:
        return None
    (node,) = users
    result = node.outputs[0]
    if node.op_type in ("Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"):
        before, after = (rows.program.values[item] for item in (value, result))
        kept = isinstance(after, P.Array) and after.dtype.is_float and tuple(after.shape[1:]) == tuple(before.shape[1:]) and after.rank == before.rank
        return ([], result) if kept and after.dtype.bits >= before.dtype.bits else None
    if node.op_type == "Pad":
        return _sum_in_order(node, width_of(rows, value))
    reader = READERS.get(node.op_type)
    found = None if reader is None else reader(node, value, width_of(rows, value))
    return None if found is None else (found, result)


def width_of(rows: RowModel, value: Value) -> int:
    """The number of columns of a value, 1 of a vector. Raises Unrecognized where it is no matrix."""
    array = rows.array_of(value)
    if array.rank == 1:
        return 1
    if array.rank != 2 or not isinstance(array.shape[1], int):
        raise Unrecognized(f"the value '{value.name}' is no matrix")
    return array.shape[1]


def _constant(node: Node, value: Value) -> tuple[np.ndarray | None, bool]:
    """The other operand where it is known, and whether it stands on the left."""
    left, right = node.inputs[0], node.inputs[1]
    other = right if left is value else left
    return (None if other is None or other.tensor is None else other.tensor.numpy()), other is left


def _columns(array: np.ndarray, width: int) -> np.ndarray | None:
    """Numbers, one for each column; None for another shape."""
    if array.size not in (1, width) or array.ndim > 2 or array.ndim == 2 and array.shape[0] != 1:
        return None
    return np.broadcast_to(array.reshape(-1), (width,)).copy()


def _elementwise(node: Node, value: Value, width: int) -> list[Step] | None:
    array, on_the_left = _constant(node, value)
    numbers = None if array is None else _columns(array, width)
    if numbers is None:
        return None
    zeros, ones = np.zeros_like(numbers), np.ones_like(numbers)
    match node.op_type:
        case "Add":
            return [Scaled(numbers, ones, True)]
        case "Sub":
            return [Scaled(numbers, -ones, True)] if on_the_left else [Scaled(numbers, ones)]
        case "Mul":
            return [Scaled(zeros, numbers, True)]
        case "Div":
            return None if on_the_left else [Scaled(zeros, numbers)]
        case "Max":
            return [Activation("relu")] if not numbers.any() else None
    return None


def _product(node: Node, value: Value, width: int) -> list[Step] | None:
    array, on_the_left = _constant(node, value)
    if array is None or on_the_left or array.ndim > 2 or node.attribute("transA", 0):
        return None
    dtype = array.dtype
    weights = array.T if node.attribute("transB", 0) else array
    weights = weights.reshape(width, -1) * dtype.type(node.attribute("alpha", 1.0))
    bias = np.zeros(weights.shape[1], dtype)
    if node.op_type == "Gemm" and len(node.inputs) > 2 and node.inputs[2] is not None:
        addend = node.inputs[2].tensor
        numbers = None if addend is None else _columns(addend.numpy(), weights.shape[1])
        if numbers is None:
            return None
        bias = numbers * dtype.type(node.attribute("beta", 1.0))
    return [Dense(weights, bias)]


def _sum_in_order(node: Node, width: int) -> tuple[list[Step], Value] | None:
    """A one before the columns, their products with weights added one after another (CumSum), the last sum: what XGBoost's linear booster is."""
    nodes = [node]
    for _ in range(4):
        users = {user for user, _ in nodes[-1].outputs[0].uses}
        nodes += users if len(users) == 1 else ()
    if [item.op_type for item in nodes] != ["Pad", "Unsqueeze", "Mul", "CumSum", "Gather"]:
        return None
    known = [item.inputs[1].tensor.numpy() if item.inputs[1] is not None and item.inputs[1].tensor is not None else None for item in nodes]
    pads, _, weights, axis, last = known
    one = node.inputs[2].tensor if len(node.inputs) > 2 and node.inputs[2] is not None else None
    if pads is None or weights is None or axis is None or last is None or one is None or one.numpy() != 1:
        return None
    if pads.tolist() != [0, 1, 0, 0] or weights.ndim != 2 or len(weights) != width + 1 or (axis, last) != (1, -1):
        return None
    return [Dense(weights[1:], weights[0])], nodes[-1].outputs[0]


def _imputed(value: Value, users: set[Node]) -> tuple[list[Step], Value] | None:
    """Where(IsNaN(x), values, x)."""
    tests = [node for node in users if node.op_type == "IsNaN"]
    wheres = [node for node in users if node.op_type == "Where"]
    if len(tests) != 1 or len(wheres) != 1 or wheres[0].inputs[0] is not tests[0].outputs[0] or wheres[0].inputs[2] is not value:
        return None
    values = wheres[0].inputs[1]
    if values is None or values.tensor is None:
        return None
    return [Imputed(values.tensor.numpy().reshape(-1))], wheres[0].outputs[0]


def _scaler(node: Node, value: Value, width: int) -> list[Step]:
    offset, scale = (np.array(node.attribute(name, None) or [default], np.float32) for name, default in (("offset", 0.0), ("scale", 1.0)))
    shift, factor = (np.broadcast_to(item.astype(np.float64), (width,)).copy() for item in (offset, scale))
    return [Scaled(shift, 1 / factor)]


def _regressor(node: Node, value: Value, width: int) -> list[Step] | None:
    """LinearRegressor, with one row of coefficients for each target."""
    if node.attribute("post_transform", "NONE") != "NONE":
        return None
    targets = node.attribute("targets", 1)
    weights = np.array(node.attribute("coefficients", []), np.float32).reshape(targets, width).T
    bias = np.array(node.attribute("intercepts", None) or [0.0] * targets, np.float32)
    return [Dense(weights, bias)]


def _imputer(node: Node, value: Value, width: int) -> list[Step] | None:
    values = node.attribute("imputed_value_floats", None)
    marked = node.attribute("replaced_value_float", 0.0)
    return [Imputed(np.broadcast_to(np.array(values, np.float32), (width,)).copy())] if values and np.isnan(marked) else None


def _greater(node: Node, value: Value, width: int) -> list[Step] | None:
    array, on_the_left = _constant(node, value)
    return None if array is None or array.size != 1 or on_the_left else [Binarized(float(array.reshape(-1)[0]))]


def _named(name: str) -> Callable[[Node, Value, int], list[Step] | None]:
    return lambda node, value, width: [Activation(name)]


READERS: dict[str, Callable[[Node, Value, int], list[Step] | None]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Max"), _elementwise),
    **dict.fromkeys(("MatMul", "Gemm"), _product),
    "Relu": _named("relu"), "Tanh": _named("tanh"), "Sigmoid": _named("logistic"),
    "Scaler": _scaler, "LinearRegressor": _regressor, "Imputer": _imputer,
    "Greater": _greater, "Binarizer": lambda node, value, width: [Binarized(float(node.attribute("threshold", 0.0)))],
    "Normalizer": lambda node, value, width: [Normalized(str(node.attribute("norm", "MAX")).lower())],
}  # fmt: skip
"""By operator, the steps that a node is; None for one that is none."""


@dataclass(frozen=True)
class Network:
    """Steps that end with a layer of weights, and the head after it."""

    steps: list[Step]
    head: Head


def network_of(rows: RowModel) -> Network:
    """The layers of a model that is a chain of them. Raises Unrecognized for another one."""
    chain = chain_of(rows)
    end = chain.values[-1] if chain.values else matrix_of(rows)
    if end is None:
        raise Unrecognized("its inputs are used one by one")
    users = {node for node, _ in end.uses}
    if len(users) == 1 and next(iter(users)).op_type == "LinearClassifier":
        return _classifier(rows, chain.steps, users.pop())
    places = [place for place, step in enumerate(chain.steps) if isinstance(step, Dense)]
    if not places:
        raise Unrecognized("it is no chain of layers of weights")
    last = places[-1]
    step = chain.steps[last]
    assert isinstance(step, Dense)
    cut = rows.array_of(chain.values[last])
    shape = [int(extent) for extent in cut.shape[1:]]  # type: ignore[arg-type]
    head = head_of(lambda z: rows.after(cut, z.reshape(len(z), *shape)), step.weights.shape[1])
    return Network(chain.steps[: last + 1], head)


def _classifier(rows: RowModel, steps: list[Step], node: Node) -> Network:
    """LinearClassifier. The head is found by the same node with unit coefficients, whose rows are the scores."""
    bias = np.array(node.attribute("intercepts", None) or [0.0], np.float32)
    weights = np.array(node.attribute("coefficients", []), np.float32).reshape(bias.size, -1).T
    copy = rows.model.copy()
    graph = copy.graph
    same = next(item for item in graph.nodes if item.op_type == "LinearClassifier")
    scores = Value("scores_of_the_classifier", TensorType(DataType.FLOAT, (Symbol("rows"), bias.size)))
    scores.graph = graph
    same.replace_input(0, scores)
    for name, numbers in (("coefficients", np.eye(bias.size).ravel()), ("intercepts", np.zeros(bias.size))):
        same.attributes[name] = replace(same.attributes[name], value=numbers.tolist())
    graph.inputs[:] = [scores, *(value for value in graph.inputs if value.tensor is not None)]
    alone = RowModel(extract(copy, [scores.name], [value.name for value in graph.outputs]))
    return Network([*steps, Dense(weights, bias)], head_of(alone.results, bias.size))


def transformer_of(rows: RowModel) -> list[Step]:
    """The steps of a model that transforms rows: scalers, and matrix products of centred rows or of a model that says so.

    Raises Unrecognized for another one.
    """
    chain = chain_of(rows)
    if not chain.steps or len(rows.outputs) != 1 or chain.values[-1] is not rows.outputs[0]:
        raise Unrecognized("it is no chain of scalers")
    products = [place for place, step in enumerate(chain.steps) if isinstance(step, Dense)]
    if products and rows.outputs[0].name != "transformed":
        (last,) = products[-1:]
        before = chain.steps[last - 1] if last else None
        step = chain.steps[last]
        assert isinstance(step, Dense)
        if not isinstance(before, Scaled) or (before.scale != 1).any() or step.bias.any() or step.weights.shape[1] == 1:
            raise Unrecognized("it is no chain of scalers")
    return chain.steps
