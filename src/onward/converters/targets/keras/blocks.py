"""Functions for blocks: what the statements of a module are that occurs several times, once, with its sizes and the name of the module as arguments."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from onward.converters.targets.keras.statements import Path, Statement, named
from onward.converters.targets.printing.naming import Names

FEWEST = 3
"""Modules of fewer statements are no functions."""

MOST = 6
"""Sizes that a function takes: of more, nobody would know what they are."""

POSITIONS = {
    "Dense": ("units",), "Embedding": ("input_dim", "output_dim"), "MultiHeadAttention": ("num_heads", "key_dim"), "MaskedAttention": ("num_heads", "key_dim"),
    "Attention": ("heads",), **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), ("units",)),
    **{f"Conv{rank}D{kind}": ("filters", "kernel_size") for rank in (1, 2, 3) for kind in ("", "Transpose")},
    **{f"DepthwiseConv{rank}D": ("kernel_size",) for rank in (1, 2)},
}  # fmt: skip
"""What the arguments of Keras's layers are."""


@dataclass
class Block:
    """The statements of a module as the body of a function of the variables `given`, and the name of the module."""

    path: Path
    statements: list[Statement]
    given: list[str]
    results: list[str]
    body: list[ast.stmt] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)

    def numbers(self) -> list[tuple[str, ast.Constant]]:
        """The whole numbers that calls in it are given, and what they are for."""
        return [item for statement in self.body for item in _numbers(statement)]

    def template(self) -> str:
        """The body without these numbers."""
        places = [(item, item.value) for _, item in self.numbers()]
        for item, _ in places:
            item.value = 0
        text = "\n".join(map(ast.dump, self.body))
        for item, value in places:
            item.value = value
        return text


@dataclass
class Blocks:
    """Makes functions of the statements of a model. `titles` are what modules were called where the model comes from, `reserved` names that are taken."""

    reserved: set[str]
    titles: Mapping[Path, str]
    functions: list[str] = field(default_factory=list)
    known: dict[Path, str] = field(default_factory=dict)
    """Names of functions by the module that each was written for first."""

    def __post_init__(self) -> None:
        self.names = Names(self.reserved)

    def body(self, statements: Sequence[Statement], results: Sequence[str]) -> list[Statement]:
        """The statements of the model itself, with calls of the functions."""
        found = list(statements)
        longest = max((len(item.path) for item in found), default=0)
        for length in range(longest, 0, -1):
            found = _with_loops(self._level(found, length, results), results)
        return found

    def _level(self, statements: list[Statement], length: int, results: Sequence[str]) -> list[Statement]:
        """Modules whose path has that many parts, the last of them with a number, become calls where several are alike."""
        apart: set[Path] = set()
        while True:
            units: dict[object, list[Statement]] = {}
            for item in statements:
                prefix = item.path[:length]
                is_block = len(item.path) >= length and prefix[-1][-1:].isalnum() and any(map(str.isdigit, prefix[-1])) and prefix not in apart
                units.setdefault(prefix if is_block else id(item), []).append(item)
            small = {key for key, items in units.items() if isinstance(key, tuple) and len(items) < FEWEST}
            ordered, circular = _ordered(units)
            if not small and not circular:
                break
            apart |= small or circular  # type: ignore[arg-type]
        blocks = [_block(key, units[key], ordered, units, results, self.names.taken) for key in ordered if isinstance(key, tuple)]
        calls = self._calls([block for block in blocks if block is not None])
        return [statement for key in ordered for statement in (calls[key] if key in calls else units[key])]  # type: ignore[index]

    def _calls(self, blocks: Sequence[Block]) -> dict[Path, list[Statement]]:
        """The call of each block that is like others."""
        alike: dict[str, list[Block]] = {}
        for block in blocks:
            alike.setdefault(block.template(), []).append(block)
        calls: dict[Path, list[Statement]] = {}
        for group in alike.values():
            columns = list(zip(*([item.value for _, item in block.numbers()] for block in group)))
            varied = list(dict.fromkeys(column for column in columns if len(set(column)) > 1))
            if len(group) > 1 and len(varied) <= MOST:
                self._function(group, columns, varied)
                for place, block in enumerate(group):
                    calls[block.path] = [self._call(block, self.known[group[0].path], [column[place] for column in varied])]
        return calls

    def _function(self, group: Sequence[Block], columns: Sequence[tuple[int, ...]], varied: Sequence[tuple[int, ...]]) -> None:
        first = group[0]
        words = [part for part in first.path if not part.isdigit()][-2:]
        title = self.titles.get(first.path) or "_".join(words if first.path[-1].isdigit() else [re.sub(r"[\d_]+[a-z]?$", "", words[-1]) or "block"])
        plain = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", title)).lower() or "block"
        name = self.known[first.path] = self.names.fresh(plain)
        names = Names({*self.reserved, *(node.id for item in first.body for node in ast.walk(item) if isinstance(node, ast.Name))})
        roles = [role for role, _ in first.numbers()]
        sizes = {column: names.fresh(next(role for role, other in zip(roles, columns) if other == column)) for column in varied}
        places = {id(item): sizes[column] for (_, item), column in zip(first.numbers(), columns) if column in sizes}
        lines = [line for item in first.body for line in ast.unparse(ast.fix_missing_locations(_Naming(places).visit(copy.copy(item)))).splitlines()]
        head = f"def {name}({', '.join([*first.arguments, *sizes.values(), 'name'])}):"
        self.functions.append("\n".join([head, *(f"    {line}" for line in lines)]) + "\n")

    def _call(self, block: Block, name: str, sizes: Sequence[int]) -> Statement:
        given = [*block.given, *map(str, sizes), f"name={'_'.join(block.path)!r}"]
        return Statement(ast.parse(f"{', '.join(block.results)} = {name}({', '.join(given)})").body[0], block.path[:-1])


def _block(
    path: Path, statements: list[Statement], ordered: Sequence[object], units: Mapping[object, list[Statement]], results: Sequence[str], taken: set[str]
) -> Block | None:
    """The block of a module, with its own names of variables, none of them `taken`."""
    variables = {name for items in units.values() for item in items for name in item.defined}
    inside = {name for item in statements for name in item.defined}
    given = list(dict.fromkeys(name for item in statements for name in item.read(variables) if name not in inside))
    read = {name for key in ordered if key != path for item in units[key] for name in item.read(variables)}
    wanted = list(dict.fromkeys(name for item in statements for name in item.defined if name in read or name in results))
    if not given or not wanted:
        return None
    block = Block(path, statements, given, wanted)
    words = {name: "x" if place == 0 else re.sub(r"(_?\d+)+$", "", name) or "y" for place, name in enumerate(given)}
    lines, names = named(statements, words, wanted, taken)
    block.arguments = [names[name] for name in given]
    lines.append(f"return {', '.join(names[name] for name in wanted)}")
    prefix = _Prefix("_".join(path))
    tree = ast.parse("def f():\n" + "\n".join(f"    {line}" for line in lines)).body[0]
    block.body = [prefix.visit(item) for item in tree.body]  # type: ignore[attr-defined]
    match block.body:
        case [*before, ast.Assign(targets=[ast.Name(id=name)], value=value), ast.Return(value=ast.Name(id=last))] if name == last:
            block.body = [*before, ast.Return(value)]
    return block


def _ordered(units: Mapping[object, list[Statement]]) -> tuple[list[object], set[Path]]:
    """The units in an order in which each comes after what it reads, as they were otherwise; and the modules that are in the way of one."""
    maker = {name: key for key, items in units.items() for item in items for name in item.defined}
    variables = set(maker)
    needs = {key: {maker[name] for item in items for name in item.read(variables)} - {key} for key, items in units.items()}
    done: dict[object, None] = {}
    pending = list(units)
    while pending:
        ready = next((key for key in pending if needs[key] <= done.keys()), None)
        if ready is None:
            return [], {key for key in pending if isinstance(key, tuple)}
        pending.remove(ready)
        done[ready] = None
    return list(done), set()


def _with_loops(statements: list[Statement], results: Sequence[str]) -> list[Statement]:
    """Calls of a function one after another, each with the result of the last, as loops over the numbers in the names of their modules."""
    variables = {name for item in statements for name in item.defined}
    readers: dict[str, int] = {}
    for item in statements:
        for name in item.read(variables):
            readers[name] = readers.get(name, 0) + 1
    result: list[Statement] = []
    place = 0
    while place < len(statements):
        run = [statements[place]]
        while place + len(run) < len(statements) and _follows(run[-1], statements[place + len(run)], len(run)) and readers[run[-1].defined[0]] == 1:
            if run[-1].defined[0] in results:
                break
            run.append(statements[place + len(run)])
        result += run if len(run) < 2 else _loop(run)
        place += len(run)
    return result


def _call_of(statement: Statement) -> tuple[ast.Call, str, int, str] | None:
    """The call of a function for a module, and the parts of its name before and after the last number."""
    match statement.tree:
        case ast.Assign(targets=[ast.Name()], value=ast.Call(func=ast.Name(), keywords=[ast.keyword(arg="name", value=ast.Constant(value=str(name)))]) as call):
            found = re.fullmatch(r"(.*?)(\d+)(\D*)", name) if call.args else None
            return (call, found[1], int(found[2]), found[3]) if found else None
    return None


def _follows(first: Statement, second: Statement, count: int) -> bool:
    one, two = _call_of(first), _call_of(second)
    if one is None or two is None or (one[1], one[2] + 1, one[3]) != (two[1], two[2], two[3]) or first.path != second.path:
        return False
    (left, *others), (right, *more) = one[0].args, two[0].args
    same = ast.dump(one[0].func) == ast.dump(two[0].func) and list(map(ast.dump, others)) == list(map(ast.dump, more))
    return same and isinstance(right, ast.Name) and right.id == first.defined[0] and isinstance(left, ast.Name)


def _loop(run: Sequence[Statement]) -> list[Statement]:
    (call, before, start, after), target = _call_of(run[0]), run[-1].defined[0]  # type: ignore[misc]
    numbers = f"{start}, {start + len(run)}" if start else str(len(run))
    others = [target, *map(ast.unparse, call.args[1:]), f"name=f{before + '{number}' + after!r}"]
    loop = f"for number in range({numbers}):\n    {target} = {ast.unparse(call.func)}({', '.join(others)})"
    return [Statement(ast.parse(f"{target} = {ast.unparse(call.args[0])}\n{loop}"), run[0].path)]


def _numbers(tree: ast.AST) -> Iterator[tuple[str, ast.Constant]]:
    pending: list[tuple[str, ast.AST]] = [("size", tree)]
    while pending:
        role, node = pending.pop()
        if isinstance(node, ast.Constant) and type(node.value) is int:
            yield role, node
        elif isinstance(node, ast.Call):
            known = POSITIONS.get(node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""), ())
            inner = [(known[place] if place < len(known) else "size", item) for place, item in enumerate(node.args)]
            inner += [(item.arg or "size", item.value) for item in node.keywords]
            pending.extend(reversed([("size", node.func), *inner]))
        elif not isinstance(node, ast.For):
            pending.extend(
                (role if isinstance(node, (ast.Tuple, ast.List, ast.UnaryOp)) else "size", item) for item in reversed(list(ast.iter_child_nodes(node)))
            )
        else:
            pending.extend([("depth", node.iter), *(("size", item) for item in node.body)][::-1])


class _Prefix(ast.NodeTransformer):
    """Has names of layers begin with the argument `name` where they begin with that of the module."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg == "name":
            parts = node.value.values if isinstance(node.value, ast.JoinedStr) else [node.value]
            start = parts[0].value if isinstance(parts[0], ast.Constant) else ""
            if start == self.prefix and len(parts) == 1:
                node.value = ast.Name("name", ast.Load())
            elif isinstance(start, str) and start.startswith(f"{self.prefix}_"):
                rest = [ast.Constant(start[len(self.prefix) :]), *parts[1:]]
                node.value = ast.JoinedStr([ast.FormattedValue(ast.Name("name", ast.Load()), -1), *rest])
        self.generic_visit(node)
        return node


class _Naming(ast.NodeTransformer):
    def __init__(self, places: Mapping[int, str]) -> None:
        self.places = places

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Name(self.places[id(node)], ast.Load()) if id(node) in self.places else node
