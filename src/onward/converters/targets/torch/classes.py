"""Classes for the sub-modules of a model: the statements of a scope become the `forward` of its class, equal ones are one class.

A scope becomes a call where its statements can stand together: nothing between them both needs their results and is needed by them.
Where that is not so, the statements stay where they are, and the sub-module only holds its weights.
"""

from __future__ import annotations

import ast
import copy
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from onward.converters.targets.printing.naming import Names
from onward.converters.targets.torch.constructors import generalized
from onward.converters.targets.torch.definitions import Constructors, definitions
from onward.converters.targets.torch.modules import Modules
from onward.converters.targets.torch.statements import Path, Sizes, Statement, chain, size_read
from onward.converters.targets.torch.weightless import FUNCTIONS
from onward.ir.expressions import Dimension

ACTIVATIONS = {function for title, function in FUNCTIONS.items() if "Pool" not in title and "Softmax" not in title}

PLACES = ("device", "dtype")
"""Where and in which type new tensors are made: read from a weight."""


FEWEST = 3
"""Scopes of fewer statements are no classes, where names alone tell of them."""


@dataclass
class Unit:
    """A statement of a function, or the statements of one of its sub-modules."""

    statements: list[Statement]
    path: Path | None = None

    @property
    def defined(self) -> set[str]:
        return {name for item in self.statements for name in item.defined}

    @property
    def read(self) -> list[str]:
        inside = self.defined
        return list(dict.fromkeys(name for item in self.statements for name in item.read if name not in inside))


@dataclass
class Classes:
    """Writes the classes of a model, those that others are made of first.

    `variables` are the names that are variables of the model's function; `titles` what the classes of sub-modules were called where
    the model comes from, `shapes` those of variables; `reserved` the names that no variable may have.
    """

    modules: Modules
    variables: set[str]
    titles: Mapping[Path, str]
    shapes: Mapping[str, tuple[Dimension, ...]]
    reserved: set[str]
    main: np.dtype
    words: dict[str, str] = field(default_factory=dict)
    """What variables might be called, by the statements that define them."""
    texts: dict[str, str] = field(default_factory=dict)
    constructors: Constructors = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = Names(self.reserved)
        self.known: dict[tuple[str, str], str] = {}

    def root(self, statements: Sequence[Statement], arguments: Sequence[str], results: Sequence[str]) -> str:
        """The text of all classes, `Model` last. `results` are the texts of what it returns."""
        self.words |= {name: item.word for item in statements for name in item.defined if len(item.defined) == 1}
        end = ast.parse(f"return {', '.join(results)}").body[0]
        body, _ = self._function((), [*statements, Statement(end, ())], [], arguments)
        made = self._class("Model", (), arguments, body)
        return "\n\n".join(generalized({**self.texts, "Model": made}, {name: title for (_, title), name in self.known.items()}, self.reserved))

    # -- functions -------------------------------------------------------------------------------------------------------
    def _function(self, path: Path, statements: Sequence[Statement], wanted: Sequence[str], arguments: Sequence[str] | None) -> tuple[list[str], list[str]]:
        """The lines of the `forward` of a scope, and the variables outside that it takes, in the order of its arguments."""
        body: list[Statement] = []
        units = self._units(path, statements)
        for unit in units:
            if unit.path is None:
                body += unit.statements
                continue
            needed = {name for other in units if other is not unit for name in other.read}
            results = [name for item in unit.statements for name in item.defined if name in needed or name in wanted]
            if results:
                body.append(self._call(unit, list(dict.fromkeys(results))))
        body = self._loops(body, wanted)
        inside = {name for item in body for name in item.defined}
        places = [] if self._weight_under(path) is None and path else list(PLACES)
        free = list(dict.fromkeys(name for item in body for name in item.read if name in self.variables and name not in inside and name not in places))
        given = list(arguments) if arguments is not None else free
        return self._renamed(path, body, wanted, given, fixed=arguments is not None), given

    def _units(self, path: Path, statements: Sequence[Statement]) -> list[Unit]:
        """The statements, those of each sub-module together where that is possible, each after what it reads."""
        apart: set[Path] = set()
        while True:
            units: dict[object, Unit] = {}
            for item in statements:
                inner = self._inner(path, item.scope, apart)
                key: object = inner if inner is not None else id(item)
                units.setdefault(key, Unit([], inner)).statements.append(item)
            apart_before = len(apart)
            apart |= {unit.path for unit in units.values() if unit.path is not None and not self._stands_alone(unit)}
            if len(apart) > apart_before:
                continue
            ordered, circular = _ordered(list(units.values()))
            if not circular:
                return ordered
            apart |= {unit.path for unit in circular if unit.path is not None}

    def _inner(self, path: Path, scope: Path, apart: set[Path]) -> Path | None:
        """The outermost sub-module below `path` that a scope lies in and that can have a class."""
        for length in range(len(path) + 1, len(scope) + 1):
            module = self.modules.find(scope[:length])
            if module is None or module.constructor:
                return None
            if scope[:length] not in apart and not module.is_list and not module.is_dictionary:
                return scope[:length]
        return None

    def _stands_alone(self, unit: Unit) -> bool:
        """Whether the statements of a sub-module read no weights of others. Scopes that names of other exporters suggest are more than two statements."""
        path = unit.path or ()
        if self.modules.state is None and len(unit.statements) < FEWEST:
            return False
        return all(found[: len(path)] == path or found == ("training",) for item in unit.statements for found in item.paths())

    def _call(self, unit: Unit, results: list[str]) -> Statement:
        """The statement that calls a sub-module, whose class is written now."""
        path = unit.path or ()
        body, given = self._function(path, self._with_own_sizes(unit), results, None)
        arguments = body[0].partition("(")[2].rpartition(")")[0].split(", ")[1:]
        title = self.titles.get(path) or "".join(part.title().replace("_", "") for part in [item for item in path if not item.isdigit()][-2:])
        wish = re.sub(r"[^A-Za-z0-9]+", "", title) or "Block"
        wish = f"Block{wish}" if wish[0].isdigit() else wish
        text = self._class("?", path, arguments, body)
        key = text, wish
        if key not in self.known:
            name = self.names.fresh(wish)
            self.known[key] = name
            self.texts[name] = text.replace("class ?(", f"class {name}(", 1)
        self.constructors[path] = f"{self.known[key]}()"
        call = ast.parse(f"{', '.join(results)} = {self.modules.text(path)}({', '.join(given)})").body[0]
        leaf = next((part for part in reversed(path) if not part.isdigit()), "x")
        return Statement(call, path[:-1], leaf)

    def _with_own_sizes(self, unit: Unit) -> list[Statement]:
        """The statements with sizes read from what the sub-module works on, where that has them, not from elsewhere."""
        inside = unit.defined
        data = [name for name in unit.read if any(name in _data_read(item.tree) for item in unit.statements)]

        def place(name: str, axis: int) -> tuple[str, int]:
            extent = self.shapes[name][axis] if name in self.shapes and axis < len(self.shapes[name]) else None
            if name in inside or extent is None or isinstance(extent, int):
                return name, axis
            own = [(other, self.shapes[other].index(extent)) for other in data if extent in self.shapes.get(other, ())]
            return own[0] if own else (name, axis)

        sizes = Sizes(place)
        return [Statement(sizes.visit(copy.deepcopy(item.tree)), item.scope, item.word) for item in unit.statements]

    def _loops(self, body: list[Statement], wanted: Sequence[str]) -> list[Statement]:
        """Calls of all items of a list one after another, each with the result of the last, as loops."""
        result: list[Statement] = []
        place = 0
        while place < len(body):
            length = self._chain_length(body, place, wanted)
            if length < 2:
                result.append(body[place])
                place += 1
                continue
            calls = body[place : place + length]
            result += self._sequence(calls, [*body[:place], *body[place + length :]]) or self._loop(calls)
            place += length
        return result

    def _chain_length(self, body: Sequence[Statement], place: int, wanted: Sequence[str]) -> int:
        first = _called(body[place])
        if first is None or not first[0][-1].isdigit() or len(first[0]) < 2:  # the model itself is no list
            return 0
        (path, carried), module = first, self.modules.find(first[0][:-1])
        if module is None or not module.is_list or len(carried) > 1 and len(module.computed) < len(module.children):  # an identity takes one
            return 0
        rest = [name for name in module.computed if int(name) >= int(path[-1])]
        if len(rest) > len(body) - place:
            return 0
        before = body[place]
        for step, name in enumerate(rest[1:], 1):
            item = body[place + step]
            found = _called(item)
            if found is None or found[0] != (*path[:-1], name) or len(carried) != len(found[1]):
                return 0
            output = before.defined
            changed = [place for place, (old, new) in enumerate(zip(carried, found[1])) if old != new]
            if len(output) != 1 or changed != [0] or found[1][0] != output[0] or output[0] in wanted:
                return 0
            if sum(output[0] in other.read for other in body) != 1:
                return 0
            before, carried = item, found[1]
        return len(rest)

    def _sequence(self, calls: Sequence[Statement], others: Sequence[Statement]) -> list[Statement]:
        """The call of a list whose items are only called one after another, each with nothing but the result of the last; else none."""
        path, given = _called(calls[0])  # type: ignore[misc]
        module = self.modules.find(path[:-1])
        if (
            module is None
            or len(given) > 1
            or len(calls) < len(module.computed)
            or any(found[: len(path) - 1] == path[:-1] for item in others for found in item.paths())
        ):
            return []
        module.is_sequence = True
        (result,) = calls[-1].defined
        return [Statement(ast.parse(f"{result} = {self.modules.text(path[:-1])}({given[0]})").body[0], path[:-2], path[-2])]

    def _loop(self, calls: Sequence[Statement]) -> list[Statement]:
        path, given = _called(calls[0])  # type: ignore[misc]
        (result,) = calls[-1].defined
        item = "layer" if "layer" not in given else "item"
        self.variables.add(item)
        start = Statement(ast.parse(f"{result} = {given[0]}").body[0], path[:-1], "x")
        items = self.modules.text(path[:-1]) + (f"[{path[-1]}:]" if path[-1] != "0" else "")
        loop = f"for {item} in {items}:\n    {result} = {item}({', '.join([result, *given[1:]])})"
        return [start, Statement(ast.parse(loop).body[0], path[:-1], "x")]

    def _renamed(self, path: Path, body: Sequence[Statement], wanted: Sequence[str], given: Sequence[str], fixed: bool) -> list[str]:
        """The lines of a function whose variables are called after what they are.

        What is not read any more gives its name, and its memory, to the next of its kind.
        """
        names = Names(self.reserved)
        mapping: dict[str, str] = {}
        for name in given:
            words = {"x"} if not mapping else _uses(body, name)
            mapping[name] = names.fresh(name if fixed else min(words) if words else _plain(self.words.get(name) or name))
        unread = _unread_after(body, wanted)
        free: dict[str, list[str]] = {}
        for item, gone in zip(body, unread):
            several = len(item.defined) > 1  # which have names of their own, and perhaps that of a node before it
            kinds = {
                name: _plain(item.word if item.word and (not several or item.word in name.lower()) else name) for name in item.defined if name not in mapping
            }
            at_once = isinstance(item.tree, ast.Assign)  # it is computed before it has a name
            if at_once:
                _release(free, gone, mapping)
            heir = _changed(item.tree)
            if heir in gone and heir in mapping and len(kinds) == 1 and at_once:
                kinds = dict.fromkeys(kinds, _plain(mapping[heir]))
                free[_plain(mapping[heir])].sort(key=lambda name: name != mapping[heir])
            for name, kind in kinds.items():
                mapping[name] = free[kind].pop(0) if free.get(kind) else names.fresh(kind)
            if not at_once:
                _release(free, gone, mapping)
        head = f"def forward({', '.join(['self', *(mapping[name] for name in given)])}):"
        texts = [ast.unparse(ast.fix_missing_locations(item.changed(mapping, path))) for item in body]
        lines = [line for text in texts if len(set(text.split(" = "))) > 1 or " = " not in text for line in text.splitlines()]  # no x = x
        places = self._places(path, lines, [mapping[name] for name in given])
        end = [] if not wanted else [f"return {', '.join(mapping[name] for name in wanted)}"]
        return [head, *(f"    {line}" for line in _returned([*places, *lines, *end]))]

    def _places(self, path: Path, lines: Sequence[str], arguments: Sequence[str]) -> list[str]:
        """Statements that say where and in which type new tensors are made, if any are."""
        read = {node.id for node in ast.walk(ast.parse("\n".join(lines).replace("return ", "_ = "))) if isinstance(node, ast.Name)}
        weight = self._weight_under(path)
        result = []
        for name in PLACES:
            if name not in read or name in arguments:
                continue
            if weight is not None:
                source = ast.parse(self.modules.text(weight)).body[0]
                result.append(f"{name} = {ast.unparse(Statement(source, ()).changed({}, path))}.{name}")
            elif name == "device" and arguments:
                result.append(f"device = {arguments[0]}.device")
            else:
                result.append("device = torch.device('cpu')" if name == "device" else f"dtype = torch.{self.main.name}")
        return result

    def _weight_under(self, path: Path) -> Path | None:
        """A weight of a scope that has the type that the model computes in."""
        for name, data in self.modules.weights.items():
            found = tuple(name.split("."))
            if found[: len(path)] == path and data.dtype == self.main:
                return found
        return None

    # -- classes ---------------------------------------------------------------------------------------------------------
    def _class(self, name: str, path: Path, arguments: Sequence[str], body: Sequence[str]) -> str:
        made = definitions(self.modules, path, self.constructors)
        lines = [f"class {name}(nn.Module):"]
        if made:
            lines += ["    def __init__(self):", "        super().__init__()", *(f"        {line}" for line in made), ""]
        return "\n".join([*lines, *(f"    {line}" for line in body)]) + "\n"


def _returned(lines: list[str]) -> list[str]:
    """A body without a name for what it returns at once."""
    if len(lines) < 2:
        return lines
    name, _, value = lines[-2].partition(" = ")
    return [*lines[:-2], f"return {value}"] if value and name.isidentifier() and lines[-1] == f"return {name}" else lines


def _ordered(units: list[Unit]) -> tuple[list[Unit], list[Unit]]:
    """The units in an order in which each comes after what it reads, as they were otherwise; and those that depend on each other in a circle."""
    maker = {name: unit for unit in units for name in unit.defined}
    waiting = {id(unit): {id(maker[name]) for name in unit.read if name in maker and maker[name] is not unit} for unit in units}
    done: set[int] = set()
    ordered: list[Unit] = []
    pending = list(units)
    while pending:
        ready = next((unit for unit in pending if waiting[id(unit)] <= done), None)
        if ready is None:
            return ordered, [unit for unit in pending if _reaches_itself(unit, pending, waiting)]
        pending.remove(ready)
        done.add(id(ready))
        ordered.append(ready)
    return ordered, []


def _reaches_itself(unit: Unit, units: Iterable[Unit], waiting: Mapping[int, set[int]]) -> bool:
    seen: set[int] = set()
    pending = list(waiting[id(unit)])
    while pending:
        item = pending.pop()
        if item == id(unit):
            return True
        if item not in seen and item in waiting:
            seen.add(item)
            pending.extend(waiting[item])
    return False


def _called(statement: Statement) -> tuple[Path, list[str]] | None:
    """The sub-module that a statement calls, and the variables that it gives it."""
    tree = statement.tree
    if not isinstance(tree, ast.Assign) or not isinstance(tree.value, ast.Call) or tree.value.keywords:
        return None
    path = chain(tree.value.func)
    if not path or not all(isinstance(item, ast.Name) for item in tree.value.args) or not tree.value.args:
        return None
    return path, [item.id for item in tree.value.args if isinstance(item, ast.Name)]


def _data_read(tree: ast.AST) -> set[str]:
    """The variables that a statement reads more of than a size."""
    found: set[str] = set()
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        if size_read(node) is None:
            pending.extend(ast.iter_child_nodes(node))
    return found


def _unread_after(body: Sequence[Statement], wanted: Sequence[str]) -> list[list[str]]:
    """For each statement the variables that nothing reads after it; functions read theirs whenever they are called."""
    kept = {*wanted, *(name for item in body if isinstance(item.tree, ast.FunctionDef) for name in item.read)}
    last = {name: place for place, item in enumerate(body) for name in (*item.defined, *item.read)}
    return [[name for name, end in last.items() if end == place and name not in kept] for place in range(len(body))]


def _changed(tree: ast.stmt) -> str | None:
    """The variable of which a statement makes another of its kind: an activation of it, or its sum or product with what is no variable."""
    match tree:
        case ast.Assign(value=ast.BinOp(left=left, right=right)):
            variables = [item.id for item in (left, right) if isinstance(item, ast.Name)]
            others = [
                node for item in (left, right) if not isinstance(item, ast.Name) for node in ast.walk(item) if isinstance(node, ast.Name) and node.id != "self"
            ]
            return variables[0] if len(variables) == 1 and not others else None
        case ast.Assign(value=ast.Call(func=function, args=[ast.Name(id=name), *_])) if ast.unparse(function) in ACTIVATIONS:
            return name
    return None


def _release(free: dict[str, list[str]], gone: Iterable[str], mapping: Mapping[str, str]) -> None:
    for name in gone:
        if name in mapping:
            free.setdefault(_plain(mapping[name]), []).append(mapping[name])


def _plain(name: str) -> str:
    """A name without the number at its end."""
    plain = re.sub(r"(_?\d+)+$", "", name) or "x"
    return "x" if keyword.iskeyword(plain) else plain


def _uses(body: Sequence[Statement], name: str) -> set[str]:
    """What an argument is for, where it is given to a function by keyword."""
    words = {"attn_mask": "mask"}
    return {
        words[item.arg]
        for statement in body
        for node in ast.walk(statement.tree)
        if isinstance(node, ast.Call)
        for item in node.keywords
        if item.arg in words and isinstance(item.value, ast.Name) and item.value.id == name
    }
