"""Tensor programs as functional models of Keras: layers, operations of `keras.ops`, and layers that are generated for the rest."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from onward import program as P
from onward.converters.targets.keras.statements import parts_of
from onward.converters.targets.keras.words import FLOATS, KerasWords
from onward.converters.targets.printing.forms import parameters_of, wish
from onward.converters.targets.printing.naming import Names, module_of
from onward.converters.targets.printing.printer import Printer
from onward.converters.targets.printing.storage import kept
from onward.errors import UnsupportedOperator
from onward.ir import Node
from onward.ir.datatypes import DataType
from onward.ir.expressions import Expression, SymbolAtom
from onward.program.array import Array, Input, RoutineOutput

PLAIN = ("ops", "float")
"""What an expression may name that stands in the model itself, not in a layer."""

PRELUDE_LAYERS = ("Attention", "MaskedAttention", "FakeQuantize")
"""Layers of the prelude, which Keras has to know when it loads a file."""

INFIX = ("add", "subtract", "multiply", "true_divide", "matmul", "negative", "get_item")
"""What Keras calls operations that are written with symbols."""

NEEDS_DATA = ("ops.convert_to_tensor", "ops.arange", "ops.full", "ops.zeros")


def is_outside(array: Array) -> bool:
    """Whether the model itself has it: an input, or the result of a layer."""
    return isinstance(array, Input) or isinstance(array, RoutineOutput) and array.routine.name == "native"


class Taken(Exception):
    """A weight belongs to another layer already."""


class LayerPrinter(Printer):
    """The `function` of a generated layer. What the model outside has are its `arguments`, in the order in which they are needed; the
    weights of the layer itself are `tensors`, each with whether it is trained, and `parameters` those among them that are the model's."""

    def __init__(self, words: KerasWords, outside: Network) -> None:
        super().__init__(words, Names(["self", *outside.reserved]))
        self.outside = outside
        self.arguments: dict[Array, str] = {}
        self.tensors: dict[str, tuple[np.ndarray, bool]] = {}
        self.parameters: dict[str, Array] = {}
        self.indent = 2
        self.trains = False

    def _sources(self, array: Array) -> Sequence[Array]:
        return () if is_outside(array) else super()._sources(array)

    def _statement(self, array: Array) -> None:
        if is_outside(array) or self.outside.is_held(array):
            self.argument(array)
            return
        self.trains = isinstance(array, P.Parameter) and array.dtype in FLOATS
        super()._statement(array)
        self.trains = False
        if self.known[array] in self.tensors:
            self.parameters[self.known[array]] = array

    def argument(self, array: Any) -> None:
        """Makes an argument of an array that the model has."""
        if array not in self.arguments:
            self.arguments[array] = self.names.fresh("x")
            self.input(array, self.arguments[array])

    def size(self, symbol: str) -> str:
        if symbol not in self.sizes and symbol in self.outside.carriers:
            self.argument(self.outside.carriers[symbol])
        return super().size(symbol)

    def _weight(self, data: np.ndarray, dtype: DataType, label: str) -> str:
        key = (id(data), dtype)
        if key not in self.stored:
            name = self.names.fresh("weight" if self.trains else "constant")
            self.tensors[name] = (kept(data, self.words.kept_in), self.trains)
            self.kept.append(data)
            self.stored[key] = self.words.weight(name, dtype)
        return self.stored[key]


class Network(Printer):
    """The statements that build the model. `layers` are the weights of its layers by their names, `classes` the texts of generated ones.

    `carriers` say for each symbol which array has it as an extent, `parts` what layers gave for results of nodes before these had ONNX's axes.
    `reserved` are names that the source uses for something else, `modules` where each line comes from.
    """

    def __init__(self, words: KerasWords, reserved: Iterable[str]) -> None:
        self.reserved = frozenset(reserved)
        super().__init__(words, Names(self.reserved))
        self.layers: dict[str, list[np.ndarray]] = {}
        self.layer_names: set[str] = set()
        self.classes: dict[str, str] = {}
        self.carriers: dict[str, Array] = {}
        self.parts: dict[tuple[Node, int], str] = {}
        self.made: dict[tuple[Any, ...], str] = {}
        self.calls: dict[str, tuple[str, str]] = {}
        self.holders: dict[P.Parameter, str] = {}
        self.first: Input | None = None
        self.registered: dict[str, None] = {}
        self.inputs: list[str] = []
        self.modules: list[str] = []
        self.module = ""

    def write(self, line: str) -> None:
        super().write(line)
        self.modules.append(self.module)

    def _routine(self, routine: Any) -> None:
        before, self.module = self.module, module(routine.attributes["call"].node)
        super()._routine(routine)
        self.module = before

    def input(self, array: Input, name: str) -> None:
        super().input(array, name)
        self.first = array if self.first is None else self.first
        self.inputs.append(name)
        self.layer_names.add(name)
        self._carry(array)
        shape = [extent if isinstance(extent, int) else None for extent in array.shape]
        self.write(f"{name} = keras.Input(batch_shape={tuple(shape)}, dtype={self.words.dtype(array.dtype)}, name={name!r})")

    def _carry(self, array: Array) -> None:
        for extent in array.shape:
            if isinstance(extent, Expression) and isinstance(extent.single_atom(), SymbolAtom):
                self.carriers.setdefault(str(extent), array)

    def array(self, array: Array) -> str:
        order = [(array, False)]
        while order:
            item, ready = order.pop()
            if item in self.known:
                continue
            if self.is_held(item):
                self._enter([item], self._reading(item))  # type: ignore[arg-type]
            elif not is_outside(item):
                self._enter([item], self.generated([item], _origin(item), wish(item)))
            elif ready:
                self._routine(item.routine)  # type: ignore[attr-defined]
                for result in item.routine.results:  # type: ignore[attr-defined]
                    self._carry(result)
            else:
                order.append((item, True))
                order.extend((source, False) for source in reversed(item.sources))
        return self.known[array]

    def _enter(self, arrays: Sequence[Array], text: str) -> None:
        names = [self.names.fresh(wish(item)) for item in arrays]
        self.write(f"{', '.join(names)} = {text}")
        self.known.update(zip(arrays, names))
        for item in arrays:
            self._carry(item)

    # -- layers ----------------------------------------------------------------------------------------------------------
    def layer(
        self, kind: str, arguments: Sequence[str], name: str, inputs: str, weights: Sequence[np.ndarray] = (), dtype: DataType = DataType.FLOAT,
        arrays: Sequence[Any] = (),
    ) -> str:  # fmt: skip
        """A call of a layer with the given weights, in the order of its `set_weights`; `name` is what one with weights would like to be called.

        A layer whose weights are made of the same `arrays` as those of one before is that one. Raises Taken where another layer has such a weight.
        """
        others = [f"dtype={self.words.dtype(dtype)}"] if dtype in FLOATS and dtype != DataType.FLOAT else []
        key = (kind, *arguments, *others, *arrays)
        if kind in PRELUDE_LAYERS:
            self.registered.setdefault(kind)
        if not weights:
            return f"{kind}({', '.join([*arguments, *others])})({inputs})"
        if key in self.made:
            return f"{self._variable(self.made[key])}({inputs})"
        parameters = [item for array in arrays if isinstance(array, Array) for item in parameters_of(array)]
        if any(map(self.is_held, parameters)):
            raise Taken
        fresh = self._layer_name(name)
        self.module = name
        text = f"{kind}({', '.join([*arguments, *others, f'name={fresh!r}'])})"
        self.layers[fresh] = [np.ascontiguousarray(item) for item in weights]
        self.calls[fresh] = text, inputs
        if arrays:
            self.made[key] = fresh
        self.holders.update({item: fresh for item in parameters if item not in self.holders})
        return f"{text}({inputs})"

    def _variable(self, layer: str) -> str:
        """The variable of a layer that is called once more; the line of its first call is made two."""
        text, inputs = self.calls[layer]
        if not text.isidentifier():
            place = next(number for number, line in enumerate(self.lines) if text in line)
            variable = self.names.fresh(layer)
            self.calls[layer] = variable, inputs
            self.lines[place : place + 1] = [f"    {variable} = {text}", self.lines[place].replace(text, variable)]
            self.origins.insert(place, self.origins[place])
            self.modules.insert(place, "")
        return self.calls[layer][0]

    def is_held(self, array: Any) -> bool:
        """Whether it is a weight that a layer has, which can be asked for it."""
        return isinstance(array, P.Parameter) and array in self.holders and self._place_held(array) is not None

    def _place_held(self, array: P.Parameter) -> tuple[int, str] | None:
        """Where among its layer's weights one is, and how it is read from there; None where the layer has it in another order of elements."""
        data = array.tensor.numpy()
        for place, item in enumerate(self.layers[self.holders[array]]):
            if item.size == data.size and np.array_equal(item.reshape(data.shape), data):
                return place, "{}" if item.shape == data.shape else f"ops.reshape({{}}, {data.shape})"
            if data.ndim == 2 and item.shape == data.shape[::-1] and np.array_equal(item.T, data):
                return place, "ops.transpose({})"
        return None

    def _reading(self, array: P.Parameter) -> str:
        """The text that reads a weight of a layer: that is called once more."""
        layer = self.holders[array]
        place, how = self._place_held(array)  # type: ignore[misc]
        self._share(layer)
        return how.format(f"{self._variable(layer)}({self.calls[layer][1]}, read={place})")

    def _share(self, layer: str) -> None:
        """Makes a layer one that can be asked for its weights."""
        text, inputs = self.calls[layer]
        variable = self._variable(layer)
        place = next(number for number, line in enumerate(self.lines) if line.startswith(f"    {variable} = "))
        kind = ast.unparse(ast.parse(self.lines[place].strip()).body[0].value.func)  # type: ignore[attr-defined]
        shared = f"Shared{kind.removeprefix('layers.')}"
        if not kind.startswith("Shared"):
            self.classes.setdefault(shared, f'class {shared}(Shared, {kind}):\n    """One whose weights others use."""\n')
            self.lines[place] = self.lines[place].replace(f"{kind}(", f"{shared}(", 1)

    def _layer_name(self, wish: str) -> str:
        """A name that no layer has yet: letters, digits and underscores."""
        plain = "_".join(parts_of(wish)) or "layer"
        name, number = plain, 2
        while name in self.layer_names:
            name, number = f"{plain}_{number}", number + 1
        self.layer_names.add(name)
        return name

    def rename_like_automatic(self) -> None:
        """Gives a layer, or an input, another name where Keras might give its own to a layer without a name: `activation`, `add_3`."""
        calls = [node for line in self.lines for node in ast.walk(ast.parse(line.strip())) if isinstance(node, ast.Call)]
        nameless = [ast.unparse(node.func) for node in calls if all(item.arg != "name" for item in node.keywords)]
        kinds = [name.removeprefix("layers.").removeprefix("ops.") for name in nameless if "." in name or name in self.classes]
        automatic = {*INFIX, *map(to_snake_case, kinds)}
        for name in [name for name in sorted(self.layer_names) if re.sub(r"_\d+$", "", name) in automatic]:
            fresh = self._layer_name(f"{name}_layer")
            self.lines = [line.replace(f"name={name!r}", f"name={fresh!r}") for line in self.lines]
            self.layers = {fresh if item == name else item: weights for item, weights in self.layers.items()}

    # -- generated layers ------------------------------------------------------------------------------------------------
    def generated(self, results: Sequence[Array], operator: str, name: str) -> str:
        """The text of an expression for arrays that an operator makes: itself, where it needs nothing but its operands, or a
        call of a layer made for it."""
        inner = LayerPrinter(self.words, self)  # type: ignore[arg-type]
        texts = [inner.array(item) for item in results]
        if not inner.arguments:
            if self.first is None:
                raise UnsupportedOperator("a functional model of Keras needs an input")
            inner.argument(self.first)
        return self._written(inner, texts, results, operator, name)

    def written(self, write: Any, results: Sequence[Array], operator: str, name: str) -> str:
        """As `generated`, of an expression that a rule writes."""
        inner = LayerPrinter(self.words, self)  # type: ignore[arg-type]
        return self._written(inner, [write(inner)], results, operator, name)

    def _written(self, inner: LayerPrinter, texts: Sequence[str], results: Sequence[Array], operator: str, name: str) -> str:
        given = [self.array(item) for item in inner.arguments]
        alone = _expression(inner.lines, texts)
        usual = results[0].dtype in (DataType.FLOAT, DataType.BOOL)  # of others a backend may have another width in mind
        if alone is not None and usual and not inner.tensors and _stands_alone(alone, inner.arguments):
            return _renamed(alone, dict(zip(inner.arguments.values(), given)))
        tensors = dict(sorted(inner.tensors.items(), key=lambda item: not item[1][1]))
        arguments = list(inner.arguments.values())
        lines = [f"    def function({', '.join(['self', *arguments, *tensors])}):", *inner.lines, f"        return {', '.join(texts)}"]
        kind = self._class(operator, _canonical("\n".join(lines), arguments, list(tensors)))
        specifications = [_specification(item.shape, self.words.dtype(item.dtype)) for item in results]
        weights = ", ".join(f"{key!r}: {_specification(data.shape, repr(data.dtype.name), trained)}" for key, (data, trained) in tensors.items())
        self.kept += inner.kept  # so that their identities stay theirs
        arrays = (*inner.parameters.values(), *map(id, inner.kept))
        data = [data for data, _ in tensors.values()]
        label = next((item.label for item in inner.parameters.values() if item.label), "")
        return self.layer(
            kind, [*specifications, *([f"weights={{{weights}}}"] if weights else [])], label.replace("/", ".").rpartition(".")[0] or name, ", ".join(given), data,
            DataType.FLOAT, arrays,
        )  # fmt: skip

    def _class(self, operator: str, body: str) -> str:
        """The name of the class of a function, which is named after the operator that it was written for first."""
        wish, number = Names().fresh(operator), 1
        name = wish
        while True:
            text = f"class {name}(Operation):\n{body}\n"
            if self.classes.setdefault(name, text) == text and name not in self.reserved:
                return name
            number += 1
            name = f"{wish}{number}"


def module(node: Node) -> str:
    """The name of the module that a node comes from."""
    first = next(iter(node.outputs[0].provenance), None)
    return (module_of(first.node_name, first.metadata) if first is not None else "") or module_of(node.name, node.metadata) or ""


def to_snake_case(name: str) -> str:
    """What Keras calls a layer of a class that has no name: `MaxPooling2D` is `max_pooling2d`."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)).lower()


def _specification(shape: Sequence[Any], dtype: str, trained: bool = True) -> str:
    """A shape, with its type where that is not float32, and False where it is not trained."""
    text = str([extent if isinstance(extent, int) else None for extent in shape])
    if not trained:
        return f"[{text}, {dtype}, False]"
    return text if dtype == "'float32'" else f"[{text}, {dtype}]"


def _origin(array: Array) -> str:
    origins: Sequence[Any] = array.origins
    return origins[0].op_type if origins else type(array).__name__


def _expression(lines: Sequence[str], texts: Sequence[str]) -> str | None:
    """The one expression that a body consists of."""
    if len(texts) > 1 or len(lines) > 1:
        return None
    name, _, value = lines[0].strip().partition(" = ") if lines else ("", "", texts[0])
    return value if not lines or name == texts[0] and name.isidentifier() else None


def _stands_alone(text: str, arguments: Mapping[Array, str]) -> bool:
    """Whether it can be written between symbolic tensors, of which parts of axes cannot be taken."""
    nodes = list(ast.walk(ast.parse(text.strip())))
    if any(isinstance(node, ast.Slice) and (node.lower or node.upper or node.step) for node in nodes):
        return False
    if any(isinstance(node, ast.Add) for node in nodes) and (any(isinstance(node, ast.Slice) for node in nodes) or not _adds_safely(list(arguments))):
        return False
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names <= {*PLAIN, *arguments.values()} and text not in names and not any(word in text for word in NEEDS_DATA)


def _adds_safely(arrays: Sequence[Array]) -> bool:
    """Whether no array can have one axis only that is not its last: Keras 3.15 on TensorFlow takes it for a bias of the channels."""
    shapes = {item.shape for item in arrays if item.rank}
    last = {shape[-1] for shape in shapes}
    return len(shapes) < 2 or len(last) == 1 and all(isinstance(extent, int) and extent > 1 for extent in last)


class _Renaming(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self.names.get(node.arg, node.arg))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self.names.get(node.name, node.name)
        return self.generic_visit(node)


def _renamed(text: str, names: dict[str, str]) -> str:
    return ast.unparse(_Renaming(names).visit(ast.parse(text.strip())))


def _canonical(method: str, arguments: Sequence[str], weights: Sequence[str]) -> str:
    """A method whose local names depend on the order in which they are bound alone, so that layers that do the same share a class."""
    tree = ast.parse("class _:\n" + method)
    inside: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            inside.setdefault(node.id)
        elif isinstance(node, ast.FunctionDef) and node.name != "function":
            inside.update(dict.fromkeys([node.name, *(item.arg for item in node.args.args)]))
    names = {name: f"x{place + 1}" if len(arguments) > 1 else "x" for place, name in enumerate(arguments)}
    names |= {name: f"y{place + 1}" for place, name in enumerate(name for name in inside if name not in names and name not in weights)}
    function: Any = _Renaming(names).visit(tree).body[0].body[0]
    match function.body:
        case [*before, ast.Assign(targets=[ast.Name(id=name)], value=value), ast.Return(value=ast.Name(id=last))] if name == last:
            function.body = [*before, ast.Return(value)]
    return "\n".join("    " + line for line in ast.unparse(ast.fix_missing_locations(function)).splitlines())
